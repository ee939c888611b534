//! NEON without the dot-product extension, which a Raspberry Pi 4 does not have: a quarter of a group at a time.

use std::arch::aarch64::{
    uint8x16_t, uint16x8_t, vaddq_s32, vaddq_u8, vaddq_u16, vaddvq_s32, vandq_u8, vandq_u16, vdupq_n_s32, vdupq_n_u8,
    vdupq_n_u16, vget_high_s8, vget_low_s8, vld1q_s8, vld1q_u8, vmlal_s8, vmull_s8, vpadalq_s16, vqtbl1q_u8,
    vreinterpretq_s8_u8, vreinterpretq_u16_u8, vshrq_n_u8, vshrq_n_u16, vst1q_u16,
};

use super::{GROUP, row};

/// # Safety
///
/// `sums` come in whole groups and `codes` are as many rows of `tables.len() / 2` bytes, an even number.
#[target_feature(enable = "neon")]
pub(super) unsafe fn add_up(codes: &[u8], tables: &[[u8; 16]], sums: &mut [u16]) {
    let width = tables.len() / 2;
    for group in 0..sums.len() / GROUP {
        // The even and the odd bytes of the four quarters.
        let (mut even, mut odd): ([uint16x8_t; 4], [uint16x8_t; 4]) = ([vdupq_n_u16(0); 4], [vdupq_n_u16(0); 4]);
        // SAFETY: a group is `width` times 64 bytes of the codes; each byte has two tables of 16 bytes; the group's 64
        // sums are eight registers.
        unsafe {
            let codes = codes.as_ptr().add(group * width * GROUP);
            for byte in (0..width).step_by(2) {
                let tables = tables.as_ptr().add(2 * byte);
                for quarter in 0..4 {
                    // Four entries of at most 63 fit a byte.
                    let codes = codes.add(byte * GROUP + quarter * 16);
                    let both = vaddq_u8(look_up(codes, tables), look_up(codes.add(GROUP), tables.add(2)));
                    let both = vreinterpretq_u16_u8(both);
                    even[quarter] = vaddq_u16(even[quarter], vandq_u16(both, vdupq_n_u16(0xff)));
                    odd[quarter] = vaddq_u16(odd[quarter], vshrq_n_u16::<8>(both));
                }
            }
            let sums = sums.as_mut_ptr().add(group * GROUP);
            for quarter in 0..4 {
                vst1q_u16(sums.add(quarter * 8), even[quarter]);
                vst1q_u16(sums.add(GROUP / 2 + quarter * 8), odd[quarter]);
            }
        }
    }
}

/// # Safety
///
/// 16 bytes are readable at `codes`, two tables at `tables`.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn look_up(codes: *const u8, tables: *const [u8; 16]) -> uint8x16_t {
    // SAFETY: the caller vouches for both addresses.
    let (codes, low, high) = unsafe { (vld1q_u8(codes), vld1q_u8(tables.cast()), vld1q_u8(tables.add(1).cast())) };
    vaddq_u8(vqtbl1q_u8(low, vandq_u8(codes, vdupq_n_u8(15))), vqtbl1q_u8(high, vshrq_n_u8::<4>(codes)))
}

/// # Safety
///
/// `query.len()` is a multiple of 256 and every pick a row of as many numbers in `pieces`, of `BITS` bits, 2 or 4; `products`
/// are as many as `picks`.
#[target_feature(enable = "neon")]
pub(super) unsafe fn multiply<const BITS: i32>(pieces: &[&[u8]], query: &[i8], picks: &[u32], products: &mut [i32]) {
    let parts = 8 / BITS as usize;
    let width = query.len() / parts;
    let lowest = vdupq_n_u8((1 << BITS) - 1);
    for (pick, product) in picks.iter().zip(products) {
        let mut sums = [vdupq_n_s32(0); 2];
        // SAFETY: the pick's row has `width` bytes, in steps of 16, and the query `parts` times as many numbers.
        unsafe {
            let row = row(pieces, *pick, width);
            for at in (0..width).step_by(16) {
                let mut codes = vld1q_u8(row.add(at));
                for part in 0..parts {
                    let query = vld1q_s8(query.as_ptr().add(part * width + at));
                    let numbers = vreinterpretq_s8_u8(vandq_u8(codes, lowest));
                    // Two products of at most 15 · 127 fit 16 bits.
                    let pairs = vmull_s8(vget_low_s8(numbers), vget_low_s8(query));
                    let pairs = vmlal_s8(pairs, vget_high_s8(numbers), vget_high_s8(query));
                    sums[part % 2] = vpadalq_s16(sums[part % 2], pairs);
                    codes = vshrq_n_u8::<BITS>(codes);
                }
            }
        }
        *product = vaddvq_s32(vaddq_s32(sums[0], sums[1]));
    }
}
