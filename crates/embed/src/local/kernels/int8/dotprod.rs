//! NEON with dot products (Raspberry Pi 5): tiles of up to 6 rows × 16 columns, two column passes per panel.

use std::arch::aarch64::{int8x16_t, int32x4_t, vdupq_n_s32, vld1q_s8, vreinterpretq_s8_s32};
use std::arch::asm;

use super::neon::finish;
use super::{DEPTH_GROUP, PANEL, QuantisedProduct, tile_height, with_height};

/// 6 × 4 accumulators, 4 panel registers and a broadcast stay within 32 registers.
const TILE_ROWS: usize = 6;
const TILE_COLUMNS: usize = 16;

/// Turns four unsigned inputs into signed ones, 128 less.
const SIGNED: i32 = i32::from_le_bytes([0x80; 4]);

/// # Safety
///
/// `product.check()` must have passed.
#[target_feature(enable = "neon,dotprod")]
pub(super) unsafe fn multiply(product: &mut QuantisedProduct<'_>) {
    let rows = product.rows();
    for column in (0..PANEL).step_by(TILE_COLUMNS) {
        let mut row = 0;
        while row < rows {
            let height = tile_height(rows - row, TILE_ROWS);
            // SAFETY: rows `row..row + height` and columns `column..column + 16` exist, and the caller vouches for the
            // bounds.
            unsafe { with_height!(height, [1 2 3 4 5 6], tile(product, row, column)) };
            row += height;
        }
    }
}

/// # Safety
///
/// `product.check()` must have passed, `row + ROWS <= product.rows()`, and `column + TILE_COLUMNS <= PANEL`.
#[inline]
#[target_feature(enable = "neon,dotprod")]
unsafe fn tile<const ROWS: usize>(product: &mut QuantisedProduct<'_>, row: usize, column: usize) {
    // SAFETY: every address is `row * stride + offset` with `row` below `rows` (or, for the panel, a group below
    // `depth / 4`) and `offset` inside a row or group: the extents that `check` compared.
    unsafe {
        let a = product.a.as_ptr().add(row * product.depth);
        let panel = product.b.as_ptr().add(column * DEPTH_GROUP);
        let mut sums = [[vdupq_n_s32(0); 4]; ROWS];
        for group in 0..product.depth / DEPTH_GROUP {
            let b = panel.add(group * DEPTH_GROUP * PANEL);
            let b = [vld1q_s8(b), vld1q_s8(b.add(16)), vld1q_s8(b.add(32)), vld1q_s8(b.add(48))];
            for (i, sums) in sums.iter_mut().enumerate() {
                let inputs = a.add(i * product.depth + group * DEPTH_GROUP).cast::<i32>().read_unaligned();
                let inputs = vreinterpretq_s8_s32(vdupq_n_s32(inputs ^ SIGNED));
                for (sum, b) in sums.iter_mut().zip(b) {
                    *sum = dot(*sum, b, inputs);
                }
            }
        }
        for (i, sums) in sums.iter().enumerate() {
            for (quarter, &sum) in sums.iter().enumerate() {
                finish(product, row + i, column + 4 * quarter, sum);
            }
        }
    }
}

/// Adds to each lane the products of four pairs. In assembly, as the intrinsic is not stable yet.
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn dot(sum: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    let mut sum = sum;
    // SAFETY: the instruction belongs to the enabled feature, and touches these registers alone.
    unsafe {
        asm!("sdot {0:v}.4s, {1:v}.16b, {2:v}.16b", inout(vreg) sum, in(vreg) a, in(vreg) b,
            options(pure, nomem, nostack, preserves_flags));
    }
    sum
}
