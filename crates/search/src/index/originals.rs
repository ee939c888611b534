//! The vectors in full precision, on disk, of which a search reads the few that it answers.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Rows between two wanted ones that are read along rather than skipped: a read costs as much as some rows.
const GAP: u32 = 3;
/// Rows in one read, at most.
const RUN: u32 = 256;

/// Unit vectors by row, in a file without a name: the page cache keeps what is asked often, and nothing outlives the
/// process. In memory where there is no room on disk.
pub(super) struct Originals {
    dims: usize,
    place: Place,
}

enum Place {
    /// And how many rows it holds.
    Disk(File, u32),
    Memory(Vec<f32>),
}

impl Originals {
    /// Empty, in a file in `folder`.
    pub(super) fn new(dims: usize, folder: &Path) -> Self {
        let place = match tempfile::tempfile_in(folder) {
            Ok(file) => Place::Disk(file, 0),
            Err(error) => {
                tracing::warn!(
                    folder = %folder.display(), %error,
                    "The index cannot keep full vectors in a file here and holds them in memory"
                );
                Place::Memory(Vec::new())
            }
        };
        Self { dims, place }
    }

    /// Writes some rows that lie one behind the other: little-endian numbers.
    ///
    /// # Errors
    /// Where the disk takes no more and what is on it cannot be read back either: then the rows are lost.
    pub(super) fn write(&mut self, first: u32, bytes: &[u8]) -> io::Result<()> {
        let end = first + (bytes.len() / (self.dims * 4)) as u32;
        if let Place::Disk(file, rows) = &mut self.place {
            let Err(error) = file.write_all_at(bytes, self.dims as u64 * 4 * u64::from(first)) else {
                *rows = end.max(*rows);
                return Ok(());
            };
            tracing::warn!(
                %error, rows,
                "The index cannot write its file of full vectors and goes on with them in memory; free some space and restart"
            );
            let rows = *rows;
            let mut all = vec![0.0; rows as usize * self.dims];
            self.read(0..rows, |row, numbers| all[row as usize * self.dims..][..self.dims].copy_from_slice(numbers))?;
            self.place = Place::Memory(all);
        }
        if let Place::Memory(all) = &mut self.place {
            if all.len() < end as usize * self.dims {
                // Doubling would hold twice the library in memory for a moment.
                if all.capacity() < end as usize * self.dims {
                    all.reserve_exact(end as usize * self.dims - all.len() + all.len() / 8);
                }
                all.resize(end as usize * self.dims, 0.0);
            }
            for (number, bytes) in all[first as usize * self.dims..].iter_mut().zip(bytes.as_chunks::<4>().0) {
                *number = f32::from_le_bytes(*bytes);
            }
        }
        Ok(())
    }

    /// Hands over the numbers of each of these rows, which ascend and have been written.
    ///
    /// # Errors
    /// Where the disk does not give back what was written.
    pub(super) fn read(
        &self,
        rows: impl IntoIterator<Item = u32>,
        mut each: impl FnMut(u32, &[f32]),
    ) -> io::Result<()> {
        let file = match &self.place {
            Place::Disk(file, _) => file,
            Place::Memory(all) => {
                rows.into_iter().for_each(|row| each(row, &all[row as usize * self.dims..][..self.dims]));
                return Ok(());
            }
        };
        let size = self.dims * 4;
        let (mut bytes, mut numbers) = (Vec::new(), vec![0.0; self.dims]);
        let mut run: Vec<u32> = Vec::new();
        let mut rows = rows.into_iter().peekable();
        while let Some(row) = rows.next() {
            run.push(row);
            if rows.peek().is_some_and(|next| next - row <= GAP && next - run[0] < RUN) {
                continue;
            }
            bytes.resize((row - run[0] + 1) as usize * size, 0);
            file.read_exact_at(&mut bytes, size as u64 * u64::from(run[0]))?;
            for &wanted in &run {
                let row = bytes[(wanted - run[0]) as usize * size..][..size].as_chunks::<4>().0;
                for (number, bytes) in numbers.iter_mut().zip(row) {
                    *number = f32::from_le_bytes(*bytes);
                }
                each(wanted, &numbers);
            }
            run.clear();
        }
        Ok(())
    }

    /// Bytes in memory and on disk.
    pub(super) fn bytes(&self) -> (usize, usize) {
        match &self.place {
            Place::Disk(_, rows) => (0, *rows as usize * self.dims * 4),
            Place::Memory(all) => (all.capacity() * 4, 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::path::Path;

    use super::{Originals, Place};

    fn all(originals: &Originals, rows: &[u32]) -> Vec<(u32, Vec<f32>)> {
        let mut found = Vec::new();
        originals.read(rows.iter().copied(), |row, numbers| found.push((row, numbers.to_vec()))).unwrap();
        found
    }

    fn write(originals: &mut Originals, first: u32, numbers: &[f32]) {
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        originals.write(first, &bytes).unwrap();
    }

    fn fill(originals: &mut Originals) {
        write(originals, 0, &(0..2000).map(|n| n as f32).collect::<Vec<_>>());
        write(originals, 500, &[-1.0, -2.0]);
        write(originals, 1000, &[7.0, 8.0]);
    }

    fn check(originals: &Originals) {
        let rows = [0, 1, 3, 4, 9, 500, 998, 999, 1000];
        for (row, numbers) in all(originals, &rows) {
            let expected = match row {
                500 => vec![-1.0, -2.0],
                1000 => vec![7.0, 8.0],
                row => vec![2.0 * row as f32, 2.0 * row as f32 + 1.0],
            };
            assert_eq!(numbers, expected, "{row}");
        }
        assert_eq!(all(originals, &(0..=1000).collect::<Vec<_>>()).len(), 1001);
    }

    #[test]
    fn rows_come_back_from_disk_and_from_memory() {
        let mut on_disk = Originals::new(2, &std::env::temp_dir());
        fill(&mut on_disk);
        check(&on_disk);
        assert_eq!(on_disk.bytes(), (0, 8008));
        let mut in_memory = Originals::new(2, Path::new("/not/there"));
        fill(&mut in_memory);
        check(&in_memory);
        assert_eq!(in_memory.bytes().1, 0);
    }

    #[test]
    fn a_full_disk_moves_the_rows_into_memory() {
        let mut originals = Originals::new(2, &std::env::temp_dir());
        write(&mut originals, 0, &(0..2000).map(|n| n as f32).collect::<Vec<_>>());
        let Place::Disk(file, rows) = &originals.place else { panic!("there is a disk") };
        // The same file, opened again so that it takes no write.
        use std::os::fd::AsRawFd;
        let full = OpenOptions::new().read(true).open(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap();
        originals.place = Place::Disk(full, *rows);
        write(&mut originals, 500, &[-1.0, -2.0]);
        write(&mut originals, 1000, &[7.0, 8.0]);
        assert!(matches!(originals.place, Place::Memory(_)));
        check(&originals);
    }
}
