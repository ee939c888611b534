//! Memory for the codes of many rows: it grows a chunk at a time and never moves.

use std::io;

use memmap2::{MmapMut, MmapOptions};

/// Chunks that the system is asked for at a time. It gives the memory when it is written to.
const REGION: usize = 64;

/// From so many chunks on, 32,768 rows, memory comes in large pages: rows that lie far apart are found sooner in them, and what
/// small libraries would leave unused of the last one is little then.
const LARGE: usize = 16;

/// Chunks of so many bytes, zeroed at first. They begin where a page does: a row of a whole number of cache lines then touches
/// no line more than it must.
pub(super) struct Pages {
    chunk: usize,
    count: usize,
    regions: Vec<MmapMut>,
}

impl Pages {
    pub(super) fn new(chunk: usize) -> Self {
        Self { chunk, count: 0, regions: Vec::new() }
    }

    /// Adds a chunk.
    ///
    /// # Errors
    /// Where the system has no memory.
    pub(super) fn grow(&mut self) -> io::Result<()> {
        if self.count.is_multiple_of(REGION) {
            let region = MmapOptions::new().len(REGION * self.chunk).no_reserve_swap().map_anon()?;
            self.regions.push(region);
        }
        // What is written to already stays as it is. A system without large pages is only slower.
        #[cfg(target_os = "linux")]
        if (self.count == LARGE || self.count.is_multiple_of(REGION) && self.count > LARGE)
            && let Some(region) = self.regions.last()
        {
            let _ = region.advise(memmap2::Advice::HugePage);
        }
        self.count += 1;
        Ok(())
    }

    pub(super) fn chunk(&self, index: usize) -> &[u8] {
        &self.regions[index / REGION][index % REGION * self.chunk..][..self.chunk]
    }

    pub(super) fn chunk_mut(&mut self, index: usize) -> &mut [u8] {
        &mut self.regions[index / REGION][index % REGION * self.chunk..][..self.chunk]
    }

    /// All chunks.
    pub(super) fn chunks(&self) -> Vec<&[u8]> {
        (0..self.count).map(|index| self.chunk(index)).collect()
    }

    /// Bytes of memory.
    pub(super) fn bytes(&self) -> usize {
        self.count * self.chunk
    }
}

#[cfg(test)]
mod tests {
    use super::{Pages, REGION};

    #[test]
    fn chunks_stay_where_they_are_while_others_come() {
        let mut pages = Pages::new(4096 + 64);
        let mut first = std::ptr::null();
        for index in 0..2 * REGION + 1 {
            pages.grow().unwrap();
            assert!(pages.chunk(index).iter().all(|byte| *byte == 0));
            pages.chunk_mut(index).fill(index as u8);
            first = if index == 0 { pages.chunk(0).as_ptr() } else { first };
        }
        assert_eq!((pages.chunk(0).as_ptr(), pages.bytes()), (first, (2 * REGION + 1) * 4160));
        for (index, chunk) in pages.chunks().into_iter().enumerate() {
            assert!(chunk.iter().all(|byte| *byte == index as u8) && chunk.as_ptr().align_offset(64) == 0);
        }
    }
}
