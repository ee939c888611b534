//! AVX-512 with byte and word instructions (BW).
//!
//! Counting bits (VPOPCNTDQ) needs one pass a bit of the query; a lookup takes four dimensions at once, at a query
//! precision that makes no difference.

use std::arch::x86_64::{
    __m512i, _MM_HINT_T0, _mm_loadu_si128, _mm_prefetch, _mm256_cvtepi8_epi16, _mm256_loadu_si256, _mm512_add_epi8,
    _mm512_add_epi16, _mm512_add_epi32, _mm512_and_si512, _mm512_broadcast_i32x4, _mm512_cvtepi8_epi16,
    _mm512_loadu_si512, _mm512_madd_epi16, _mm512_reduce_add_epi32, _mm512_set1_epi8, _mm512_set1_epi16,
    _mm512_setzero_si512, _mm512_shuffle_epi8, _mm512_srli_epi16, _mm512_storeu_si512, _mm512_zextsi256_si512,
};

use super::{AHEAD, GROUP};

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
            for byte in (0..width).step_by(2) {
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
/// `query.len()` is a multiple of 16 and every pick a row of that length in `rows`; `products` are as many as `picks`.
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) unsafe fn multiply(rows: &[i8], query: &[i16], picks: &[u16], products: &mut [i32]) {
    let length = query.len();
    for (i, product) in products.iter_mut().enumerate() {
        let mut sum = _mm512_setzero_si512();
        // SAFETY: the pick's row has `length` numbers, as the query has, in steps of 32 and a last one of 16. A
        // prefetched row is a pick too, so that its address is one of `rows`.
        unsafe {
            if let Some(next) = picks.get(i + AHEAD) {
                let next = rows.as_ptr().add(usize::from(*next) * length);
                for line in (0..length).step_by(64) {
                    _mm_prefetch::<_MM_HINT_T0>(next.add(line));
                }
            }
            let row = rows.as_ptr().add(usize::from(*picks.get_unchecked(i)) * length);
            let mut at = 0;
            while at + 32 <= length {
                let numbers = _mm512_cvtepi8_epi16(_mm256_loadu_si256(row.add(at).cast()));
                let query = _mm512_loadu_si512(query.as_ptr().add(at).cast());
                sum = _mm512_add_epi32(sum, _mm512_madd_epi16(numbers, query));
                at += 32;
            }
            if at < length {
                let numbers = _mm512_zextsi256_si512(_mm256_cvtepi8_epi16(_mm_loadu_si128(row.add(at).cast())));
                let query = _mm512_zextsi256_si512(_mm256_loadu_si256(query.as_ptr().add(at).cast()));
                sum = _mm512_add_epi32(sum, _mm512_madd_epi16(numbers, query));
            }
        }
        *product = _mm512_reduce_add_epi32(sum);
    }
}
