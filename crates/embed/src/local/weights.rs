//! Reading weights from a safetensors file.
//!
//! The file is read tensor by tensor, not mapped: every tensor is repacked anyway, so a map
//! would only add a crash (`SIGBUS`) when the file shrinks under it.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use safetensors::Dtype;
use safetensors::tensor::Metadata;

use super::error::ModelError;

/// Length of the number in front of the header, which is the header's length.
const PREFIX_BYTES: u64 = 8;

/// Refuse longer headers before reserving memory. Real ones take about 100 bytes per
/// tensor: 10 KiB here.
const MAX_HEADER_BYTES: u64 = 4 * 1024 * 1024;

/// An open weights file whose header is valid and whose length agrees with it.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    path: PathBuf,
    file: File,
    metadata: Metadata,
    data_start: u64,
}

impl Checkpoint {
    pub(crate) fn open(path: &Path) -> Result<Checkpoint, ModelError> {
        let malformed = |reason: String| ModelError::Malformed { path: path.to_owned(), reason };
        let failed = |source| ModelError::Read { path: path.to_owned(), source };
        let truncated = |source: std::io::Error| match source.kind() {
            ErrorKind::UnexpectedEof => malformed("the file ends inside its header".to_owned()),
            _ => failed(source),
        };

        let mut file = File::open(path).map_err(failed)?;
        let file_bytes = file.metadata().map_err(failed)?.len();
        let mut prefix = [0; PREFIX_BYTES as usize];
        file.read_exact(&mut prefix).map_err(truncated)?;
        let header_bytes = u64::from_le_bytes(prefix);
        if header_bytes > MAX_HEADER_BYTES {
            return Err(malformed(format!("its header claims {header_bytes} bytes")));
        }
        let mut header = vec![0; header_bytes as usize];
        file.read_exact(&mut header).map_err(truncated)?;
        // Deserialising checks that the tensors lie back to back and match their shapes.
        let metadata: Metadata = serde_json::from_slice(&header).map_err(|error| malformed(error.to_string()))?;

        let data_start = PREFIX_BYTES + header_bytes;
        let expected = data_start.saturating_add(metadata.data_len() as u64);
        if file_bytes != expected {
            return Err(malformed(format!("it has {file_bytes} bytes instead of {expected}")));
        }
        Ok(Checkpoint { path: path.to_owned(), file, metadata, data_start })
    }

    /// What the operating system says of the open file.
    pub(crate) fn metadata(&self) -> Result<std::fs::Metadata, ModelError> {
        self.file.metadata().map_err(|source| ModelError::Read { path: self.path.clone(), source })
    }

    /// The values of one tensor, row-major, provided it has this shape and holds f32.
    pub(crate) fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ModelError> {
        let info = self.metadata.info(name).ok_or_else(|| ModelError::TensorMissing { name: name.to_owned() })?;
        if info.shape != shape {
            return Err(ModelError::TensorShape {
                name: name.to_owned(),
                expected: shape.to_vec(),
                found: info.shape.clone(),
            });
        }
        if info.dtype != Dtype::F32 {
            return Err(ModelError::TensorType { name: name.to_owned(), found: format!("{:?}", info.dtype) });
        }
        let (start, end) = info.data_offsets;
        let mut bytes = vec![0; end - start];
        self.file
            .seek(SeekFrom::Start(self.data_start + start as u64))
            .and_then(|_| self.file.read_exact(&mut bytes))
            .map_err(|source| ModelError::Read { path: self.path.clone(), source })?;
        Ok(bytes.as_chunks::<4>().0.iter().map(|&value| f32::from_le_bytes(value)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(bytes: &[u8]) -> Result<Checkpoint, ModelError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        Checkpoint::open(file.path())
    }

    fn with_header(header: &str, data_bytes: usize) -> Vec<u8> {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.resize(bytes.len() + data_bytes, 0x3f);
        bytes
    }

    const TWO_TENSORS: &str = r#"{"a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},
        "b":{"dtype":"F16","shape":[2],"data_offsets":[8,12]}}"#;

    #[test]
    fn a_tensor_is_read_by_name() {
        let mut checkpoint = open(&with_header(TWO_TENSORS, 12)).unwrap();
        let value = f32::from_le_bytes([0x3f; 4]);
        assert_eq!(checkpoint.tensor("a", &[2, 1]).unwrap(), [value; 2]);
    }

    #[test]
    fn other_names_shapes_and_types_are_named_in_the_error() {
        let mut checkpoint = open(&with_header(TWO_TENSORS, 12)).unwrap();
        assert!(matches!(
            checkpoint.tensor("c", &[2]),
            Err(ModelError::TensorMissing { name }) if name == "c"
        ));
        assert!(matches!(
            checkpoint.tensor("a", &[1, 2]),
            Err(ModelError::TensorShape { found, .. }) if found == [2, 1]
        ));
        assert!(matches!(
            checkpoint.tensor("b", &[2]),
            Err(ModelError::TensorType { found, .. }) if found == "F16"
        ));
    }

    #[test]
    fn damaged_files_are_errors() {
        let whole = with_header(TWO_TENSORS, 12);
        for length in 0..whole.len() {
            let result = open(&whole[..length]);
            assert!(matches!(result, Err(ModelError::Malformed { .. })), "{length} bytes");
        }
        let oversized = [whole.as_slice(), &[0]].concat();
        let endless = u64::MAX.to_le_bytes();
        let overlapping = with_header(
            r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},
                "b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#,
            12,
        );
        let overflowing =
            with_header(r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}}"#, 8);
        let backwards = with_header(r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#, 8);
        let noise: Vec<u8> = (0..4_000u32).map(|i| ((i * i) >> 3) as u8).collect();
        for bytes in [&oversized, &endless.to_vec(), &overlapping, &overflowing, &backwards, &noise] {
            assert!(matches!(open(bytes), Err(ModelError::Malformed { .. })));
        }
    }

    #[test]
    fn an_absent_file_is_a_read_error() {
        let error = Checkpoint::open(Path::new("/nonexistent/model.safetensors")).unwrap_err();
        assert!(matches!(error, ModelError::Read { source, .. } if source.kind() == ErrorKind::NotFound));
    }
}
