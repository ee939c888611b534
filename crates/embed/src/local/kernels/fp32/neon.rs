//! NEON: tiles of up to 6 rows × 16 columns, two column passes per panel.

use std::arch::aarch64::{float32x4_t, vfmaq_n_f32, vld1q_f32, vst1q_f32};

use super::{PANEL, Product, tile_height, with_height};

/// 6 × 4 accumulators, 4 panel registers and a factor stay within 32 registers.
const TILE_ROWS: usize = 6;
const TILE_COLUMNS: usize = 16;

/// # Safety
///
/// `product.check()` must have passed.
#[target_feature(enable = "neon")]
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
#[target_feature(enable = "neon")]
unsafe fn tile<const ROWS: usize>(product: &mut Product<'_>, row: usize, column: usize) {
    // SAFETY: every address is `row * stride + offset` with `row` below `rows` (or, for the panel, below `depth`) and `offset`
    // inside a row, which in `a` is `k * a_step` with `k` below `depth`: the extents that `check` compared.
    unsafe {
        let a = product.a.as_ptr().add(row * product.a_stride);
        let panel = product.b.as_ptr().add(column);
        let out = product.out.as_mut_ptr().add(row * product.out_stride + column);
        let mut sums = [load_row(product.bias.as_ptr().add(column)); ROWS];
        for k in 0..product.depth {
            let b = load_row(panel.add(k * product.b_stride));
            for (i, sum) in sums.iter_mut().enumerate() {
                let factor = *a.add(i * product.a_stride + k * product.a_step);
                for (lane, b) in sum.iter_mut().zip(b) {
                    *lane = vfmaq_n_f32(*lane, b, factor);
                }
            }
        }
        for (i, sum) in sums.iter().enumerate() {
            let out = out.add(i * product.out_stride);
            for (quarter, &lane) in sum.iter().enumerate() {
                vst1q_f32(out.add(4 * quarter), lane);
            }
        }
    }
}

/// # Safety
///
/// 16 values must be readable at `from`.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn load_row(from: *const f32) -> [float32x4_t; 4] {
    // SAFETY: the four loads cover exactly the 16 values the caller vouches for.
    unsafe { [vld1q_f32(from), vld1q_f32(from.add(4)), vld1q_f32(from.add(8)), vld1q_f32(from.add(12))] }
}
