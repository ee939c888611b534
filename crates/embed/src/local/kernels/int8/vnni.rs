//! AVX-512 VNNI: tiles of up to 12 rows × 32 columns, four inputs an instruction.

use std::arch::x86_64::{
    __m512i, _mm512_add_ps, _mm512_cvtepi32_ps, _mm512_dpbusd_epi32, _mm512_loadu_ps, _mm512_loadu_si512,
    _mm512_mul_ps, _mm512_mullo_epi32, _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_si512, _mm512_storeu_ps,
    _mm512_sub_epi32,
};

use super::{DEPTH_GROUP, PANEL, QuantisedProduct, tile_height, with_height};

/// 12 × 2 accumulators, 2 panel registers and a broadcast stay within 32 registers.
const TILE_ROWS: usize = 12;

/// # Safety
///
/// `product.check()` must have passed.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) unsafe fn multiply(product: &mut QuantisedProduct<'_>) {
    let rows = product.rows();
    let mut row = 0;
    while row < rows {
        let height = tile_height(rows - row, TILE_ROWS);
        // SAFETY: rows `row..row + height` exist, and the caller vouches for the bounds.
        unsafe { with_height!(height, [1 2 3 4 5 6 7 8 9 10 11 12], tile(product, row)) };
        row += height;
    }
}

/// # Safety
///
/// `product.check()` must have passed, and `row + ROWS <= product.rows()`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn tile<const ROWS: usize>(product: &mut QuantisedProduct<'_>, row: usize) {
    // SAFETY: every address is `row * stride + offset` with `row` below `rows` (or, for the panel, a group below
    // `depth / 4`) and `offset` inside a row or group: the extents that `check` compared.
    unsafe {
        let a = product.a.as_ptr().add(row * product.depth);
        let mut sums = [[_mm512_setzero_si512(); 2]; ROWS];
        for group in 0..product.depth / DEPTH_GROUP {
            let b = product.b.as_ptr().add(group * DEPTH_GROUP * PANEL).cast::<__m512i>();
            let (left, right) = (_mm512_loadu_si512(b), _mm512_loadu_si512(b.add(1)));
            for (i, sum) in sums.iter_mut().enumerate() {
                let inputs = a.add(i * product.depth + group * DEPTH_GROUP).cast::<i32>().read_unaligned();
                let inputs = _mm512_set1_epi32(inputs);
                sum[0] = _mm512_dpbusd_epi32(sum[0], inputs, left);
                sum[1] = _mm512_dpbusd_epi32(sum[1], inputs, right);
            }
        }
        let out = product.out.as_mut_ptr().add(row * product.out_stride);
        for half in 0..2 {
            let b_sums = _mm512_loadu_si512(product.b_sums.as_ptr().add(16 * half).cast());
            let b_scales = _mm512_loadu_ps(product.b_scales.as_ptr().add(16 * half));
            let bias = _mm512_loadu_ps(product.bias.as_ptr().add(16 * half));
            for (i, sum) in sums.iter().enumerate() {
                let zero = _mm512_set1_epi32(*product.a_zeros.get_unchecked(row + i));
                let a_scale = _mm512_set1_ps(*product.a_scales.get_unchecked(row + i));
                let sum = _mm512_cvtepi32_ps(_mm512_sub_epi32(sum[half], _mm512_mullo_epi32(zero, b_sums)));
                let scaled = _mm512_mul_ps(_mm512_mul_ps(sum, a_scale), b_scales);
                _mm512_storeu_ps(out.add(i * product.out_stride + 16 * half), _mm512_add_ps(scaled, bias));
            }
        }
    }
}
