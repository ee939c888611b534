//! What a vector is kept as in memory, and what a query is compared with it as.
//!
//! The 1-bit estimate is RaBitQ's (Gao and Long, SIGMOD 2024): signs of the rotated vector, and one factor that makes the
//! estimate right on average.

use super::rotation::Rotation;
use crate::kernels::{Isa, STRIDE, Tables};

/// Standard deviation of a 1-bit estimate times the square root of the bits, for a query at right angles to the vector:
/// √(π/2 − 1), as a sign keeps √(2/π) of a normally distributed number.
const BIT_NOISE: f32 = 0.7555;

/// What a sum under a vector's signs is multiplied with, times the square root of the bits: √(π/2).
const BIT_FACTOR: f32 = 1.2533;

/// Added to a number of at most 22 bits, it leaves the nearest whole one in the lowest bits, in one step for as many
/// numbers as a register holds.
const ROUNDING: f32 = 12_582_912.0;

/// From unit vectors of one length to codes.
pub(super) struct Encoder {
    rotation: Rotation,
    dims: usize,
    isa: Isa,
}

/// A unit vector in its three precisions.
pub(super) struct Encoded {
    /// As it came.
    pub(super) unit: Vec<f32>,
    /// Signs of the rotated vector, eight a byte, the first one lowest.
    pub(super) bits: Vec<u8>,
    /// From the sum of the query's numbers under those signs to the estimate.
    pub(super) bit_factor: f32,
    /// Rounded to whole multiples of `scale`, padded with zeros.
    pub(super) bytes: Vec<i8>,
    /// What one step of `bytes` is worth.
    pub(super) scale: f32,
    /// Length of what rounding left out, in steps.
    pub(super) rest: f32,
}

/// A unit query, ready for each precision.
pub(super) struct Query {
    pub(super) unit: Vec<f32>,
    /// For each nibble of a code, what its four signs add up to, in steps of `step` above −`offset`.
    pub(super) tables: Tables,
    pub(super) step: f32,
    pub(super) offset: f32,
    /// Rounded to whole multiples of `scale`, padded with zeros.
    pub(super) words: Vec<i16>,
    pub(super) scale: f32,
    /// Length of what rounding left out.
    pub(super) rest: f32,
}

impl Encoder {
    pub(super) fn new(dims: usize) -> Self {
        Self { rotation: Rotation::new(dims), dims, isa: Isa::detect() }
    }

    pub(super) fn dims(&self) -> usize {
        self.dims
    }

    /// What compares its codes.
    pub(super) fn isa(&self) -> Isa {
        self.isa
    }

    /// Bytes of a vector's signs.
    pub(super) fn bit_width(&self) -> usize {
        self.rotation.width() / 8
    }

    /// Bytes of a vector's int8 code.
    pub(super) fn byte_width(&self) -> usize {
        self.dims.next_multiple_of(STRIDE)
    }

    /// Standard deviation of a 1-bit estimate where the true cosine is `score`: of the signs, which is the smaller the
    /// nearer the two are, and of rounding the query's tables.
    pub(super) fn bit_noise(&self, query: &Query, score: f32) -> f32 {
        let width = self.rotation.width() as f32;
        let signs = BIT_NOISE.powi(2) * (1.0 - score * score).max(0.0) / width;
        let tables = (width / 4.0) * query.step.powi(2) / 12.0 * BIT_FACTOR.powi(2) / width;
        (signs + tables).sqrt()
    }

    /// How far two float32 sums of one product may lie apart.
    pub(super) fn rounding(&self) -> f32 {
        (self.dims as f32 / 16.0 + 20.0) * f32::EPSILON
    }

    pub(super) fn encode(&self, unit: Vec<f32>) -> Encoded {
        let rotated = self.rotation.apply(&unit);
        let byte = |eight: &[f32]| eight.iter().rev().fold(0, |byte, n| byte << 1 | u8::from(*n >= 0.0));
        let bits = rotated.chunks_exact(8).map(byte).collect();
        let bit_factor = rotated.iter().map(|n| n.abs()).sum::<f32>().recip();

        let scale = largest(&unit) / 127.0;
        let steps = scale.recip();
        let mut bytes: Vec<i8> = unit.iter().map(|n| ((n * steps + ROUNDING).to_bits() as i8).max(-127)).collect();
        let mut rests = [0f32; 16];
        for (numbers, bytes) in unit.chunks(16).zip(bytes.chunks(16)) {
            for (rest, (n, byte)) in rests.iter_mut().zip(numbers.iter().zip(bytes)) {
                *rest += (n * steps - f32::from(*byte)).powi(2);
            }
        }
        let rest = rests.iter().sum::<f32>().sqrt();
        bytes.resize(self.byte_width(), 0);
        Encoded { unit, bits, bit_factor, bytes, scale, rest }
    }

