//! NEON without dot products (Raspberry Pi 4): tiles of up to 4 rows × 8 columns, four column passes per panel.
//!
//! Two products of 8 bits fit a lane of 16 exactly (2 · 128 · 127 < 2¹⁵); each such lane is then added to one of 32 bits.

use std::arch::aarch64::{
    float32x4_t, int32x4_t, vaddq_f32, vcvtq_f32_s32, vdup_n_s32, vdupq_n_s32, vget_high_s8, vget_low_s8, vld1q_f32,
    vld1q_s8, vld1q_s32, vmlal_s8, vmlsq_n_s32, vmull_s8, vmulq_f32, vmulq_n_f32, vpadalq_s16, vpaddq_s32,
    vreinterpret_s8_s32, vst1q_f32,
};

use super::{DEPTH_GROUP, PANEL, QuantisedProduct, tile_height, with_height};

/// 4 × 4 accumulators, 4 panel registers and 2 broadcasts stay within 32 registers.
const TILE_ROWS: usize = 4;
const TILE_COLUMNS: usize = 8;

/// Turns four unsigned inputs into signed ones, 128 less: the multiplication takes signed values.
const SIGNED: i32 = i32::from_le_bytes([0x80; 4]);

/// # Safety
///
/// `product.check()` must have passed.
#[target_feature(enable = "neon")]
pub(super) unsafe fn multiply(product: &mut QuantisedProduct<'_>) {
    let rows = product.rows();
    for column in (0..PANEL).step_by(TILE_COLUMNS) {
        let mut row = 0;
        while row < rows {
            let height = tile_height(rows - row, TILE_ROWS);
            // SAFETY: rows `row..row + height` and columns `column..column + 8` exist, and the caller vouches for the
            // bounds.
            unsafe { with_height!(height, [1 2 3 4], tile(product, row, column)) };
            row += height;
        }
    }
}

/// # Safety
///
/// `product.check()` must have passed, `row + ROWS <= product.rows()`, and `column + TILE_COLUMNS <= PANEL`.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn tile<const ROWS: usize>(product: &mut QuantisedProduct<'_>, row: usize, column: usize) {
    // SAFETY: every address is `row * stride + offset` with `row` below `rows` (or, for the panel, a group below
    // `depth / 4`, which is even) and `offset` inside a row or group: the extents that `check` compared.
    unsafe {
        let a = product.a.as_ptr().add(row * product.depth);
        let panel = product.b.as_ptr().add(column * DEPTH_GROUP);
        // Two lanes a column, of two inputs each; two columns a register.
        let mut sums = [[vdupq_n_s32(0); 4]; ROWS];
        for group in (0..product.depth / DEPTH_GROUP).step_by(2) {
            let near = panel.add(group * DEPTH_GROUP * PANEL);
            let far = near.add(DEPTH_GROUP * PANEL);
            let (near, far) = ([vld1q_s8(near), vld1q_s8(near.add(16))], [vld1q_s8(far), vld1q_s8(far.add(16))]);
            for (i, sums) in sums.iter_mut().enumerate() {
                let inputs = a.add(i * product.depth + group * DEPTH_GROUP).cast::<i32>();
                let first = vreinterpret_s8_s32(vdup_n_s32(inputs.read_unaligned() ^ SIGNED));
                let second = vreinterpret_s8_s32(vdup_n_s32(inputs.add(1).read_unaligned() ^ SIGNED));
                for (pair, (near, far)) in near.into_iter().zip(far).enumerate() {
                    let low = vmlal_s8(vmull_s8(first, vget_low_s8(near)), second, vget_low_s8(far));
                    let high = vmlal_s8(vmull_s8(first, vget_high_s8(near)), second, vget_high_s8(far));
                    sums[2 * pair] = vpadalq_s16(sums[2 * pair], low);
                    sums[2 * pair + 1] = vpadalq_s16(sums[2 * pair + 1], high);
                }
            }
        }
        for (i, sums) in sums.iter().enumerate() {
            for half in 0..2 {
                let sum = vpaddq_s32(sums[2 * half], sums[2 * half + 1]);
                finish(product, row + i, column + 4 * half, sum);
            }
        }
    }
}

/// Writes four values, of which `sum` holds the sums over inputs that were made signed.
///
/// # Safety
///
/// `product.check()` must have passed, `row < product.rows()`, and `column + 4 <= PANEL`.
#[inline]
#[target_feature(enable = "neon")]
pub(super) unsafe fn finish(product: &mut QuantisedProduct<'_>, row: usize, column: usize, sum: int32x4_t) {
    // SAFETY: the row exists, and four columns from `column` on lie inside the panel and the row.
    unsafe {
        // The inputs are 128 less than they were: so is what stands for zero.
        let zero = *product.a_zeros.get_unchecked(row) - 128;
        let sum = vmlsq_n_s32(sum, vld1q_s32(product.b_sums.as_ptr().add(column)), zero);
        let b_scales = vld1q_f32(product.b_scales.as_ptr().add(column));
        let scaled: float32x4_t = vmulq_n_f32(vcvtq_f32_s32(sum), *product.a_scales.get_unchecked(row));
        let out = vaddq_f32(vmulq_f32(scaled, b_scales), vld1q_f32(product.bias.as_ptr().add(column)));
        vst1q_f32(product.out.as_mut_ptr().add(row * product.out_stride + column), out);
    }
}
