//! The packed weights of a model: a file beside `model.safetensors` that every process maps and shares.
//!
//! Packing costs reading, transposing and perhaps rounding 90 MB. It is done by whoever first loads the model; later loads
//! map what is there, which takes no time and no memory of their own. The file serves every processor of the same byte
//! order. It is only a cache: where it is missing, foreign, old or damaged in its header, it is made anew, and where it
//! cannot be written, a process packs for itself alone.

use std::fs::{File, Metadata, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use super::bert::{Bert, BertConfig};
use super::error::ModelError;
use super::image::{Image, Layout};
use super::precision::Precision;
use super::weights::Checkpoint;

/// Number of the format: it changes whenever the order, the shape or the meaning of a section does.
const FORMAT: u32 = 1;

/// Bytes in front of the first section.
const HEADER_BYTES: usize = 1024;

/// The weights of the model in `folder`, packed, and where they lie.
pub(crate) fn load(folder: &Path, config: BertConfig, precision: Precision) -> Result<(Image, Bert), ModelError> {
    let source = folder.join("model.safetensors");
    let packed = folder.join(format!("packed-{}-{FORMAT}.bin", precision.name()));
    let mut layout = Layout::behind(HEADER_BYTES);
    let bert = Bert::lay(config, precision, &mut layout)?;
    let length = layout.end();

    let metadata =
        std::fs::metadata(&source).map_err(|error| ModelError::Read { path: source.clone(), source: error })?;
    if let Some(image) = open(&packed, &header(&config, precision, &metadata), length) {
        return Ok((image, bert));
    }
    let mut checkpoint = Checkpoint::open(&source)?;
    // Of the file that is read from now on, whatever takes its name meanwhile.
    let header = header(&config, precision, &checkpoint.metadata()?);
    let image = Image::in_memory(length, |bytes| {
        bytes[..HEADER_BYTES].copy_from_slice(&header);
        Bert::lay(config, precision, &mut Layout::filling(HEADER_BYTES, &mut checkpoint, bytes)).map(drop)
    })?;
    if let Err(error) = write(folder, &packed, image.bytes()) {
        tracing::debug!(path = %packed.display(), %error, "Packed weights stay in memory: they cannot be written");
        return Ok((image, bert));
    }
    Ok((open(&packed, &header, length).unwrap_or(image), bert))
}

/// What a file must start with to be of use here: all that its sections depend on, and what tells the very file that they
/// were made from. A header is compared and never interpreted, so none can mislead.
fn header(config: &BertConfig, precision: Precision, source: &Metadata) -> [u8; HEADER_BYTES] {
    let order = if cfg!(target_endian = "little") { "little" } else { "big" };
    let text = format!(
        "SoniqueBay packed weights {FORMAT}\nprecision {}\nbyte order {order}\nmodel {config:?}\n\
         source {} bytes, modified {}.{:09}, inode {}\n",
        precision.name(),
        source.len(),
        source.mtime(),
        source.mtime_nsec(),
        source.ino(),
    );
    let mut header = [0; HEADER_BYTES];
    let length = text.len().min(HEADER_BYTES);
    header[..length].copy_from_slice(&text.as_bytes()[..length]);
    header
}

/// Maps the file if it has this header and this length.
fn open(path: &Path, header: &[u8], length: usize) -> Option<Image> {
    // Looked at before it is opened: opening a pipe would wait for somebody to write.
    if !path.metadata().ok()?.is_file() {
        return None;
    }
    let file = File::open(path).ok()?;
    let metadata = file.metadata().ok()?;
    if !metadata.is_file() || metadata.len() != length as u64 {
        return None;
    }
    let image = Image::mapped(&file).ok()?;
    image.bytes().starts_with(header).then_some(image)
}

/// Writes the file so that it is never seen but whole: under another name, down to the disk, then renamed.
fn write(folder: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    // Readable by whoever may read the folder: that is how users share it. Writable by nobody: what shortens a file that is
    // mapped ends its readers.
    let permissions = Permissions::from_mode(0o444);
    let mut file = tempfile::Builder::new().prefix(".packed-").permissions(permissions).tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests;
