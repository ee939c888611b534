//! NEON without the dot-product extension, which a Raspberry Pi 4 does not have: a quarter of a group at a time.

use std::arch::aarch64::{
    uint8x16_t, uint16x8_t, vaddq_s32, vaddq_u8, vaddq_u16, vaddvq_s32, vandq_u8, vandq_u16, vdupq_n_s32, vdupq_n_u8,
    vdupq_n_u16, vget_high_s8, vget_high_s16, vget_low_s8, vget_low_s16, vld1q_s8, vld1q_s16, vld1q_u8, vmlal_s16,
    vmovl_s8, vqtbl1q_u8, vreinterpretq_u16_u8, vshrq_n_u8, vshrq_n_u16, vst1q_u16,
};

use super::GROUP;

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
/// `query.len()` is a multiple of 16 and every pick a row of that length in `rows`; `products` are as many as `picks`.
#[target_feature(enable = "neon")]
pub(super) unsafe fn multiply(rows: &[i8], query: &[i16], picks: &[u16], products: &mut [i32]) {
    let length = query.len();
    for (pick, product) in picks.iter().zip(products) {
        let mut sums = [vdupq_n_s32(0); 4];
        // SAFETY: the pick's row has `length` numbers, as the query has, in steps of 16.
        unsafe {
            let row = rows.as_ptr().add(usize::from(*pick) * length);
            for at in (0..length).step_by(16) {
                let numbers = vld1q_s8(row.add(at));
                let (low, high) = (vmovl_s8(vget_low_s8(numbers)), vmovl_s8(vget_high_s8(numbers)));
                let query = (vld1q_s16(query.as_ptr().add(at)), vld1q_s16(query.as_ptr().add(at + 8)));
                sums[0] = vmlal_s16(sums[0], vget_low_s16(low), vget_low_s16(query.0));
                sums[1] = vmlal_s16(sums[1], vget_high_s16(low), vget_high_s16(query.0));
                sums[2] = vmlal_s16(sums[2], vget_low_s16(high), vget_low_s16(query.1));
                sums[3] = vmlal_s16(sums[3], vget_high_s16(high), vget_high_s16(query.1));
            }
        }
        *product = vaddvq_s32(vaddq_s32(vaddq_s32(sums[0], sums[1]), vaddq_s32(sums[2], sums[3])));
    }
}
