//! Sets of rows.

/// One bit a row.
#[derive(Clone, Default)]
pub(super) struct Bitmap {
    words: Vec<u64>,
    count: usize,
}

impl Bitmap {
    /// Puts a row in or takes it out.
    pub(super) fn set(&mut self, row: u32, is_in: bool) {
        let (word, bit) = (row as usize / 64, 1 << (row % 64));
        if word >= self.words.len() {
            if !is_in {
                return;
            }
            self.words.resize(word + 1, 0);
        }
        let was_in = self.words[word] & bit != 0;
        if is_in {
            self.words[word] |= bit;
        } else {
            self.words[word] &= !bit;
        }
        self.count = self.count + usize::from(is_in) - usize::from(was_in);
    }

    /// How many rows are in.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Rows `64 · word` to `64 · word + 63`, the first one lowest.
    pub(super) fn word(&self, word: usize) -> u64 {
        self.words.get(word).copied().unwrap_or(0)
    }

    /// The rows that are in, ascending.
    pub(super) fn rows(&self) -> impl Iterator<Item = u32> {
        self.words.iter().enumerate().flat_map(|(index, word)| {
            let mut left = *word;
            std::iter::from_fn(move || {
                (left != 0).then(|| {
                    let bit = left.trailing_zeros();
                    left &= left - 1;
                    index as u32 * 64 + bit
                })
            })
        })
    }

    /// Bytes of memory.
    pub(super) fn bytes(&self) -> usize {
        self.words.capacity() * 8
    }
}

#[cfg(test)]
mod tests {
    use super::Bitmap;

    #[test]
    fn rows_go_in_and_out() {
        let mut bitmap = Bitmap::default();
        for row in [0, 63, 64, 200, 200] {
            bitmap.set(row, true);
        }
        bitmap.set(63, false);
        bitmap.set(9999, false);
        assert_eq!((bitmap.rows().collect::<Vec<_>>(), bitmap.count()), (vec![0, 64, 200], 3));
        assert_eq!((bitmap.word(1), bitmap.word(3), bitmap.word(99)), (1, 1 << 8, 0));
    }
}
