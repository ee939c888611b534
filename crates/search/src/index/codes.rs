//! What a vector is kept as in memory, and what a query is compared with it as.
//!
//! The estimates are RaBitQ's (Gao and Long, SIGMOD 2024; with more bits: SIGMOD 2025): the rotated vector in few bits a
//! number, and one factor that makes the estimate right on average.

use super::rotation::Rotation;
use crate::kernels::{Isa, Levels, Packed, Steps, Sums, Tables, pack, quantize};

/// Standard deviation of a 1-bit estimate times the square root of the bits, for a query at right angles to the vector:
/// √(π/2 − 1), as a sign keeps √(2/π) of a normally distributed number.
const BIT_NOISE: f32 = 0.7555;

/// What a sum under a vector's signs is multiplied with, times the square root of the bits: √(π/2).
const BIT_FACTOR: f32 = 1.2533;

/// The steps of coarse and of fine numbers, where the numbers have a standard deviation of 1. For coarse numbers alone 1 would
/// be best, with a noise of 0.36 instead of 0.38; a wider step leaves the fine ones less to reach for. Eight fine steps make
/// a coarse one; sixteen reach a coarse step beyond the outermost ones.
const STEPS: Steps = Steps { coarse: 1.2, fine: 0.15 };

/// The fine steps between a row's lowest level and its zero, as a coarse step is worth eight.
const MIDDLE: f32 = 1.5 * 8.0 + 7.5;

/// From unit vectors of one length to codes.
pub(super) struct Encoder {
    rotation: Rotation,
    dims: usize,
    isa: Isa,
}

/// What estimates by a vector's codes are multiplied with, and how good they are.
#[derive(Clone, Copy)]
pub(super) struct Encoded {
    /// From the sum of the query's numbers under the signs to the estimate.
    pub(super) bit_factor: f32,
    /// Of the rotated vector, rounded to four levels.
    pub(super) coarse: Rounded,
    /// Of the same with what that left, in sixteen levels.
    pub(super) fine: Rounded,
}

/// How good the estimate by a rounded vector is.
#[derive(Clone, Copy)]
pub(super) struct Rounded {
    /// From the sum of products, in the query's and in fine steps, to the estimate.
    pub(super) factor: f32,
    /// Standard deviation of the estimate times the square root of the numbers, for a query at right angles.
    pub(super) noise: f32,
}

/// Room to work in, for many vectors.
#[derive(Default)]
pub(super) struct Scratch {
    rotated: Vec<f32>,
    levels: Vec<u8>,
}

/// A unit query, ready for each precision.
pub(super) struct Query {
    pub(super) unit: Vec<f32>,
    /// For each nibble of a code, what its four signs add up to, in steps of `step` above −`offset`.
    pub(super) tables: Tables,
    pub(super) step: f32,
    pub(super) offset: f32,
    /// The rotated query, rounded to whole multiples of `scale`.
    pub(super) bytes: Vec<i8>,
    pub(super) scale: f32,
    /// Their sum.
    sum: f32,
    /// Length of what rounding left out.
    rest: f32,
}

impl Query {
    /// The sum of products from that with the coarse code and, where it is looked at, that with the fine one, in whole steps;
    /// a row's factor makes the estimate of it.
    pub(super) fn total(&self, coarse: i32, fine: Option<i32>) -> f32 {
        // Below 2²⁴, so that it is exact.
        match fine {
            Some(fine) => ((8 * coarse + fine) as f32 - MIDDLE * self.sum) * self.scale,
            None => (coarse as f32 - 1.5 * self.sum) * 8.0 * self.scale,
        }
    }
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

    /// Bytes of a vector's code of so many bits a number.
    pub(super) fn width(&self, packed: Packed) -> usize {
        packed.width(self.rotation.width())
    }

    /// Standard deviation of a 1-bit estimate where the true cosine is `score`: of the signs, which is the smaller the
    /// nearer the two are, and of rounding the query's tables.
    pub(super) fn bit_noise(&self, query: &Query, score: f32) -> f32 {
        let width = self.rotation.width() as f32;
        let signs = BIT_NOISE.powi(2) * (1.0 - score * score).max(0.0) / width;
        let tables = (width / 4.0) * query.step.powi(2) / 12.0 * BIT_FACTOR.powi(2) / width;
        (signs + tables).sqrt()
    }