    pub(super) fn query(&self, unit: Vec<f32>) -> Query {
        let rotated = self.rotation.apply(&unit);
        let nibbles = rotated.as_chunks::<4>().0;
        let span = |four: &[f32; 4]| four.iter().map(|n| n.abs()).sum::<f32>();
        let half = f32::from(Tables::LARGEST) / 2.0;
        let step = nibbles.iter().map(span).fold(f32::MIN_POSITIVE, f32::max) / half;
        let table = |four: &[f32; 4]| {
            std::array::from_fn(|signs| {
                let signed = |(i, n): (usize, &f32)| if signs >> i & 1 == 1 { *n } else { -n };
                // The cast saturates at 0; rounding up cannot pass the largest entry.
                (four.iter().enumerate().map(signed).sum::<f32>() / step + half).round().min(2.0 * half) as u8
            })
        };
        let tables = Tables::new(nibbles.iter().map(table).collect());
        let offset = half * step * nibbles.len() as f32;

        // By Cauchy and Schwarz no product with a row, whose length is at most 127·√dims steps, leaves 32 bits.
        let bound = (1u32 << 30) as f32 / (127.0 * (self.byte_width() as f32).sqrt());
        let scale = (largest(&unit) / 32_767.0).max(bound.recip());
        let mut words: Vec<i16> = unit.iter().map(|n| (n / scale).round_ties_even() as i16).collect();
        let rest = |(n, word): (&f32, &i16)| (n - scale * f32::from(*word)).powi(2);
        let rest = unit.iter().zip(&words).map(rest).sum::<f32>().sqrt();
        words.resize(self.byte_width(), 0);
        Query { unit, tables, step, offset, words, scale, rest }
    }
}

/// The largest size of a number; never zero, as it divides.
fn largest(numbers: &[f32]) -> f32 {
    numbers.iter().fold(f32::MIN_POSITIVE, |most, number| most.max(number.abs()))
}

#[cfg(test)]
mod tests {
    use soniquebay_domain::{Vector, dot};

    use super::Encoder;
    use crate::index::rotation::random;
    use crate::kernels::{GROUP, add_up, multiply, place};

    /// A unit vector; its first numbers are heavier than the others.
    fn unit(dims: usize, seed: usize) -> Vec<f32> {
        let mut state = seed as u64 + 1;
        let mut next = || random(&mut state) as f32 / u64::MAX as f32 - 0.5;
        let numbers = (0..dims).map(|i| next() * if i < 3 { 4.0 } else { 1.0 }).collect();
        Vector::new(numbers).unwrap().to_unit()
    }

    #[test]
    fn int8_products_keep_their_bound() {
        for dims in [1, 2, 24, 396, 4096] {
            let encoder = Encoder::new(dims);
            for seed in 0..20 {
                let (row, query) = (encoder.encode(unit(dims, seed)), encoder.query(unit(dims, seed * seed + 1)));
                let mut product = [0];
                multiply(encoder.isa(), &row.bytes, &query.words, &[0], &mut product);
                let estimate = product[0] as f32 * row.scale * query.scale;
                let bound = row.rest * row.scale + 1.1 * query.rest + encoder.rounding();
                let exact = dot(&row.unit, &query.unit);
                assert!((estimate - exact).abs() <= bound, "{dims}: {estimate} for {exact}, within {bound}");
                assert!(bound < 0.02, "{dims}: {bound}");
            }
        }
    }

    #[test]
    fn bit_estimates_lie_as_the_noise_says() {
        for dims in [24, 396] {
            let encoder = Encoder::new(dims);
            let (mut squares, mut mean, pairs) = (0.0, 0.0, 2000);
            for seed in 0..pairs {
                let (row, query) = (encoder.encode(unit(dims, seed)), encoder.query(unit(dims, pairs + 3 * seed)));
                let mut codes = vec![0; GROUP * encoder.bit_width()];
                row.bits.iter().enumerate().for_each(|(byte, bits)| codes[byte * GROUP + place(5)] = *bits);
                let mut sums = [0; GROUP];
                add_up(encoder.isa(), &codes, &query.tables, &mut sums);
                let estimate = (f32::from(sums[5]) * query.step - query.offset) * row.bit_factor;
                let exact = dot(&row.unit, &query.unit);
                let off = (estimate - exact) / encoder.bit_noise(&query, exact);
                mean += off / pairs as f32;
                squares += off * off / pairs as f32;
            }
            assert!(mean.abs() < 0.2, "{dims}: mean {mean}");
            assert!((0.7..1.3).contains(&squares), "{dims}: variance {squares}");
        }
    }
}
