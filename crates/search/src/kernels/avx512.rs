//! AVX-512 with byte and word instructions (BW).
//!
//! Counting bits (VPOPCNTDQ) needs one pass a bit of the query; a lookup takes four dimensions at once, at a query
//! precision that makes no difference.

use std::arch::x86_64::{
    __m512i, _CMP_GE_OQ, _MM_HINT_T0, _MM_HINT_T1, _mm_loadu_si128, _mm_prefetch, _mm512_add_epi8, _mm512_add_epi16,
    _mm512_add_epi32, _mm512_and_si512, _mm512_broadcast_i32x4, _mm512_loadu_si512, _mm512_madd_epi16,
    _mm512_maddubs_epi16, _mm512_mask_cmp_ps_mask, _mm512_maskz_compress_epi32, _mm512_maskz_loadu_ps,
    _mm512_reduce_add_epi32, _mm512_set1_epi8, _mm512_set1_epi16, _mm512_set1_epi32, _mm512_set1_ps, _mm512_setr_epi32,
    _mm512_setzero_si512, _mm512_shuffle_epi8, _mm512_srli_epi16, _mm512_storeu_si512,
};

use super::{AHEAD, GROUP, Levels, Quantized, RUN, Steps, row};

/// How far ahead of its use a group is asked for, in groups: of 512 bits a row, 16 KiB.
const GROUPS_AHEAD: usize = 4;

/// # Safety
///
/// `sums` come in whole groups and `codes` are as many rows of `tables.len() / 2` bytes, an even number.
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) unsafe fn add_up(codes: &[u8], tables: &[[u8; 16]], sums: &mut [u16]) {
    let width = tables.len() / 2;
    for group in 0..sums.len() / GROUP {
        let (mut even, mut odd) = (_mm512_setzero_si512(), _mm512_setzero_si512());
        // SAFETY: a group is `width` times 64 bytes of the codes; each byte has two tables of 16 bytes; the group's 64
        // sums are two registers.
        unsafe {
            let codes = codes.as_ptr().add(group * width * GROUP);
            // The processor foresees nothing beyond a page, and the first cache waits for too few lines at a time to keep memory
            // busy: the second one is asked. Beyond the last group lies the next chunk or nothing, which is no fault.
            let ahead = codes.wrapping_add(GROUPS_AHEAD * width * GROUP);
            for byte in (0..width).step_by(2) {
                _mm_prefetch::<_MM_HINT_T1>(ahead.wrapping_add(byte * GROUP).cast());
                _mm_prefetch::<_MM_HINT_T1>(ahead.wrapping_add((byte + 1) * GROUP).cast());
                // Four entries of at most 63 fit a byte.
                let tables = tables.as_ptr().add(2 * byte);
                let first = look_up(codes.add(byte * GROUP), tables);
                let second = look_up(codes.add((byte + 1) * GROUP), tables.add(2));
                let both = _mm512_add_epi8(first, second);
                even = _mm512_add_epi16(even, _mm512_and_si512(both, _mm512_set1_epi16(0xff)));
                odd = _mm512_add_epi16(odd, _mm512_srli_epi16::<8>(both));
            }
            let sums = sums.as_mut_ptr().add(group * GROUP);
            _mm512_storeu_si512(sums.cast(), even);
            _mm512_storeu_si512(sums.add(GROUP / 2).cast(), odd);
        }
    }
}

/// # Safety
///
/// 64 bytes are readable at `codes`, two tables at `tables`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn look_up(codes: *const u8, tables: *const [u8; 16]) -> __m512i {
    // SAFETY: the caller vouches for both addresses.
    let (codes, low, high) = unsafe {
        (
            _mm512_loadu_si512(codes.cast()),
            _mm512_broadcast_i32x4(_mm_loadu_si128(tables.cast())),
            _mm512_broadcast_i32x4(_mm_loadu_si128(tables.add(1).cast())),
        )
    };
    let nibble = _mm512_set1_epi8(15);
    _mm512_add_epi8(
        _mm512_shuffle_epi8(low, _mm512_and_si512(codes, nibble)),
        _mm512_shuffle_epi8(high, _mm512_and_si512(_mm512_srli_epi16::<4>(codes), nibble)),
    )
}

