//! AVX-512F: tiles of up to 12 rows × 32 columns.

use std::arch::x86_64::{
    _MM_HINT_T0, _mm_prefetch, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_set1_ps, _mm512_storeu_ps,
};

use super::{Product, tile_height, with_height};

/// 12 × 2 accumulators, 2 panel registers and a broadcast stay within 32 registers.
const TILE_ROWS: usize = 12;

/// Rows of the panel that are fetched ahead: a panel of a layer is larger than the first-level cache, and asking for it
/// early gains about 5 %.
const ROWS_AHEAD: usize = 16;

/// # Safety
///
/// `product.check()` must have passed.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn multiply(product: &mut Product<'_>) {
    let mut row = 0;
    while row < product.rows {
        let height = tile_height(product.rows - row, TILE_ROWS);
        // SAFETY: rows `row..row + height` exist, and the caller vouches for the bounds.
        unsafe { with_height!(height, [1 2 3 4 5 6 7 8 9 10 11 12], tile(product, row)) };
        row += height;
    }
}

/// # Safety
///
/// `product.check()` must have passed, and `row + ROWS <= product.rows`.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn tile<const ROWS: usize>(product: &mut Product<'_>, row: usize) {
    // SAFETY: every address is `row * stride + offset` with `row` below `rows` (or, for the panel, below `depth`) and `offset`
    // inside a row, which in `a` is `k * a_step` with `k` below `depth`: the extents that `check` compared.
    unsafe {
        let a = product.a.as_ptr().add(row * product.a_stride);
        let out = product.out.as_mut_ptr().add(row * product.out_stride);
        let bias = product.bias.as_ptr();
        let mut sums = [[_mm512_loadu_ps(bias), _mm512_loadu_ps(bias.add(16))]; ROWS];
        for k in 0..product.depth {
            let b = product.b.as_ptr().add(k * product.b_stride);
            // A hint may point anywhere: at the end of the panel, to the next one.
            let ahead = b.wrapping_add(ROWS_AHEAD * product.b_stride);
            _mm_prefetch::<_MM_HINT_T0>(ahead.cast());
            _mm_prefetch::<_MM_HINT_T0>(ahead.wrapping_add(16).cast());
            let (left, right) = (_mm512_loadu_ps(b), _mm512_loadu_ps(b.add(16)));
            for (i, sum) in sums.iter_mut().enumerate() {
                let factor = _mm512_set1_ps(*a.add(i * product.a_stride + k * product.a_step));
                sum[0] = _mm512_fmadd_ps(factor, left, sum[0]);
                sum[1] = _mm512_fmadd_ps(factor, right, sum[1]);
            }
        }
        for (i, sum) in sums.iter().enumerate() {
            let out = out.add(i * product.out_stride);
            _mm512_storeu_ps(out, sum[0]);
            _mm512_storeu_ps(out.add(16), sum[1]);
        }
    }
}
