//! The steps between the matrix products: softmax, GELU, layer normalisation.
//!
//! Plain loops over fixed-width lanes, compiled once per instruction set by
//! [`Isa::vectorise`]. Sums run over 32 lanes in one fixed order and nothing is fused, so
//! every instruction set gives bit for bit the same values.

use super::kernels::{Isa, Pass};

/// Partial sums kept side by side: two AVX-512 registers, enough to hide add latency.
const LANES: usize = 32;

/// Replaces each value by `exp(scale × (value − peak of its column))`; `shares` becomes what each column must be multiplied
/// by to sum to one. Rows have `width` values, a multiple of 32.
pub(crate) fn softmax_columns(isa: Isa, rows: &mut [f32], width: usize, scale: f32, shares: &mut Vec<f32>) {
    struct SoftmaxColumns<'a>(&'a mut [f32], usize, f32, &'a mut [f32]);
    impl Pass for SoftmaxColumns<'_> {
        #[inline(always)]
        fn run(self) {
            let SoftmaxColumns(rows, width, scale, shares) = self;
            for (block, shares) in shares.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
                let mut peaks = [f32::MIN; LANES];
                for row in rows.chunks_exact(width) {
                    for (peak, &value) in peaks.iter_mut().zip(&row.as_chunks::<LANES>().0[block]) {
                        *peak = if value > *peak { value } else { *peak };
                    }
                }
                let peaks = peaks.map(|peak| peak * scale);
                let mut sums = [0.0; LANES];
                for row in rows.chunks_exact_mut(width) {
                    let values = &mut row.as_chunks_mut::<LANES>().0[block];
                    for ((value, peak), sum) in values.iter_mut().zip(&peaks).zip(&mut sums) {
                        *value = exp(*value * scale - peak);
                        *sum += *value;
                    }
                }
                *shares = sums.map(|sum| 1.0 / sum);
            }
        }
    }
    shares.resize(width, 0.0);
    isa.vectorise(SoftmaxColumns(rows, width, scale, shares));
}

/// Multiplies `width` values of each row of `stride` by the row's factor.
pub(crate) fn scale_rows(isa: Isa, rows: &mut [f32], stride: usize, width: usize, factors: &[f32]) {
    struct ScaleRows<'a>(&'a mut [f32], usize, usize, &'a [f32]);
    impl Pass for ScaleRows<'_> {
        #[inline(always)]
        fn run(self) {
            let ScaleRows(rows, stride, width, factors) = self;
            for (row, factor) in rows.chunks_mut(stride).zip(factors) {
                for value in &mut row[..width] {
                    *value *= factor;
                }
            }
        }
    }
    isa.vectorise(ScaleRows(rows, stride, width, factors));
}

/// Applies `x · Φ(x)`, the exact (error-function) form of GELU, in place.
pub(crate) fn gelu(isa: Isa, values: &mut [f32]) {
    struct Gelu<'a>(&'a mut [f32]);
    impl Pass for Gelu<'_> {
        #[inline(always)]
        fn run(self) {
            for value in self.0 {
                let erf = erf(*value * std::f32::consts::FRAC_1_SQRT_2);
                *value *= 0.5 * (1.0 + erf);
            }
        }
    }
    isa.vectorise(Gelu(values));
}

