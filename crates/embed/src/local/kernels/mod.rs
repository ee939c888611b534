//! Panel products: the matrix kernels, and with the mapped file the only `unsafe` code of the engine.
//!
//! All multiplications of the model are cut into products with a *panel*, a right-hand matrix of exactly [`PANEL`]
//! columns. `Product::run` and `QuantisedProduct::run` check every bound once, then call the kernel of the chosen [`Isa`],
//! which reads and writes without further checks.

mod fp32;
mod int8;
mod isa;
#[cfg(test)]
mod noise;

pub(crate) use fp32::{NO_BIAS, Product};
pub(crate) use int8::{DEPTH_GROUP, QuantisedProduct};
pub use isa::Isa;
pub(crate) use isa::Pass;

use isa::Kind;

/// Columns of a panel: two AVX-512 registers, two passes of two AVX2 registers, two passes of four NEON registers.
pub(crate) const PANEL: usize = 32;

/// Whether `rows` rows of `width` values, each `stride` after the one before, lie inside `length` values.
fn fits(length: usize, rows: usize, stride: usize, width: usize) -> bool {
    // Saturating: an absurd stride must fail the comparison, not wrap past it.
    rows == 0 || (rows - 1).saturating_mul(stride).saturating_add(width) <= length
}

/// Height of the next tile when `left` rows remain and a tile holds at most `limit`.
///
/// Tiles of nearly equal height: 13 rows as 7 + 6 keep the multipliers busier than 12 + 1.
#[inline]
fn tile_height(left: usize, limit: usize) -> usize {
    left.div_ceil(left.div_ceil(limit))
}

/// Calls `$tile::<height>(args…)` for a height known only at run time.
macro_rules! with_height {
    ($height:expr, [$($possible:literal)*], $tile:ident $arguments:tt) => {
        match $height {
            $($possible => $tile::<$possible> $arguments,)*
            _ => unreachable!("a tile has at most as many rows as listed"),
        }
    };
}
use with_height;
