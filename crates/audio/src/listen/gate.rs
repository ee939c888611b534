//! Blocks of a piece by how loud they are: what is left of them without the quiet ones.

/// Bins a loudness unit.
const FINENESS: f64 = 10.0;
/// LUFS: the absolute gate of BS.1770, below which a block is silence.
const SILENCE: f64 = -70.0;
const BINS: usize = 1000;

/// How often each loudness was there, in tenths of a unit: as large for a song as for a day.
pub(super) struct Blocks {
    bins: Box<[Bin]>,
}

#[derive(Clone, Copy, Default)]
struct Bin {
    count: u64,
    /// The sum of its blocks' powers.
    power: f64,
}

/// LUFS of a mean power; of silence −∞.
fn loudness(power: f64) -> f64 {
    -0.691 + 10.0 * power.log10()
}

impl Blocks {
    pub(super) fn new() -> Self {
        Self { bins: vec![Bin::default(); BINS].into() }
    }

    /// Takes in a block of this mean power, the channels' weights counted. Silence is left out.
    pub(super) fn add(&mut self, power: f64) {
        let place = (loudness(power) - SILENCE) * FINENESS;
        if place >= 0.0 {
            let bin = &mut self.bins[(place as usize).min(BINS - 1)];
            bin.count += 1;
            bin.power += power;
        }
    }

    /// The bins that lie not more than `below` LU (which is negative) under the mean of all, with the blocks in each.
    fn above(&self, below: f64) -> impl Iterator<Item = &Bin> {
        let least = mean(self.bins.iter()).map_or(f64::INFINITY, |power| power * 10f64.powf(below / 10.0));
        let counts = move |bin: &&Bin| bin.count > 0 && bin.power / bin.count as f64 >= least;
        self.bins.iter().filter(counts)
    }

    /// LUFS of the whole, by BS.1770: what lies 10 LU under the mean does not count.
    pub(super) fn integrated(&self) -> Option<f64> {
        mean(self.above(-10.0)).map(loudness)
    }

    /// LU from the softest tenth to the loudest twentieth, by EBU Tech 3342: what lies 20 LU under the mean does not count.
    pub(super) fn range(&self) -> Option<f64> {
        let count: u64 = self.above(-20.0).map(|bin| bin.count).sum();
        let last = count.checked_sub(1)?;
        let at = |share: f64| {
            let place = (last as f64 * share + 0.5) as u64;
            let mut before = 0;
            let holds = |bin: &&Bin| {
                before += bin.count;
                before > place
            };
            self.above(-20.0).find(holds).map(|bin| loudness(bin.power / bin.count as f64))
        };
        Some(at(0.95)? - at(0.1)?)
    }
}

fn mean<'a>(bins: impl Iterator<Item = &'a Bin>) -> Option<f64> {
    let (count, power) = bins.fold((0, 0.0), |(count, power), bin| (count + bin.count, power + bin.power));
    (count > 0).then(|| power / count as f64)
}
