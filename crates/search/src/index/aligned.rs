//! Bytes that begin where a cache line does.

use std::ops::{Deref, DerefMut};

/// Bytes in a cache line, and in the widest register.
const LINE: usize = 64;

/// A row of a whole number of lines then touches no line more than it must.
pub(super) struct Aligned {
    bytes: Box<[u8]>,
    start: usize,
    length: usize,
}

impl Aligned {
    /// So many zeros.
    pub(super) fn zeroed(length: usize) -> Self {
        let bytes: Box<[u8]> = vec![0; length + LINE - 1].into();
        // Where the address cannot be told, all is as right and only slower.
        let start = bytes.as_ptr().align_offset(LINE).min(LINE - 1);
        Self { bytes, start, length }
    }
}

impl Deref for Aligned {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[self.start..][..self.length]
    }
}

impl DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..][..self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::{Aligned, LINE};

    #[test]
    fn lines_are_whole() {
        for length in [0, 1, LINE, 5000] {
            let mut bytes = Aligned::zeroed(length);
            assert_eq!((bytes.len(), bytes.as_ptr().align_offset(LINE)), (length, 0));
            bytes.fill(7);
        }
    }
}
