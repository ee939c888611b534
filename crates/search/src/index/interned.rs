//! Values that many rows share, kept once.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

/// Numbers for values. A value that nobody uses any more is forgotten, and its number given to another one.
pub(super) struct Interned<T: ?Sized> {
    entries: Vec<Option<Entry<T>>>,
    codes: HashMap<Arc<T>, u32>,
    free: Vec<u32>,
}

struct Entry<T: ?Sized> {
    value: Arc<T>,
    uses: u32,
}

impl<T: ?Sized + Hash + Eq> Interned<T>
where
    Arc<T>: Borrow<T> + for<'a> From<&'a T>,
{
    pub(super) fn new() -> Self {
        Self { entries: Vec::new(), codes: HashMap::new(), free: Vec::new() }
    }

    /// The number of a value, used once more; whether the value is new.
    pub(super) fn take(&mut self, value: &T) -> (u32, bool) {
        if let Some(&code) = self.codes.get(value) {
            if let Some(entry) = &mut self.entries[code as usize] {
                entry.uses += 1;
            }
            return (code, false);
        }
        let value: Arc<T> = value.into();
        let entry = Some(Entry { value: Arc::clone(&value), uses: 1 });
        let code = match self.free.pop() {
            Some(code) => {
                self.entries[code as usize] = entry;
                code
            }
            None => {
                self.entries.push(entry);
                self.entries.len() as u32 - 1
            }
        };
        self.codes.insert(value, code);
        (code, true)
    }

    /// Gives one use back; the value, if that was the last one.
    pub(super) fn give_back(&mut self, code: u32) -> Option<Arc<T>> {
        let entry = self.entries[code as usize].as_mut()?;
        entry.uses -= 1;
        if entry.uses > 0 {
            return None;
        }
        let gone = self.entries[code as usize].take()?;
        self.codes.remove(&gone.value);
        self.free.push(code);
        Some(gone.value)
    }

    /// The value of a number that is in use.
    pub(super) fn get(&self, code: u32) -> Option<&T> {
        self.entries.get(code as usize)?.as_ref().map(|entry| &*entry.value)
    }

    /// The number of a value that somebody uses.
    pub(super) fn code(&self, value: &T) -> Option<u32> {
        self.codes.get(value).copied()
    }

    /// Bytes of memory, as far as can be told: `size` is what a value takes.
    pub(super) fn bytes(&self, size: impl Fn(&T) -> usize) -> usize {
        let values: usize = self.codes.keys().map(|value| 16 + size(value).next_multiple_of(16)).sum();
        // A slot of the map: a fat pointer, a number, a control byte.
        values + self.entries.capacity() * size_of::<Option<Entry<u8>>>().max(24) + self.codes.capacity() * 29
    }
}

#[cfg(test)]
mod tests {
    use super::Interned;

    #[test]
    fn what_nobody_uses_is_forgotten() {
        let mut names = Interned::<str>::new();
        assert_eq!((names.take("a"), names.take("b"), names.take("a")), ((0, true), (1, true), (0, false)));
        assert!(names.give_back(0).is_none());
        assert_eq!(names.give_back(0).as_deref(), Some("a"));
        assert_eq!((names.code("a"), names.get(0), names.get(1)), (None, None, Some("b")));
        assert_eq!(names.take("c"), (0, true), "the number is used again");
    }
}
