//! Half the sample rate, again and again: what is listened to lies below 8 kHz.

/// Pairs of coefficients beside the centre. With this many, what a 44.1 kHz file has below 7.9 kHz passes within 0.01 dB and what would
/// fold onto it is 70 dB down.
const PAIRS: usize = 8;
const TAPS: usize = 2 * PAIRS;

/// A half-band low-pass filter (a sinc under a Kaiser window, β = 7) that keeps every second sample. Every other coefficient of such a
/// filter is zero, and so the even samples are only delayed and the odd ones filtered.
#[derive(Clone)]
pub(super) struct HalfBand {
    coefficients: [f32; TAPS],
    even: Vec<f32>,
    odd: Vec<f32>,
    pending: Option<f32>,
}

impl HalfBand {
    pub(super) fn new() -> Self {
        let beta = 7.0;
        let mut coefficients = [0.0; TAPS];
        for (tap, coefficient) in coefficients.iter_mut().enumerate() {
            // Odd distances from the centre, −15 to 15.
            let distance = 2.0 * tap as f64 - (TAPS as f64 - 1.0);
            let angle = std::f64::consts::FRAC_PI_2 * distance;
            let place = distance / TAPS as f64;
            *coefficient =
                (0.5 * angle.sin() / angle * bessel(beta * (1.0 - place * place).sqrt()) / bessel(beta)) as f32;
        }
        // Both halves pass a constant alike.
        let scale = 0.5 / coefficients.iter().sum::<f32>();
        coefficients.iter_mut().for_each(|coefficient| *coefficient *= scale);
        Self { coefficients, even: vec![0.0; PAIRS - 1], odd: vec![0.0; TAPS - 1], pending: None }
    }

    /// Appends to `output` what `input` gives.
    pub(super) fn process(&mut self, input: &[f32], output: &mut Vec<f32>) {
        let mut rest = input;
        if let (Some(first), Some((second, tail))) = (self.pending, input.split_first()) {
            self.even.push(first);
            self.odd.push(*second);
            self.pending = None;
            rest = tail;
        }
        let (pairs, last) = rest.as_chunks::<2>();
        for [even, odd] in pairs {
            self.even.push(*even);
            self.odd.push(*odd);
        }
        self.pending = last.first().copied().or(self.pending);
        let count = self.odd.len() - (TAPS - 1);
        let start = output.len();
        output.extend(self.even[..count].iter().map(|sample| 0.5 * sample));
        let made = &mut output[start..];
        for (tap, coefficient) in self.coefficients.iter().enumerate() {
            for (made, sample) in made.iter_mut().zip(&self.odd[tap..]) {
                *made += coefficient * sample;
            }
        }
        self.even.drain(..count);
        self.odd.drain(..count);
    }
}

/// The modified Bessel function of the first kind, order 0.
fn bessel(x: f64) -> f64 {
    let mut term = 1.0;
    let mut sum = 1.0;
    for k in 1..40 {
        term *= (x / (2.0 * f64::from(k))).powi(2);
        sum += term;
    }
    sum
}

/// Several halvings in a row.
#[derive(Clone)]
pub(super) struct Decimator {
    stages: Vec<HalfBand>,
    buffers: [Vec<f32>; 2],
}

impl Decimator {
    /// Halves `rate` as long as it is `ceiling` or more. Returns the rate that is left too.
    pub(super) fn below(rate: f64, ceiling: f64) -> (Self, f64) {
        let mut rate = rate;
        let mut stages = Vec::new();
        while rate >= ceiling {
            stages.push(HalfBand::new());
            rate /= 2.0;
        }
        (Self { stages, buffers: Default::default() }, rate)
    }

    /// What `input` gives, which is `input` itself where there is nothing to halve.
    pub(super) fn process<'a>(&'a mut self, input: &'a [f32]) -> &'a [f32] {
        let [from, to] = &mut self.buffers;
        let mut first = true;
        for stage in &mut self.stages {
            to.clear();
            stage.process(if first { input } else { from }, to);
            std::mem::swap(from, to);
            first = false;
        }
        if first { input } else { from }
    }
}

#[cfg(test)]
mod tests {
    use super::Decimator;

    fn level_after(rate: f64, frequency: f64, chunk: usize) -> f64 {
        let (mut decimator, left) = Decimator::below(rate, 44_100.0);
        let tone: Vec<f32> =
            (0..20_000).map(|n| (std::f64::consts::TAU * frequency * f64::from(n) / rate).sin() as f32).collect();
        let mut heard: Vec<f32> = Vec::new();
        for part in tone.chunks(chunk) {
            heard.extend(decimator.process(part));
        }
        assert!((heard.len() as f64 - 20_000.0 * left / rate).abs() < 2.0);
        let steady = &heard[100..];
        (2.0 * steady.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / steady.len() as f64).sqrt()
    }

    #[test]
    fn what_is_listened_to_passes_and_what_would_fold_onto_it_does_not() {
        for rate in [44_100.0, 48_000.0, 96_000.0, 192_000.0] {
            for frequency in [100.0, 1_000.0, 7_800.0] {
                let level = level_after(rate, frequency, 333);
                assert!((level - 1.0).abs() < 0.005, "{frequency} of {rate}: {level}");
            }
        }
        for frequency in [14_300.0, 18_000.0, 21_900.0] {
            let level = level_after(44_100.0, frequency, 1_152);
            assert!(level < 0.001, "{frequency}: {level}");
        }
    }

    #[test]
    fn the_sizes_of_blocks_change_nothing() {
        let sound: Vec<f32> = (0u32..5_000).map(|n| (n.wrapping_mul(2_654_435_761) >> 16) as f32 / 65_536.0).collect();
        let all = |chunk: usize| {
            let (mut decimator, _) = Decimator::below(176_400.0, 44_100.0);
            sound.chunks(chunk).flat_map(|part| decimator.process(part).to_vec()).collect::<Vec<f32>>()
        };
        let whole = all(5_000);
        for chunk in [1, 2, 3, 7, 1_000] {
            assert_eq!(all(chunk), whole, "{chunk}");
        }
    }
}
