//! NEON with products of 8-bit matrices (servers and phones of recent years): tiles of up to 4 pairs of rows × 8 columns,
//! four column passes per panel. One instruction takes eight inputs of two rows and of two columns.

use std::arch::aarch64::{
    int8x16_t, int32x4_t, vcombine_s32, vcombine_u8, vdupq_n_s32, vdupq_n_u8, veorq_u8, vget_high_s32, vget_low_s32,
    vld1_u8, vld1q_s8, vreinterpretq_s8_s32, vreinterpretq_s8_u8, vreinterpretq_s32_s8, vzip1q_s32, vzip2q_s32,
};
use std::arch::asm;

use super::neon::finish;
use super::{DEPTH_GROUP, PANEL, QuantisedProduct, tile_height, with_height};

/// 4 × 4 accumulators, 4 panel registers and 4 of inputs stay within 32 registers.
const TILE_PAIRS: usize = 4;
const TILE_COLUMNS: usize = 8;

/// # Safety
///
/// `product.check()` must have passed.
#[target_feature(enable = "neon,i8mm")]
pub(super) unsafe fn multiply(product: &mut QuantisedProduct<'_>) {
    let pairs = product.rows().div_ceil(2);
    for column in (0..PANEL).step_by(TILE_COLUMNS) {
        let mut pair = 0;
        while pair < pairs {
            let height = tile_height(pairs - pair, TILE_PAIRS);
            // SAFETY: the first row of each of these pairs exists, and so do columns `column..column + 8`; the caller
            // vouches for the bounds.
            unsafe { with_height!(height, [1 2 3 4], tile(product, 2 * pair, column)) };
            pair += height;
        }
    }
}

/// # Safety
///
/// `product.check()` must have passed, `row + 2 * PAIRS <= product.rows() + 1`, and `column + TILE_COLUMNS <= PANEL`.
#[inline]
#[target_feature(enable = "neon,i8mm")]
unsafe fn tile<const PAIRS: usize>(product: &mut QuantisedProduct<'_>, row: usize, column: usize) {
    // SAFETY: every address is `row * stride + offset` with `row` below `rows` (or, for the panel, a group below
    // `depth / 4`, which is even) and `offset` inside a row or group: the extents that `check` compared.
    unsafe {
        let last = product.rows() - 1;
        // An odd last row is computed twice, as its own neighbour.
        let rows: [[usize; 2]; PAIRS] = std::array::from_fn(|i| [row + 2 * i, (row + 2 * i + 1).min(last)]);
        let inputs = rows.map(|pair| pair.map(|row| product.a.as_ptr().add(row * product.depth)));
        let panel = product.b.as_ptr().add(column * DEPTH_GROUP);
        // Each holds two columns of the first row, then of the second.
        let mut sums = [[vdupq_n_s32(0); 4]; PAIRS];
        for group in (0..product.depth / DEPTH_GROUP).step_by(2) {
            let near = panel.add(group * DEPTH_GROUP * PANEL);
            let far = near.add(DEPTH_GROUP * PANEL);
            let [b0, b1] = columns(vld1q_s8(near), vld1q_s8(far));
            let [b2, b3] = columns(vld1q_s8(near.add(16)), vld1q_s8(far.add(16)));
            for (sums, [first, second]) in sums.iter_mut().zip(inputs) {
                let offset = group * DEPTH_GROUP;
                let a = vcombine_u8(vld1_u8(first.add(offset)), vld1_u8(second.add(offset)));
                // Unsigned inputs become signed ones, 128 less.
                let a = vreinterpretq_s8_u8(veorq_u8(a, vdupq_n_u8(0x80)));
                for (sum, b) in sums.iter_mut().zip([b0, b1, b2, b3]) {
                    *sum = multiply_add(*sum, a, b);
                }
            }
        }
        for (sums, [first, second]) in sums.iter().zip(rows) {
            for half in 0..2 {
                let (left, right) = (sums[2 * half], sums[2 * half + 1]);
                let column = column + 4 * half;
                finish(product, first, column, vcombine_s32(vget_low_s32(left), vget_low_s32(right)));
                finish(product, second, column, vcombine_s32(vget_high_s32(left), vget_high_s32(right)));
            }
        }
    }
}

/// From four columns of four inputs, and of the next four, to two times two columns of eight.
#[inline]
#[target_feature(enable = "neon,i8mm")]
fn columns(near: int8x16_t, far: int8x16_t) -> [int8x16_t; 2] {
    let (near, far) = (vreinterpretq_s32_s8(near), vreinterpretq_s32_s8(far));
    [vreinterpretq_s8_s32(vzip1q_s32(near, far)), vreinterpretq_s8_s32(vzip2q_s32(near, far))]
}

/// Adds the four products of two rows by two columns, eight inputs each. In assembly, as the intrinsic is not stable yet.
#[inline]
#[target_feature(enable = "neon,i8mm")]
fn multiply_add(sum: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    let mut sum = sum;
    // SAFETY: the instruction belongs to the enabled feature, and touches these registers alone.
    unsafe {
        asm!("smmla {0:v}.4s, {1:v}.16b, {2:v}.16b", inout(vreg) sum, in(vreg) a, in(vreg) b,
            options(pure, nomem, nostack, preserves_flags));
    }
    sum
}