    /// Standard deviation of an estimate by a [`Rounded`] row of this noise, where it is `score`: of rounding the row, and of
    /// rounding the query.
    pub(super) fn noise(&self, query: &Query, noise: f32, score: f32) -> f32 {
        // The true cosine of nearly alike vectors lies a little below the estimate.
        let apart = (1.0 - score * score).max(0.0) + 1e-3;
        ((noise.powi(2) * apart + query.rest.powi(2)) / self.rotation.width() as f32).sqrt()
    }

    /// Bytes of a vector's three codes.
    pub(super) fn code_width(&self) -> usize {
        self.bit_width() + self.width(Packed::Two) + self.width(Packed::Four)
    }

    /// A vector's three codes apart: the signs of the rotated vector, eight a byte, the first one lowest; the coarse code;
    /// the fine code.
    pub(super) fn apart<'a>(&self, codes: &'a [u8]) -> [&'a [u8]; 3] {
        let (bits, rest) = codes.split_at(self.bit_width());
        let (coarse, fine) = rest.split_at(self.width(Packed::Two));
        [bits, coarse, fine]
    }

    /// Writes a unit vector's codes, one behind the other, into `codes`, [`Self::code_width`] bytes.
    pub(super) fn encode(&self, unit: &[f32], scratch: &mut Scratch, codes: &mut [u8]) -> Encoded {
        let Scratch { rotated, levels } = scratch;
        self.rotation.apply(self.isa, unit, rotated);
        let width = rotated.len();
        levels.resize(2 * width, 0);
        let (coarse, fine) = levels.split_at_mut(width);
        let (bits, packed) = codes.split_at_mut(self.bit_width());
        let root = (width as f32).sqrt();
        let levels = Levels { bits, coarse: &mut *coarse, fine: &mut *fine };
        let rounded = quantize(self.isa, rotated, root, STEPS, levels);
        let (packed_coarse, packed_fine) = packed.split_at_mut(self.width(Packed::Two));
        pack(Packed::Two, coarse, packed_coarse);
        pack(Packed::Four, fine, packed_fine);
        Encoded {
            bit_factor: root / rounded.length,
            coarse: Rounded::of(rounded.coarse, width),
            fine: Rounded::of(rounded.fine, width),
        }
    }

    pub(super) fn query(&self, unit: Vec<f32>) -> Query {
        let mut rotated = Vec::new();
        self.rotation.apply(self.isa, &unit, &mut rotated);
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

        let largest = rotated.iter().fold(f32::MIN_POSITIVE, |most, number| most.max(number.abs()));
        let scale = largest / 127.0;
        let bytes: Vec<i8> = rotated.iter().map(|n| (n / scale).round().clamp(-127.0, 127.0) as i8).collect();
        let rest = |(n, byte): (&f32, &i8)| (n - scale * f32::from(*byte)).powi(2);
        let rest = rotated.iter().zip(&bytes).map(rest).sum::<f32>().sqrt();
        let sum = bytes.iter().map(|byte| i32::from(*byte)).sum::<i32>() as f32;
        Query { unit, tables, step, offset, bytes, scale, sum, rest }
    }
}

impl Rounded {
    fn of(Sums { squares, products }: Sums, width: usize) -> Self {
        let width = width as f32;
        // The estimate is ⟨rounded, query⟩ / ⟨rounded, vector⟩, and `products` is the latter in units of 1 / √width.
        let factor = STEPS.fine * width.sqrt() / products;
        Self { factor, noise: (squares * width / products.powi(2) - 1.0).max(0.0).sqrt() }
    }
}

#[cfg(test)]
mod tests {
    use soniquebay_domain::{Vector, dot};

    use super::{Encoded, Encoder, Query, Scratch};
    use crate::index::rotation::random;
    use crate::kernels::{GROUP, Packed, add_up, multiply, place};

