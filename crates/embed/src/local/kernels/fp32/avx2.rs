//! AVX2 with FMA: tiles of up to 6 rows × 16 columns, two column passes per panel.

use std::arch::x86_64::{_mm256_broadcast_ss, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_storeu_ps};

use super::{PANEL, Product, tile_height, with_height};

/// 6 × 2 accumulators, 2 panel registers and a broadcast stay within 16 registers.
const TILE_ROWS: usize = 6;
const TILE_COLUMNS: usize = 16;

/// # Safety
///
/// `product.check()` must have passed.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn multiply(product: &mut Product<'_>) {
    for column in (0..PANEL).step_by(TILE_COLUMNS) {
        let mut row = 0;
        while row < product.rows {
            let height = tile_height(product.rows - row, TILE_ROWS);
            // SAFETY: rows `row..row + height` and columns `column..column + 16` exist, and
            // the caller vouches for the bounds.
            unsafe { with_height!(height, [1 2 3 4 5 6], tile(product, row, column)) };
            row += height;
        }
    }
}

/// # Safety
///
/// `product.check()` must have passed, `row + ROWS <= product.rows`, and
/// `column + TILE_COLUMNS <= PANEL`.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn tile<const ROWS: usize>(product: &mut Product<'_>, row: usize, column: usize) {
    // SAFETY: every address is `row * stride + offset` with `row` below `rows` (or, for the panel, below `depth`) and `offset`
    // inside a row, which in `a` is `k * a_step` with `k` below `depth`: the extents that `check` compared.
    unsafe {
        let a = product.a.as_ptr().add(row * product.a_stride);
        let panel = product.b.as_ptr().add(column);
        let out = product.out.as_mut_ptr().add(row * product.out_stride + column);
        let bias = product.bias.as_ptr().add(column);
        let mut sums = [[_mm256_loadu_ps(bias), _mm256_loadu_ps(bias.add(8))]; ROWS];
        for k in 0..product.depth {
            let b = panel.add(k * product.b_stride);
            let (left, right) = (_mm256_loadu_ps(b), _mm256_loadu_ps(b.add(8)));
            for (i, sum) in sums.iter_mut().enumerate() {
                let factor = _mm256_broadcast_ss(&*a.add(i * product.a_stride + k * product.a_step));
                sum[0] = _mm256_fmadd_ps(factor, left, sum[0]);
                sum[1] = _mm256_fmadd_ps(factor, right, sum[1]);
            }
        }
        for (i, sum) in sums.iter().enumerate() {
            let out = out.add(i * product.out_stride);
            _mm256_storeu_ps(out, sum[0]);
            _mm256_storeu_ps(out.add(8), sum[1]);
        }
    }
}
