//! How loud a sound of each frequency seems: the K-weighting of ITU-R BS.1770.

use std::array::from_fn;
use std::f64::consts::PI;

/// A shelf that raises treble and a high-pass, as one filter of the fourth order, and what it remembers of each channel.
pub(super) struct KWeighting {
    forward: [f64; 5],
    /// The first one is 1 and left out.
    back: [f64; 4],
    channels: Vec<[f64; 4]>,
}

impl KWeighting {
    /// BS.1770 gives the coefficients at 48 kHz; these are the analogue filters that they come from, found by De Man,
    /// "Evaluation of Implementations of the EBU R128 Loudness Measurement" (AES 145, 2018), at any rate in Hz.
    pub(super) fn new(rate: f64, channels: usize) -> Self {
        let (frequency, gain, q) = (1_681.974_450_955_533_f64, 3.999_843_853_973_347_f64, 0.707_175_236_955_419_6_f64);
        let k = (PI * frequency / rate).tan();
        let high = 10f64.powf(gain / 20.0);
        let middle = high.powf(0.499_666_774_154_541_6);
        let norm = 1.0 + k / q + k * k;
        let shelf = [high + middle * k / q + k * k, 2.0 * (k * k - high), high - middle * k / q + k * k];
        let shelf_back = [1.0, 2.0 * (k * k - 1.0) / norm, (1.0 - k / q + k * k) / norm];

        let (frequency, q) = (38.135_470_876_024_44, 0.500_327_037_323_877_3);
        let k = (PI * frequency / rate).tan();
        let pass_norm = 1.0 + k / q + k * k;
        let pass_back = [1.0, 2.0 * (k * k - 1.0) / pass_norm, (1.0 - k / q + k * k) / pass_norm];

        let [_, back @ ..] = product(shelf_back, pass_back);
        Self { forward: product(shelf.map(|n| n / norm), [1.0, -2.0, 1.0]), back, channels: vec![[0.0; 4]; channels] }
    }

    /// Adds to each channel's sum the squares of its samples after the filter.
    pub(super) fn add_squares(&mut self, samples: &[&[f32]], sums: &mut [f64]) {
        let Self { forward, back, channels } = self;
        for ((samples, states), sums) in samples.chunks(2).zip(channels.chunks_mut(2)).zip(sums.chunks_mut(2)) {
            // Two channels side by side take as long as one: each sample waits for the one before.
            match (samples, states, sums) {
                ([a, b], [first, second], [left, right]) => {
                    let (states, squares) = run(forward, back, [a, b], [*first, *second]);
                    [*first, *second] = states;
                    *left += squares[0];
                    *right += squares[1];
                }
                ([only], [state], [sum]) => {
                    let ([after], [squares]) = run(forward, back, [only], [*state]);
                    *state = after;
                    *sum += squares;
                }
                _ => {}
            }
        }
    }
}

/// What two polynomials of the second degree give.
fn product(a: [f64; 3], b: [f64; 3]) -> [f64; 5] {
    let mut all = [0.0; 5];
    for (i, a) in a.into_iter().enumerate() {
        for (j, b) in b.into_iter().enumerate() {
            all[i + j] += a * b;
        }
    }
    all
}

/// The channels' states after these samples, and the sums of their squares. Direct form II.
fn run<const N: usize>(
    forward: &[f64; 5],
    back: &[f64; 4],
    samples: [&[f32]; N],
    states: [[f64; 4]; N],
) -> ([[f64; 4]; N], [f64; N]) {
    let length = samples.iter().map(|samples| samples.len()).min().unwrap_or(0);
    let samples = samples.map(|samples| &samples[..length]);
    let [mut one, mut two, mut three, mut four]: [[f64; N]; 4] = from_fn(|past| from_fn(|lane| states[lane][past]));
    let mut squares = [0.0; N];
    #[expect(clippy::needless_range_loop, reason = "the samples of all lanes at one place, not those of one lane")]
    for at in 0..length {
        // The latest state comes last: only that much must be waited for.
        let now: [f64; N] = from_fn(|lane| {
            let older = f64::from(samples[lane][at]) - back[3] * four[lane] - back[2] * three[lane];
            (older - back[1] * two[lane]) - back[0] * one[lane]
        });
        for lane in 0..N {
            let older = forward[4] * four[lane] + forward[3] * three[lane] + forward[2] * two[lane];
            let weighted = older + forward[1] * one[lane] + forward[0] * now[lane];
            squares[lane] += weighted * weighted;
        }
        (one, two, three, four) = (now, one, two, three);
    }
    // In digital silence a state would fade into numbers that processors are slow with; one that is no number would stay.
    let settled = |state: f64| if state.is_finite() && state.abs() > 1e-30 { state } else { 0.0 };
    (from_fn(|lane| [one, two, three, four].map(|past| settled(past[lane]))), squares)
}