/// # Safety
///
/// `query.len()` is a multiple of 256 and every pick a row of as many numbers in `pieces`, of `BITS` bits, 2 or 4; `products`
/// are as many as `picks`.
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) unsafe fn multiply<const BITS: u32>(pieces: &[&[u8]], query: &[i8], picks: &[u32], products: &mut [i32]) {
    let parts = 8 / BITS as usize;
    let width = query.len() / parts;
    let lowest = _mm512_set1_epi8((1 << BITS) - 1);
    for (i, product) in products.iter_mut().enumerate() {
        let mut sum = _mm512_setzero_si512();
        // SAFETY: the pick's row has `width` bytes, in steps of 64, and the query `parts` times as many numbers. A
        // prefetched row is a pick too, so that its address is one of the pieces'.
        unsafe {
            if let Some(next) = picks.get(i + AHEAD) {
                let next = row(pieces, *next, width);
                for line in (0..width).step_by(64) {
                    _mm_prefetch::<_MM_HINT_T0>(next.add(line).cast());
                }
            }
            let row = row(pieces, *picks.get_unchecked(i), width);
            for run in (0..width).step_by(RUN * 64) {
                let mut pairs = _mm512_setzero_si512();
                for at in (run..width.min(run + RUN * 64)).step_by(64) {
                    let mut codes = _mm512_loadu_si512(row.add(at).cast());
                    for part in 0..parts {
                        let query = _mm512_loadu_si512(query.as_ptr().add(part * width + at).cast());
                        let products = _mm512_maddubs_epi16(_mm512_and_si512(codes, lowest), query);
                        pairs = _mm512_add_epi16(pairs, products);
                        codes = _mm512_srli_epi16::<BITS>(codes);
                    }
                }
                sum = _mm512_add_epi32(sum, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
            }
        }
        *product = _mm512_reduce_add_epi32(sum);
    }
}

#[target_feature(enable = "avx512f")]
pub(super) fn at_least(numbers: &[f32], first: usize, least: f32, rows: &mut Vec<u32>) {
    const LANES: usize = 16;
    /// Rows that are made room for at a time.
    const ROOM: usize = 1024;
    let least = _mm512_set1_ps(least);
    let lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    for (index, piece) in numbers.chunks(ROOM).enumerate() {
        rows.reserve(ROOM + LANES);
        for (at, sixteen) in (0..).step_by(LANES).zip(piece.chunks(LANES)) {
            let all = !0 >> (LANES - sixteen.len());
            // SAFETY: what the mask leaves out is not read. There is room for 1,024 rows and one register, and as many as the
            // mask has bits are written before they count.
            unsafe {
                let numbers = _mm512_maskz_loadu_ps(all, sixteen.as_ptr());
                let found = _mm512_mask_cmp_ps_mask::<_CMP_GE_OQ>(all, numbers, least);
                let here = _mm512_add_epi32(lanes, _mm512_set1_epi32((first + index * ROOM + at) as i32));
                _mm512_storeu_si512(rows.as_mut_ptr().add(rows.len()).cast(), _mm512_maskz_compress_epi32(found, here));
                rows.set_len(rows.len() + found.count_ones() as usize);
            }
        }
    }
}

#[target_feature(enable = "avx512f")]
pub(super) fn turn(signs: &[f32], numbers: &mut [f32]) {
    super::portable::turn(signs, numbers);
}

#[target_feature(enable = "avx512f,avx512bw")]
pub(super) fn quantize(numbers: &[f32], scale: f32, steps: Steps, levels: Levels<'_>) -> Quantized {
    super::portable::quantize(numbers, scale, steps, levels)
}