/// Normalises each row of `rows + residual` (or of `rows`) to mean 0 and variance 1, then
/// scales by `gain` and shifts by `bias`, in place. A row has `gain.len()` values, a
/// multiple of 32.
pub(crate) fn layer_norm(
    isa: Isa,
    rows: &mut [f32],
    residual: Option<&[f32]>,
    gain: &[f32],
    bias: &[f32],
    epsilon: f32,
) {
    struct LayerNorm<'a> {
        rows: &'a mut [f32],
        residual: Option<&'a [f32]>,
        gain: &'a [f32],
        bias: &'a [f32],
        epsilon: f32,
    }
    impl Pass for LayerNorm<'_> {
        #[inline(always)]
        fn run(self) {
            let width = self.gain.len();
            for (index, row) in self.rows.chunks_exact_mut(width).enumerate() {
                if let Some(residual) = self.residual {
                    for (value, add) in row.iter_mut().zip(&residual[index * width..][..width]) {
                        *value += add;
                    }
                }
                let add = |a: f32, b: f32| a + b;
                let mean = fold(row, 0.0, add, |value| value) / width as f32;
                let squared = |value: f32| (value - mean) * (value - mean);
                let variance = fold(row, 0.0, add, squared) / width as f32;
                let scale = 1.0 / (variance + self.epsilon).sqrt();
                for ((value, gain), bias) in row.iter_mut().zip(self.gain).zip(self.bias) {
                    *value = (*value - mean) * scale * gain + bias;
                }
            }
        }
    }
    isa.vectorise(LayerNorm { rows, residual, gain, bias, epsilon });
}

/// Folds `map` of all values; `row.len()` is a multiple of [`LANES`].
#[inline(always)]
pub(crate) fn fold(row: &[f32], start: f32, combine: impl Fn(f32, f32) -> f32, map: impl Fn(f32) -> f32) -> f32 {
    let (chunks, rest) = row.as_chunks::<LANES>();
    debug_assert!(rest.is_empty(), "rows are whole lanes");
    let mut lanes = [start; LANES];
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane = combine(*lane, map(value));
        }
    }
    join(lanes, combine)
}

/// Combines all lanes, half with half: 5 steps one after another instead of 31.
#[inline(always)]
fn join(mut lanes: [f32; LANES], combine: impl Fn(f32, f32) -> f32) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] = combine(lanes[i], lanes[i + half]);
        }
        half /= 2;
    }
    lanes[0]
}

/// eˣ within 2 units in the last place, for `x` clamped to [-87, 88] (beyond that an f32
/// is zero or infinite). NaN stays NaN.
///
/// Range reduction and polynomial of Cephes `expf` (S. L. Moshier, netlib.org/cephes).
#[inline(always)]
fn exp(x: f32) -> f32 {
    /// 1.5 · 2²³: adding it rounds to a whole number, kept in the low bits.
    const ROUND: f32 = 12_582_912.0;
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let x = x.clamp(-87.0, 88.0);
    let rounded = x * std::f32::consts::LOG2_E + ROUND;
    let exponent = rounded - ROUND;
    let r = x - exponent * LN_2_HIGH - exponent * LN_2_LOW;
    let mut p = 1.987_569_1e-4;
    p = p * r + 1.398_2e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 1.666_666_5e-1;
    p = p * r + 0.5;
    let mantissa = p * r * r + r + 1.0;
    mantissa * f32::from_bits(rounded.to_bits().wrapping_add(127) << 23)
}

