//! AVX2 without VNNI: tiles of up to 6 rows × 8 columns, four column passes per panel.
//!
//! Inputs and weights are widened to 16 bits, where `vpmaddwd` is exact. The shorter way with `vpmaddubsw` saturates, so
//! that its vectors would differ from those of other processors.

use std::arch::x86_64::{
    __m128i, _mm_loadu_si128, _mm_set1_epi32, _mm256_add_epi32, _mm256_add_ps, _mm256_cvtepi8_epi16,
    _mm256_cvtepi32_ps, _mm256_cvtepu8_epi16, _mm256_hadd_epi32, _mm256_loadu_ps, _mm256_loadu_si256,
    _mm256_madd_epi16, _mm256_mul_ps, _mm256_mullo_epi32, _mm256_permute4x64_epi64, _mm256_set1_epi32, _mm256_set1_ps,
    _mm256_setzero_si256, _mm256_storeu_ps, _mm256_sub_epi32,
};

use super::{DEPTH_GROUP, PANEL, QuantisedProduct, tile_height, with_height};

/// 6 × 2 accumulators, 2 panel registers and a broadcast stay within 16 registers.
const TILE_ROWS: usize = 6;
const TILE_COLUMNS: usize = 8;

/// # Safety
///
/// `product.check()` must have passed.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn multiply(product: &mut QuantisedProduct<'_>) {
    let rows = product.rows();
    for column in (0..PANEL).step_by(TILE_COLUMNS) {
        let mut row = 0;
        while row < rows {
            let height = tile_height(rows - row, TILE_ROWS);
            // SAFETY: rows `row..row + height` and columns `column..column + 8` exist, and the caller vouches for the
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
#[target_feature(enable = "avx2")]
unsafe fn tile<const ROWS: usize>(product: &mut QuantisedProduct<'_>, row: usize, column: usize) {
    // SAFETY: every address is `row * stride + offset` with `row` below `rows` (or, for the panel, a group below
    // `depth / 4`) and `offset` inside a row or group: the extents that `check` compared.
    unsafe {
        let a = product.a.as_ptr().add(row * product.depth);
        let panel = product.b.as_ptr().add(column * DEPTH_GROUP);
        // Two lanes a column, of two inputs each: columns 0 to 3, and 4 to 7.
        let mut sums = [[_mm256_setzero_si256(); 2]; ROWS];
        for group in 0..product.depth / DEPTH_GROUP {
            let b = panel.add(group * DEPTH_GROUP * PANEL).cast::<__m128i>();
            let left = _mm256_cvtepi8_epi16(_mm_loadu_si128(b));
            let right = _mm256_cvtepi8_epi16(_mm_loadu_si128(b.add(1)));
            for (i, sum) in sums.iter_mut().enumerate() {
                let inputs = a.add(i * product.depth + group * DEPTH_GROUP).cast::<i32>().read_unaligned();
                let inputs = _mm256_cvtepu8_epi16(_mm_set1_epi32(inputs));
                sum[0] = _mm256_add_epi32(sum[0], _mm256_madd_epi16(inputs, left));
                sum[1] = _mm256_add_epi32(sum[1], _mm256_madd_epi16(inputs, right));
            }
        }
        let out = product.out.as_mut_ptr().add(row * product.out_stride + column);
        let b_sums = _mm256_loadu_si256(product.b_sums.as_ptr().add(column).cast());
        let b_scales = _mm256_loadu_ps(product.b_scales.as_ptr().add(column));
        let bias = _mm256_loadu_ps(product.bias.as_ptr().add(column));
        for (i, sum) in sums.iter().enumerate() {
            // Adding neighbours leaves columns 0 1 4 5 2 3 6 7.
            let sum = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_hadd_epi32(sum[0], sum[1]));
            let zero = _mm256_set1_epi32(*product.a_zeros.get_unchecked(row + i));
            let a_scale = _mm256_set1_ps(*product.a_scales.get_unchecked(row + i));
            let sum = _mm256_cvtepi32_ps(_mm256_sub_epi32(sum, _mm256_mullo_epi32(zero, b_sums)));
            let scaled = _mm256_mul_ps(_mm256_mul_ps(sum, a_scale), b_scales);
            _mm256_storeu_ps(out.add(i * product.out_stride), _mm256_add_ps(scaled, bias));
        }
    }
}
