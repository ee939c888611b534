//! The memory index: a cascade from 1-bit codes over finer ones to full precision, with filters as bitmaps.
//!
//! [`memory`] follows the store and answers; [`segment`] holds a space's rows; [`cascade`] finds the nearest ones.

mod bitmap;
mod cascade;
mod codes;
mod facts;
mod interned;
mod memory;
mod originals;
mod pages;
mod ranking;
mod rotation;
mod segment;
#[cfg(test)]
mod tests;

pub use memory::{IndexSize, MemoryIndex};