/// The error function, absolute error below 3e-7.
///
/// The rational approximation that Eigen and XLA use for single precision: odd over even, for `x` clamped to ±4, beyond
/// which the function is ±1 to the last bit.
#[inline(always)]
fn erf(x: f32) -> f32 {
    let x = x.clamp(-4.0, 4.0);
    let square = x * x;
    let mut p = -2.726_142_4e-10;
    p = p * square + 2.770_681_4e-8;
    p = p * square - 2.101_024e-6;
    p = p * square - 5.692_506_4e-5;
    p = p * square - 7.349_906_3e-4;
    p = p * square - 2.954_6e-3;
    p = p * square - 1.609_603_3e-2;
    let mut q = -1.456_607_2e-5;
    q = q * square - 2.133_740_5e-4;
    q = q * square - 1.682_827e-3;
    q = q * square - 7.373_329e-3;
    q = q * square - 1.426_473_9e-2;
    x * p / q
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(from: f32, to: f32, count: usize) -> Vec<f32> {
        (0..count).map(|i| from + (to - from) * i as f32 / (count - 1) as f32).collect()
    }

    /// Composite Simpson rule on 2/√π · e^(-t²).
    fn exact_erf(x: f64) -> f64 {
        let steps = 2_000;
        let width = x / f64::from(steps);
        let density = |i: i32| (-(width * f64::from(i)).powi(2)).exp();
        let inner: f64 = (1..steps).map(|i| f64::from(2 + 2 * (i % 2)) * density(i)).sum();
        std::f64::consts::FRAC_2_SQRT_PI * width / 3.0 * (density(0) + inner + density(steps))
    }

    #[test]
    fn exp_is_accurate_to_the_last_places() {
        for x in ramp(-86.9, 87.9, 20_001) {
            let exact = f64::from(x).exp();
            assert!((f64::from(exp(x)) / exact - 1.0).abs() < 2.4e-7, "exp({x})");
        }
        assert!(exp(-1e30) < 2e-38);
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn gelu_follows_the_error_function() {
        for isa in Isa::available() {
            // A length that no register width divides.
            let inputs = ramp(-8.0, 8.0, 4_003);
            let mut outputs = inputs.clone();
            gelu(isa, &mut outputs);
            for (x, y) in inputs.into_iter().zip(outputs) {
                let x = f64::from(x);
                let exact = 0.5 * x * (1.0 + exact_erf(x * std::f64::consts::FRAC_1_SQRT_2));
                assert!((f64::from(y) - exact).abs() < 1e-6, "gelu({x}) = {y}, not {exact}");
            }
        }
    }

    #[test]
    fn softmax_columns_sum_to_one() {
        let (width, scale) = (64, 0.177);
        for isa in Isa::available() {
            for height in [1, 2, 31, 70] {
                let inputs = ramp(40.0, -25.0, height * width);
                let (mut rows, mut shares) = (inputs.clone(), Vec::new());
                softmax_columns(isa, &mut rows, width, scale, &mut shares);
                for column in 0..width {
                    let weigh = |row: usize| (f64::from(inputs[row * width + column]) * f64::from(scale)).exp();
                    let total: f64 = (0..height).map(weigh).sum();
                    for row in 0..height {
                        let found = f64::from(rows[row * width + column] * shares[column]);
                        assert!((found - weigh(row) / total).abs() < 1e-6, "{} {height}", isa.name());
                    }
                }
            }
        }
    }

    #[test]
    fn layer_norm_matches_double_precision() {
        let width = 96;
        let gain = ramp(0.5, 1.5, width);
        let bias = ramp(-0.3, 0.2, width);
        let residual: Vec<f32> = (0..2 * width).map(|i| ((i * 37) % 11) as f32 / 5.0).collect();
        for isa in Isa::available() {
            let inputs = ramp(-3.0, 9.0, 2 * width);
            let mut rows = inputs.clone();
            layer_norm(isa, &mut rows, Some(&residual), &gain, &bias, 1e-12);
            for (index, row) in rows.chunks(width).enumerate() {
                let sums: Vec<f64> = (index * width..(index + 1) * width)
                    .map(|i| f64::from(inputs[i]) + f64::from(residual[i]))
                    .collect();
                let mean = sums.iter().sum::<f64>() / width as f64;
                let spread = sums.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / width as f64;
                for (i, &found) in row.iter().enumerate() {
                    let exact = (sums[i] - mean) / (spread + 1e-12).sqrt() * f64::from(gain[i]) + f64::from(bias[i]);
                    assert!((f64::from(found) - exact).abs() < 2e-6, "{found} not {exact}");
                }
            }
        }
    }

    #[test]
    fn instruction_sets_agree_to_the_last_bit() {
        let results: Vec<Vec<f32>> = Isa::available()
            .into_iter()
            .map(|isa| {
                let mut rows = ramp(-5.0, 7.0, 10 * 96);
                let (gain, bias) = (ramp(0.5, 1.5, 96), ramp(-0.3, 0.2, 96));
                layer_norm(isa, &mut rows, None, &gain, &bias, 1e-12);
                gelu(isa, &mut rows);
                let mut shares = Vec::new();
                softmax_columns(isa, &mut rows, 96, 0.5, &mut shares);
                scale_rows(isa, &mut rows, 96, 50, &shares);
                rows
            })
            .collect();
        assert!(results.iter().all(|result| *result == results[0]));
    }
}
