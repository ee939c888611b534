//! Vectors as bytes: little-endian float32, in files and in Redis.

pub(crate) fn write(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// `None` where the bytes are no whole numbers.
pub(crate) fn read(bytes: &[u8]) -> Option<Vec<f32>> {
    of(bytes).map(Iterator::collect)
}

/// The same, one by one.
pub(crate) fn of(bytes: &[u8]) -> Option<impl Iterator<Item = f32>> {
    let (numbers, rest) = bytes.as_chunks::<4>();
    rest.is_empty().then(|| numbers.iter().map(|number| f32::from_le_bytes(*number)))
}
