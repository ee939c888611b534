//! Products of quantised activations and weights.
//!
//! All kernels sum the same integers exactly, in 32 bits, and finish with the same operations in the same order: every
//! instruction set gives bit for bit the same values.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "aarch64")]
mod dotprod;
#[cfg(target_arch = "aarch64")]
mod i8mm;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod vnni;

use super::{Isa, Kind, PANEL, fits, tile_height, with_height};

/// Inputs that lie side by side for each column of a panel: what one lane of a dot-product instruction takes.
pub(crate) const DEPTH_GROUP: usize = 4;

/// Neither a sum nor a zero point times a column's sum leaves 32 bits below this depth: 2 · 255 · 127 · 2¹⁵ < 2³¹.
const MAX_DEPTH: usize = 1 << 15;

/// `out[rows × 32] = (a − zero) · b × scale of the row × scale of the column + bias`.
///
/// `a` is row-major without gaps. `b` holds for each group of [`DEPTH_GROUP`] inputs and each column the group's weights
/// side by side: `[depth / 4][32][4]`. A stride is the distance between the starts of two rows, in values.
#[derive(Debug)]
pub(crate) struct QuantisedProduct<'a> {
    pub(crate) depth: usize,
    /// `[rows, depth]`
    pub(crate) a: &'a [u8],
    /// What one step of `a` is worth, for each row.
    pub(crate) a_scales: &'a [f32],
    /// Which step of `a` stands for zero, for each row: 0 to 255. As many as there are rows.
    pub(crate) a_zeros: &'a [i32],
    /// Weights of -127 to 127.
    pub(crate) b: &'a [i8],
    /// What one step of `b` is worth, for each column.
    pub(crate) b_scales: &'a [f32; PANEL],
    /// The sum of each column of `b`.
    pub(crate) b_sums: &'a [i32; PANEL],
    pub(crate) bias: &'a [f32; PANEL],
    pub(crate) out: &'a mut [f32],
    pub(crate) out_stride: usize,
}

impl QuantisedProduct<'_> {
    /// Computes the product.
    pub(crate) fn run(mut self, isa: Isa) {
        self.check();
        match isa.kind() {
            // SAFETY: the `Isa` proves AVX-512F, BW and VNNI, and `check` has passed.
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512Vnni => unsafe { vnni::multiply(&mut self) },
            // SAFETY: the `Isa` proves AVX2 (that of AVX-512 too), and `check` has passed.
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 | Kind::Avx2 => unsafe { avx2::multiply(&mut self) },
            // SAFETY: the `Isa` proves NEON with its products of 8-bit matrices, and `check` has passed.
            #[cfg(target_arch = "aarch64")]
            Kind::NeonI8mm => unsafe { i8mm::multiply(&mut self) },
            // SAFETY: the `Isa` proves NEON with its dot products, and `check` has passed.
            #[cfg(target_arch = "aarch64")]
            Kind::NeonDotprod => unsafe { dotprod::multiply(&mut self) },
            // SAFETY: the `Isa` proves NEON, and `check` has passed.
            #[cfg(target_arch = "aarch64")]
            Kind::Neon => unsafe { neon::multiply(&mut self) },
            Kind::Portable => portable::multiply(&mut self),
        }
    }

    fn rows(&self) -> usize {
        self.a_zeros.len()
    }

    /// Panics unless everything that the kernels touch lies inside its slice.
    fn check(&self) {
        let rows = self.rows();
        assert!(self.depth.is_multiple_of(2 * DEPTH_GROUP) && self.depth <= MAX_DEPTH, "depth {}", self.depth);
        assert!(fits(self.a.len(), rows, self.depth, self.depth), "a is too short");
        assert!(self.a_scales.len() == rows, "a needs one scale and one zero a row");
        assert!(self.b.len() == self.depth * PANEL, "b is no panel of this depth");
        assert!(fits(self.out.len(), rows, self.out_stride, PANEL), "out is too short");
    }
}
