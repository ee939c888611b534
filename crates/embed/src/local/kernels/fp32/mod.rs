//! Products in single precision.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;
#[cfg(test)]
mod tests;

use super::{Isa, Kind, PANEL, fits, tile_height, with_height};

/// The bias of a product that has none.
pub(crate) const NO_BIAS: [f32; PANEL] = [0.0; PANEL];

/// `out[rows × 32] = a[rows × depth] · b[depth × 32] + bias`.
///
/// A stride is the distance between the starts of two rows, in values; `b` and `out` have the values of a row side by side,
/// `a` has them `a_step` apart, so that it may as well be a transposed matrix.
#[derive(Debug)]
pub(crate) struct Product<'a> {
    pub(crate) rows: usize,
    pub(crate) depth: usize,
    pub(crate) a: &'a [f32],
    pub(crate) a_stride: usize,
    pub(crate) a_step: usize,
    pub(crate) b: &'a [f32],
    pub(crate) b_stride: usize,
    pub(crate) bias: &'a [f32; PANEL],
    pub(crate) out: &'a mut [f32],
    pub(crate) out_stride: usize,
}

impl Product<'_> {
    /// Computes the product.
    ///
    /// Every output row is summed in the same order whatever `rows` is, so a row's result
    /// never depends on what else is in the batch.
    pub(crate) fn run(mut self, isa: Isa) {
        self.check();
        match isa.kind() {
            // SAFETY: the `Isa` proves AVX-512F, and `check` has passed.
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512Vnni | Kind::Avx512 => unsafe { avx512::multiply(&mut self) },
            // SAFETY: the `Isa` proves AVX2 and FMA, and `check` has passed.
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => unsafe { avx2::multiply(&mut self) },
            // SAFETY: the `Isa` proves NEON, and `check` has passed.
            #[cfg(target_arch = "aarch64")]
            Kind::NeonI8mm | Kind::NeonDotprod | Kind::Neon => unsafe { neon::multiply(&mut self) },
            Kind::Portable => portable::multiply(&mut self),
        }
    }

    /// Panics unless every row that the kernels touch lies inside its slice.
    fn check(&self) {
        let a_width = self.depth.saturating_sub(1).saturating_mul(self.a_step).saturating_add(1);
        assert!(self.depth == 0 || fits(self.a.len(), self.rows, self.a_stride, a_width), "a is too short");
        assert!(fits(self.b.len(), self.depth, self.b_stride, PANEL), "b is too short");
        assert!(fits(self.out.len(), self.rows, self.out_stride, PANEL), "out is too short");
    }
}
