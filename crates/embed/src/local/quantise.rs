//! From single precision to 8 bits.

use super::elementwise::fold;
use super::kernels::{Isa, Pass};

/// Rows of weights in whole steps of -127 to 127.
#[derive(Debug)]
pub(crate) struct QuantisedRows {
    /// `[rows, width]`
    pub(crate) values: Vec<i8>,
    /// What one step is worth, for each row.
    pub(crate) scales: Vec<f32>,
}

impl QuantisedRows {
    /// The furthest value of a row becomes ±127, all others the nearest step. A row that holds anything but finite numbers
    /// gets a scale that is no number, so that no vector made of it passes.
    pub(crate) fn new(rows: &[f32], width: usize) -> QuantisedRows {
        let mut quantised = QuantisedRows { values: Vec::with_capacity(rows.len()), scales: Vec::new() };
        for row in rows.chunks_exact(width) {
            let furthest = row.iter().fold(0.0f32, |furthest, value| furthest.max(value.abs()));
            let finite = row.iter().all(|value| value.is_finite());
            let scale = if finite { furthest.max(f32::MIN_POSITIVE) / 127.0 } else { f32::NAN };
            // `as` saturates, and makes zero of what is no number.
            quantised.values.extend(row.iter().map(|value| (value / scale).round_ties_even() as i8));
            quantised.scales.push(scale);
        }
        quantised
    }
}

/// Activations in whole steps of 0 to 255, of which one stands for zero: activations lie unevenly around it, after GELU
/// almost all on one side. One scale and one zero a token, so that a token's values never depend on its company.
#[derive(Debug, Default)]
pub(crate) struct Activations {
    /// `[rows, width]`
    pub(crate) values: Vec<u8>,
    /// What one step is worth, for each row.
    pub(crate) scales: Vec<f32>,
    /// Which step stands for zero, for each row.
    pub(crate) zeros: Vec<i32>,
}

impl Activations {
    /// Takes the place of what was there before. `width` is a multiple of 32.
    pub(crate) fn quantise(&mut self, isa: Isa, rows: &[f32], width: usize) {
        let count = rows.len() / width;
        self.values.resize(rows.len(), 0);
        self.scales.resize(count, 0.0);
        self.zeros.resize(count, 0);
        isa.vectorise(Quantise { rows, width, into: self });
    }
}

struct Quantise<'a> {
    rows: &'a [f32],
    width: usize,
    into: &'a mut Activations,
}

impl Pass for Quantise<'_> {
    #[inline(always)]
    fn run(self) {
        /// 1.5 · 2²³: adding it rounds to a whole number, kept in the low bits.
        const ROUND: f32 = 12_582_912.0;
        let Activations { values, scales, zeros } = self.into;
        let values = values.chunks_exact_mut(self.width);
        let rows = self.rows.chunks_exact(self.width).zip(values);
        for ((row, values), (scale, zero)) in rows.zip(scales.iter_mut().zip(zeros.iter_mut())) {
            let lowest = fold(row, 0.0, f32::min, |value| value);
            let highest = fold(row, 0.0, f32::max, |value| value);
            let range = (highest - lowest).max(f32::MIN_POSITIVE);
            // An infinite range makes every product with this row infinite or no number: so shall it be.
            *scale = range / 255.0;
            let inverse = 255.0 / range;
            let middle = (-lowest * inverse + ROUND) - ROUND;
            *zero = middle as i32;
            for (step, value) in values.iter_mut().zip(row) {
                let rounded = (value * inverse + middle).clamp(0.0, 255.0) + ROUND;
                *step = rounded.to_bits() as u8;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_within_half_a_step() {
        let rows: Vec<f32> = (0..96).map(|i| ((i * 37) % 64) as f32 / 10.0 - 2.0).collect();
        let quantised = QuantisedRows::new(&rows, 32);
        assert_eq!(quantised.scales.len(), 3);
        for (i, value) in rows.iter().enumerate() {
            let scale = quantised.scales[i / 32];
            assert!((f32::from(quantised.values[i]) * scale - value).abs() <= scale * 0.501);
        }
    }

    #[test]
    fn rows_of_zeros_stay_zero_and_damaged_ones_are_no_numbers() {
        let quantised = QuantisedRows::new(&[0.0, 0.0, 1.0, f32::INFINITY, f32::NAN, 1.0], 2);
        assert_eq!(quantised.values[..2], [0, 0]);
        assert!(quantised.scales[0].is_finite());
        assert!(quantised.scales[1].is_nan() && quantised.scales[2].is_nan());
    }

    #[test]
    fn activations_are_within_a_step_and_zero_is_exact() {
        let rows: Vec<f32> = (0..5 * 64)
            .map(|i| match i / 64 {
                0 => ((i * 37) % 64) as f32 / 7.0 - 3.0,
                1 => ((i * 37) % 64) as f32 / 7.0,
                2 => -(((i * 37) % 64) as f32),
                3 => 0.0,
                _ => 1e-20 * i as f32,
            })
            .collect();
        let mut all = Vec::new();
        for isa in Isa::available() {
            let mut quantised = Activations::default();
            quantised.quantise(isa, &rows, 64);
            for (i, value) in rows.iter().enumerate() {
                let (scale, zero) = (quantised.scales[i / 64], quantised.zeros[i / 64]);
                assert!((0..=255).contains(&zero));
                let found = (i32::from(quantised.values[i]) - zero) as f32 * scale;
                assert!((found - value).abs() <= scale, "{found} for {value}");
                assert!(*value != 0.0 || found == 0.0);
            }
            all.push((quantised.values, quantised.scales, quantised.zeros));
        }
        assert!(all.iter().all(|one| *one == all[0]));
    }

    #[test]
    fn an_infinite_activation_is_not_lost() {
        let mut row = [1.0; 32];
        row[5] = f32::INFINITY;
        let mut quantised = Activations::default();
        quantised.quantise(Isa::detect(), &row, 32);
        assert!(!quantised.scales[0].is_finite());
    }
}
