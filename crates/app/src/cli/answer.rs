//! How many answers, which, and in what form.

use clap::Args;
use soniquebay_wire::{FilterInput, Object, RangeInput};

/// How many answers, which, and in what form.
#[derive(Debug, Args)]
pub(crate) struct AnswerArgs {
    /// How many tracks to list.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) limit: u16,

    /// Only this genre; give it several times for one of several.
    #[arg(long, value_name = "GENRE", help_heading = "Filters")]
    genre: Vec<String>,

    /// With --genre: the genres that are part of it too, such as "hard rock" of "rock".
    #[arg(long, requires = "genre", help_heading = "Filters")]
    include_subgenres: bool,

    /// Only tracks with this tag or mood; give it several times for all of several.
    #[arg(long, value_name = "TAG", help_heading = "Filters")]
    tag: Vec<String>,

    /// Year of release: 1970..1979, 1990.., ..1960 or 1984.
    #[arg(long, value_name = "FROM..TO", help_heading = "Filters")]
    years: Option<Interval>,

    /// Beats a minute, likewise.
    #[arg(long, value_name = "FROM..TO", help_heading = "Filters")]
    bpm: Option<Interval>,

    /// With --bpm: half and double the tempo too.
    #[arg(long, requires = "bpm", help_heading = "Filters")]
    bpm_octaves: bool,

    /// Seconds, likewise.
    #[arg(long, value_name = "FROM..TO", help_heading = "Filters")]
    duration: Option<Interval>,

    /// Only keys that mix well with this one: "A minor", 8A, 1m.
    #[arg(long, value_name = "KEY", help_heading = "Filters")]
    key: Option<String>,

    /// Leave out the artist of the track asked for.
    #[arg(long, help_heading = "Filters")]
    exclude_same_artist: bool,

    /// At most so many tracks of one artist.
    #[arg(long, value_name = "N", help_heading = "Filters")]
    max_per_artist: Option<u32>,

    /// Only files below this folder.
    #[arg(long, value_name = "DIR", help_heading = "Filters")]
    below: Option<String>,

    /// Where too few tracks pass: give filters up, the key first, then tempo, duration, tags, years and genre.
    #[arg(long, help_heading = "Filters")]
    pub(crate) relax: bool,

    /// List one version of each recording, be there remasters, live takes or compilations of it.
    #[arg(long)]
    pub(crate) fold: bool,

    /// Write the answer as JSON on standard output.
    #[arg(long)]
    pub(crate) json: bool,
}

pub(super) fn weight(text: &str) -> Result<f32, String> {
    text.parse()
        .ok()
        .filter(|weight| (0.0..=1.0).contains(weight))
        .ok_or_else(|| format!("{text:?} is not from 0 to 1"))
}

/// `FROM..TO` with either end open, or one value.
#[derive(Clone, Copy, Debug)]
struct Interval(RangeInput);

impl std::str::FromStr for Interval {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |text: &str| match text.trim() {
            "" => Ok(None),
            digits => digits.parse::<f64>().map(Some).map_err(|_| format!("{digits:?} is no number; write FROM..TO")),
        };
        let (min, max) = match text.split_once("..") {
            Some((from, to)) => (number(from)?, number(to.trim_start_matches('='))?),
            None => (number(text)?, number(text)?),
        };
        Ok(Self(RangeInput { min, max }))
    }
}

impl AnswerArgs {
    /// The filters, as JSON over HTTP says them.
    pub(crate) fn filter(&self) -> FilterInput {
        FilterInput {
            genre: self.genre.clone(),
            include_subgenres: Some(self.include_subgenres),
            tags: self.tag.clone(),
            year_range: self.years.map(|years| Object(years.0)),
            bpm_range: self.bpm.map(|bpm| Object(bpm.0)),
            bpm_octaves: Some(self.bpm_octaves),
            duration_range: self.duration.map(|duration| Object(duration.0)),
            key: self.key.clone(),
            exclude_same_artist: Some(self.exclude_same_artist),
            max_per_artist: self.max_per_artist,
            path_prefix: self.below.clone(),
            ..FilterInput::default()
        }
    }
}
