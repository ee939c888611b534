//! Bands as wide as the ear's.

/// Bands between [`LOWEST`] and [`HIGHEST`] Hz.
pub(super) const BANDS: usize = 36;
const LOWEST: f64 = 40.0;
/// A file of 22.05 kHz has it too, and so has an MP3 of 64 kbit/s.
const HIGHEST: f64 = 8_000.0;

/// Triangles on the mel scale (O'Shaughnessy 1987), each summing the power of its bins.
pub(super) struct Bands {
    /// For each bin its lower band and the share that it gets; the next band gets the rest. Bins below and above all bands are left out.
    shares: Vec<(usize, f32)>,
    first_bin: usize,
}

fn mel(hertz: f64) -> f64 {
    2595.0 * (1.0 + hertz / 700.0).log10()
}

/// The middle of a band, in Hz.
pub(super) fn centre(band: usize) -> f64 {
    let step = (mel(HIGHEST) - mel(LOWEST)) / (BANDS + 1) as f64;
    700.0 * (10f64.powf((mel(LOWEST) + step * (band + 1) as f64) / 2595.0) - 1.0)
}

impl Bands {
    /// For `bins` bins of `width` Hz.
    pub(super) fn new(bins: usize, width: f64) -> Self {
        let step = (mel(HIGHEST) - mel(LOWEST)) / (BANDS + 1) as f64;
        let place = |bin: usize| (mel(bin as f64 * width) - mel(LOWEST)) / step;
        let first_bin = (0..bins).find(|bin| place(*bin) >= 0.0).unwrap_or(bins);
        let shares = (first_bin..bins).map(place).take_while(|place| *place < (BANDS + 1) as f64);
        // Band b rises from place b to b + 1 and falls until b + 2.
        let shares = shares.map(|place| (place as usize, (1.0 - place.fract()) as f32)).collect();
        Self { shares, first_bin }
    }

    pub(super) fn sum(&self, power: &[f32]) -> [f32; BANDS] {
        // One more on either side for what the outermost triangles do not take.
        let mut sums = [0.0; BANDS + 2];
        for ((lower, share), power) in self.shares.iter().zip(&power[self.first_bin..]) {
            sums[*lower] += share * power;
            sums[lower + 1] += (1.0 - share) * power;
        }
        let mut bands = [0.0; BANDS];
        bands.copy_from_slice(&sums[1..=BANDS]);
        bands
    }
}

#[cfg(test)]
mod tests {
    use super::{BANDS, Bands, centre};

    #[test]
    fn a_tone_lies_in_the_band_around_it() {
        let width = 22_050.0 / 1_024.0;
        let bands = Bands::new(513, width);
        for band in 6..BANDS {
            let mut power = vec![0.0; 513];
            power[(centre(band) / width).round() as usize] = 1.0;
            let sums = bands.sum(&power);
            let loudest = (0..BANDS).max_by(|a, b| sums[*a].total_cmp(&sums[*b]));
            assert!(loudest.is_some_and(|loudest| loudest.abs_diff(band) <= 1), "{band}: {sums:?}");
            assert!((sums.iter().sum::<f32>() - 1.0).abs() < 0.5 + 0.5 * f32::from(u8::from(band == BANDS - 1)));
        }
    }
}
