//! All weights of a model in one piece of memory, which lies in a mapped file or in this process alone.

use std::fs::File;
use std::io;
use std::marker::PhantomData;

use bytemuck::Pod;
use memmap2::{Mmap, MmapMut};

use super::error::ModelError;
use super::weights::Checkpoint;

/// Every section starts at a multiple of this: a cache line, and the widest vector register.
const ALIGNMENT: usize = 64;

/// The bytes of a packed model.
#[derive(Debug)]
pub(crate) struct Image(Mmap);

/// Where some values of one type lie in every image of one layout.
#[derive(Debug)]
pub(crate) struct Section<T> {
    start: usize,
    count: usize,
    values: PhantomData<fn() -> T>,
}

/// Gives the parts of a model their sections, one after another. With a checkpoint at hand it also fills them; both ways
/// run through the same code, so that they cannot disagree.
#[derive(Debug)]
pub(crate) struct Layout<'a> {
    end: usize,
    filling: Option<(&'a mut Checkpoint, &'a mut [u8])>,
}

impl Image {
    /// An image in memory of this process, of these bytes in front and what `fill` puts behind.
    pub(crate) fn in_memory(
        length: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<(), ModelError>,
    ) -> Result<Image, ModelError> {
        let memory = |source| ModelError::Memory { bytes: length, source };
        let mut bytes = MmapMut::map_anon(length).map_err(memory)?;
        fill(&mut bytes)?;
        Ok(Image(bytes.make_read_only().map_err(memory)?))
    }

    /// An image in a file, shared with every process that maps the same file.
    pub(crate) fn mapped(file: &File) -> io::Result<Image> {
        // SAFETY: what is mapped must not change while it is. These files are written under another name and get theirs
        // by a rename when they are whole; nobody opens one to write. A newer one takes the name and leaves the mapped one
        // as it was. Should another program truncate a mapped file all the same, the process ends with SIGBUS, as every
        // process does that runs from a truncated executable; values changed in place would give wrong vectors, and no
        // other harm, since every bit pattern is a number.
        #[allow(unsafe_code)]
        let bytes = unsafe { Mmap::map(file) }?;
        Ok(Image(bytes))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl<T: Pod> Section<T> {
    /// The values, in an image of the layout that this section belongs to.
    pub(crate) fn of<'a>(&self, image: &'a Image) -> &'a [T] {
        let bytes = &image.0[self.start..self.start + self.count * size_of::<T>()];
        // Neither can fail: maps start at a page, sections at a multiple of 64, and their length was made of whole values.
        bytemuck::cast_slice(bytes)
    }
}

impl<'a> Layout<'a> {
    /// A layout whose sections start behind so many bytes.
    pub(crate) fn behind(header: usize) -> Layout<'a> {
        Layout { end: header, filling: None }
    }

    /// The same, and fills the sections in `bytes` from a checkpoint.
    pub(crate) fn filling(header: usize, checkpoint: &'a mut Checkpoint, bytes: &'a mut [u8]) -> Layout<'a> {
        Layout { end: header, filling: Some((checkpoint, bytes)) }
    }

    /// The length of an image that holds all sections so far.
    pub(crate) fn end(&self) -> usize {
        self.end
    }

    /// The values of a tensor, row-major, where there is a checkpoint.
    pub(crate) fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Option<Vec<f32>>, ModelError> {
        self.filling.as_mut().map(|(checkpoint, _)| checkpoint.tensor(name, shape)).transpose()
    }

    /// The next section, of `count` values; there are `values` where there is a checkpoint.
    pub(crate) fn section<T: Pod>(&mut self, count: usize, values: Option<&[T]>) -> Section<T> {
        let start = self.end.next_multiple_of(ALIGNMENT);
        self.end = start + count * size_of::<T>();
        if let (Some((_, bytes)), Some(values)) = (&mut self.filling, values) {
            bytes[start..self.end].copy_from_slice(bytemuck::cast_slice(values));
        }
        Section { start, count, values: PhantomData }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_follow_one_another_each_aligned() {
        let mut layout = Layout::behind(10);
        let bytes: Section<i8> = layout.section(3, None);
        let numbers: Section<f32> = layout.section(20, None);
        assert_eq!((bytes.start, numbers.start, layout.end()), (64, 128, 208));
        let image = Image::in_memory(layout.end(), |bytes| {
            bytes[128..132].copy_from_slice(&1.5f32.to_ne_bytes());
            Ok(())
        });
        let image = image.unwrap();
        assert_eq!(numbers.of(&image)[..2], [1.5, 0.0]);
        assert_eq!((bytes.of(&image).len(), numbers.of(&image).len()), (3, 20));
    }
}