    /// A unit vector; its first numbers are heavier than the others.
    fn unit(dims: usize, seed: usize) -> Vec<f32> {
        let mut state = seed as u64 + 1;
        let mut next = || random(&mut state) as f32 / u64::MAX as f32 - 0.5;
        let numbers = (0..dims).map(|i| next() * if i < 3 { 4.0 } else { 1.0 }).collect();
        Vector::new(numbers).unwrap().to_unit()
    }

    fn encode(encoder: &Encoder, unit: &[f32]) -> (Encoded, [Vec<u8>; 3]) {
        let mut codes = vec![0; encoder.code_width()];
        let encoded = encoder.encode(unit, &mut Scratch::default(), &mut codes);
        (encoded, encoder.apart(&codes).map(<[u8]>::to_vec))
    }

    fn product(encoder: &Encoder, codes: &[u8], packed: Packed, query: &Query) -> i32 {
        let mut product = [0];
        multiply(encoder.isa(), packed, &[codes], &query.bytes, &[0], &mut product);
        product[0]
    }

    /// Mean and variance of what estimates are off, in standard deviations as they are said to be, and the most; of pairs
    /// that lie anywhere and of pairs that are near.
    fn spread(dims: usize, off: impl Fn(&Encoder, Vec<f32>, &Query, f32) -> f32) {
        let (encoder, pairs) = (Encoder::new(dims), 2000);
        for nearness in [0.0, 1.0, 10.0] {
            let (mut mean, mut squares, mut most) = (0.0, 0.0, 0f32);
            for seed in 0..pairs {
                let (row, mut other) = (unit(dims, seed), unit(dims, pairs + 3 * seed));
                other.iter_mut().zip(&row).for_each(|(n, row)| *n += row * nearness);
                let other = Vector::new(other).unwrap().to_unit();
                let exact = dot(&row, &other);
                let off = off(&encoder, row, &encoder.query(other), exact);
                mean += off / pairs as f32;
                squares += off * off / pairs as f32;
                most = most.max(off.abs());
            }
            assert!(mean.abs() < 0.2, "{dims} at {nearness}: mean {mean}");
            assert!(squares < 1.3 && (squares > 0.7 || nearness > 1.0), "{dims} at {nearness}: variance {squares}");
            assert!(most < 5.0, "{dims} at {nearness}: {most} standard deviations");
        }
    }

    #[test]
    fn rounded_estimates_lie_as_the_noise_says() {
        for dims in [24, 396, 1024] {
            spread(dims, |encoder, row, query, exact| {
                let (row, codes) = encode(encoder, &row);
                assert!((0.3..0.5).contains(&row.coarse.noise), "{dims}: {}", row.coarse.noise);
                let estimate = query.total(product(encoder, &codes[1], Packed::Two, query), None) * row.coarse.factor;
                (estimate - exact) / encoder.noise(query, row.coarse.noise, exact)
            });
            spread(dims, |encoder, row, query, exact| {
                let (row, codes) = encode(encoder, &row);
                assert!((0.03..0.12).contains(&row.fine.noise), "{dims}: {}", row.fine.noise);
                let coarse = product(encoder, &codes[1], Packed::Two, query);
                let fine = product(encoder, &codes[2], Packed::Four, query);
                let estimate = query.total(coarse, Some(fine)) * row.fine.factor;
                (estimate - exact) / encoder.noise(query, row.fine.noise, exact)
            });
        }
    }

    #[test]
    fn bit_estimates_lie_as_the_noise_says() {
        for dims in [24, 396] {
            spread(dims, |encoder, row, query, exact| {
                let (row, codes) = encode(encoder, &row);
                let mut group = vec![0; GROUP * encoder.bit_width()];
                codes[0].iter().enumerate().for_each(|(byte, bits)| group[byte * GROUP + place(5)] = *bits);
                let mut sums = [0; GROUP];
                add_up(encoder.isa(), &group, &query.tables, &mut sums);
                let estimate = (f32::from(sums[5]) * query.step - query.offset) * row.bit_factor;
                (estimate - exact) / encoder.bit_noise(query, exact)
            });
        }
    }
}
