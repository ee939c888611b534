//! AVX2: half a group at a time.

use std::arch::x86_64::{
    __m256i, _MM_HINT_T0, _mm_add_epi32, _mm_cvtsi128_si32, _mm_loadu_si128, _mm_prefetch, _mm_shuffle_epi32,
    _mm256_add_epi8, _mm256_add_epi16, _mm256_add_epi32, _mm256_and_si256, _mm256_broadcastsi128_si256,
    _mm256_castsi256_si128, _mm256_extracti128_si256, _mm256_loadu_si256, _mm256_madd_epi16, _mm256_maddubs_epi16,
    _mm256_set1_epi8, _mm256_set1_epi16, _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_srli_epi16,
    _mm256_storeu_si256,
};

use super::{AHEAD, Factor, GROUP, Levels, Quantized, RUN, Steps, row};

/// # Safety
///
/// `sums` come in whole groups and `codes` are as many rows of `tables.len() / 2` bytes, an even number.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn add_up(codes: &[u8], tables: &[[u8; 16]], sums: &mut [u16]) {
    let width = tables.len() / 2;
    for group in 0..sums.len() / GROUP {
        // The even and the odd bytes of the two halves.
        let (mut even, mut odd) = ([_mm256_setzero_si256(); 2], [_mm256_setzero_si256(); 2]);
        // SAFETY: a group is `width` times 64 bytes of the codes; each byte has two tables of 16 bytes; the group's 64
        // sums are four registers.
        unsafe {
            let codes = codes.as_ptr().add(group * width * GROUP);
            for byte in (0..width).step_by(2) {
                let tables = tables.as_ptr().add(2 * byte);
                for half in 0..2 {
                    // Four entries of at most 63 fit a byte.
                    let codes = codes.add(byte * GROUP + half * 32);
                    let both = _mm256_add_epi8(look_up(codes, tables), look_up(codes.add(GROUP), tables.add(2)));
                    even[half] = _mm256_add_epi16(even[half], _mm256_and_si256(both, _mm256_set1_epi16(0xff)));
                    odd[half] = _mm256_add_epi16(odd[half], _mm256_srli_epi16::<8>(both));
                }
            }
            let sums = sums.as_mut_ptr().add(group * GROUP);
            for half in 0..2 {
                _mm256_storeu_si256(sums.add(half * 16).cast(), even[half]);
                _mm256_storeu_si256(sums.add(GROUP / 2 + half * 16).cast(), odd[half]);
            }
        }
    }
}

/// # Safety
///
/// 32 bytes are readable at `codes`, two tables at `tables`.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn look_up(codes: *const u8, tables: *const [u8; 16]) -> __m256i {
    // SAFETY: the caller vouches for both addresses.
    let (codes, low, high) = unsafe {
        (
            _mm256_loadu_si256(codes.cast()),
            _mm256_broadcastsi128_si256(_mm_loadu_si128(tables.cast())),
            _mm256_broadcastsi128_si256(_mm_loadu_si128(tables.add(1).cast())),
        )
    };
    let nibble = _mm256_set1_epi8(15);
    _mm256_add_epi8(
        _mm256_shuffle_epi8(low, _mm256_and_si256(codes, nibble)),
        _mm256_shuffle_epi8(high, _mm256_and_si256(_mm256_srli_epi16::<4>(codes), nibble)),
    )
}

/// # Safety
///
/// `query.len()` is a multiple of 256 and every pick a row of as many numbers in `pieces`, of `BITS` bits, 2 or 4; `products`
/// are as many as `picks`.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn multiply<const BITS: i32>(pieces: &[&[u8]], query: &[i8], picks: &[u32], products: &mut [i32]) {
    let parts = 8 / BITS as usize;
    let width = query.len() / parts;
    let lowest = _mm256_set1_epi8((1 << BITS) - 1);
    for (i, product) in products.iter_mut().enumerate() {
        let mut sum = _mm256_setzero_si256();
        // SAFETY: the pick's row has `width` bytes, in steps of 32, and the query `parts` times as many numbers. A
        // prefetched row is a pick too, so that its address is one of the pieces'.
        unsafe {
            if let Some(next) = picks.get(i + AHEAD) {
                let next = row(pieces, *next, width);
                for line in (0..width).step_by(64) {
                    _mm_prefetch::<_MM_HINT_T0>(next.add(line).cast());
                }
            }
            let row = row(pieces, *picks.get_unchecked(i), width);
            for run in (0..width).step_by(RUN * 32) {
                let mut pairs = _mm256_setzero_si256();
                for at in (run..width.min(run + RUN * 32)).step_by(32) {
                    let mut codes = _mm256_loadu_si256(row.add(at).cast());
                    for part in 0..parts {
                        let query = _mm256_loadu_si256(query.as_ptr().add(part * width + at).cast());
                        let products = _mm256_maddubs_epi16(_mm256_and_si256(codes, lowest), query);
                        pairs = _mm256_add_epi16(pairs, products);
                        codes = _mm256_srli_epi16::<BITS>(codes);
                    }
                }
                sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
            }
        }
        let half = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256::<1>(sum));
        let quarter = _mm_add_epi32(half, _mm_shuffle_epi32::<0b01_00_11_10>(half));
        *product = _mm_cvtsi128_si32(_mm_add_epi32(quarter, _mm_shuffle_epi32::<0b10_11_00_01>(quarter)));
    }
}

#[target_feature(enable = "avx2")]
pub(super) fn turn(signs: &[f32], numbers: &mut [f32]) {
    super::portable::turn(signs, numbers);
}

#[target_feature(enable = "avx2")]
pub(super) fn scale(sums: &[u16], step: f32, offset: f32, factors: &[Factor], estimates: &mut [f32]) {
    super::portable::scale(sums, step, offset, factors, estimates);
}

#[target_feature(enable = "avx2")]
pub(super) fn quantize(numbers: &[f32], scale: f32, steps: Steps, levels: Levels<'_>) -> Quantized {
    super::portable::quantize(numbers, scale, steps, levels)
}
