//! What a recommender must beat: genre, year, numbers and words, without a model.

use std::collections::HashMap;

use soniquebay_domain::{Facts, TrackFields, fold};
use soniquebay_embed::{Template, measure};

/// The farthest that two years are apart; also how far an unknown year is from all others.
const FARTHEST_YEARS: i32 = 10_000;

/// Genres and years, folded and numbered.
pub(super) struct Genres {
    genres: Vec<Vec<usize>>,
    years: Vec<Option<i32>>,
}

impl Genres {
    /// `None` where no track has a genre: then there is nothing to compare by.
    pub(super) fn of(tracks: &[TrackFields]) -> Option<Self> {
        let mut known = HashMap::new();
        let genres: Vec<Vec<usize>> = tracks
            .iter()
            .map(|track| Facts::of(track).genres.into_iter().map(|genre| number(&mut known, genre)).collect())
            .collect();
        let years = tracks.iter().map(|track| track.year).collect();
        (!known.is_empty()).then_some(Self { genres, years })
    }

    /// 1 where two tracks share a genre, else 0: all others come after them, at random.
    pub(super) fn closeness(&self, a: usize, b: usize) -> f32 {
        f32::from(u8::from(self.genres[a].iter().any(|genre| self.genres[b].contains(genre))))
    }

    /// The same, nearest years first among those of a genre and among the others.
    pub(super) fn closeness_by_year(&self, a: usize, b: usize) -> f32 {
        let apart = match (self.years[a], self.years[b]) {
            (Some(a), Some(b)) => a.saturating_sub(b).saturating_abs().min(FARTHEST_YEARS),
            _ => FARTHEST_YEARS,
        };
        // Whole numbers this small are exact.
        self.closeness(a, b) * 2.0 * FARTHEST_YEARS as f32 - apart as f32
    }
}

/// The twelve numbers of each track as unit vectors; zeros, near to nothing, where all are unknown.
pub(super) fn numbers(tracks: &[TrackFields]) -> Vec<Vec<f32>> {
    tracks.iter().map(|track| unit(measure(track).to_vec())).collect()
}

/// Words of the fields template, each weighed by how few tracks bear it.
pub(super) struct TfIdf {
    /// Of each track: its words by number, with their weights.
    words: Vec<Vec<(usize, f32)>>,
}

impl TfIdf {
    pub(super) fn of(tracks: &[TrackFields]) -> Self {
        let mut known = HashMap::new();
        let mut bearers: Vec<u32> = Vec::new();
        let counts: Vec<Vec<(usize, f32)>> = tracks
            .iter()
            .map(|track| {
                let mut words: Vec<usize> = words(track).map(|word| number(&mut known, word)).collect();
                words.sort_unstable();
                bearers.resize(known.len(), 0);
                let counts = words.chunk_by(|a, b| a == b).map(|same| (same[0], same.len() as f32));
                counts.inspect(|(word, _)| bearers[*word] += 1).collect()
            })
            .collect();
        let rarity = |word: usize| (f64::from(1 + tracks.len() as u32) / f64::from(1 + bearers[word])).ln() + 1.0;
        let weigh = |counts: Vec<(usize, f32)>| {
            let weights = unit(counts.iter().map(|(word, count)| count * rarity(*word) as f32).collect());
            counts.iter().map(|(word, _)| *word).zip(weights).collect()
        };
        Self { words: counts.into_iter().map(weigh).collect() }
    }

    /// Cosine of two tracks' weighted words.
    pub(super) fn closeness(&self, a: usize, b: usize) -> f32 {
        let (mut a, mut b) = (&self.words[a][..], &self.words[b][..]);
        let mut sum = 0.0;
        while let ([(word_a, weight_a), rest_a @ ..], [(word_b, weight_b), rest_b @ ..]) = (a, b) {
            if word_a == word_b {
                sum += weight_a * weight_b;
            }
            if word_a <= word_b {
                a = rest_a;
            }
            if word_b <= word_a {
                b = rest_b;
            }
        }
        sum
    }
}

/// The text of the fields template, which is one; empty where nothing is known.
pub(super) fn fields_text(track: &TrackFields) -> String {
    Template::Fields.describe(track).into_iter().flat_map(|part| part.texts).collect()
}

fn words(track: &TrackFields) -> impl Iterator<Item = String> {
    let text = fold(&fields_text(track));
    let words: Vec<String> =
        text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect();
    words.into_iter()
}

fn number(known: &mut HashMap<String, usize>, word: String) -> usize {
    let next = known.len();
    *known.entry(word).or_insert(next)
}

fn unit(values: Vec<f32>) -> Vec<f32> {
    let norm = values.iter().map(|value| value * value).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    values.into_iter().map(|value| value / norm).collect()
}

#[cfg(test)]
mod tests {
    use soniquebay_domain::{TrackFields, dot};
    use tokio_util::sync::CancellationToken;

    use super::super::metric::Judge;
    use super::{Genres, TfIdf, numbers};

    fn track(title: &str, genre: &str, year: i32) -> TrackFields {
        TrackFields {
            title: Some(title.into()),
            genre: (!genre.is_empty()).then(|| genre.to_owned()),
            year: (year != 0).then_some(year),
            ..TrackFields::default()
        }
    }

    #[test]
    fn genre_goes_before_year_and_ties_share_the_places() {
        let tracks = [
            track("1", "Rock", 1970),
            track("2", "rock", 1990),
            track("3", "ROCK", 1971),
            track("4", "Jazz", 1970),
            track("5", "Rock", 1990),
            track("6", "", 0),
        ];
        let labels = ["x", "x", "y", "x", "y", "x"].map(str::to_owned);
        let judge = Judge::new(0..6, &labels);
        let genres = Genres::of(&tracks).unwrap();
        let (stop, first) = (CancellationToken::new(), |precisions: Vec<f64>| precisions[0]);
        // Of three rock tracks one is good.
        let at_random = |a, b| genres.closeness(a, b);
        assert!((first(judge.precisions(2, &at_random, &stop)) - 1.0 / 3.0).abs() < 1e-9);
        // Track 3 is a year away; 2 and 5 tie for the second place, and one of them is good.
        let by_year = |a, b| genres.closeness_by_year(a, b);
        assert!((first(judge.precisions(2, &by_year, &stop)) - 0.25).abs() < 1e-9);
        // All rock, then the same year, then the unknown one: 2, 4 and 6 are good.
        assert!((first(judge.precisions(4, &by_year, &stop)) - 0.5).abs() < 1e-9);
        assert!((first(judge.precisions(5, &by_year, &stop)) - 0.6).abs() < 1e-9);
    }

    #[test]
    fn files_without_genres_have_no_such_rows() {
        assert!(Genres::of(&[track("1", "", 1970), track("2", "", 1980)]).is_none());
        let mut tagged = track("3", "", 1990);
        tagged.genre_tags.push("Ska".into());
        assert!(Genres::of(&[tagged]).is_some());
    }

    #[test]
    fn rare_words_weigh_more() {
        let words = TfIdf::of(&[
            track("blue river", "", 0),
            track("blue lantern", "", 0),
            track("River blue", "", 0),
            track("silent lantern", "", 0),
            track("green", "", 0),
        ]);
        assert!((words.closeness(0, 2) - 1.0).abs() < 1e-6, "order and case do not matter");
        assert!(words.closeness(1, 3) > words.closeness(0, 1), "a lantern is rarer than blue");
        assert_eq!(words.closeness(0, 1), words.closeness(1, 0));
        // By hand: of "title blue river" and "title green" only "title" is shared, which every track bears.
        let (common, river, rare) = (1.0, (6f64 / 3.0).ln() + 1.0, (6f64 / 2.0).ln() + 1.0);
        let blue = (6f64 / 4.0).ln() + 1.0;
        let expected = common / ((1.0 + blue * blue + river * river).sqrt() * (1.0 + rare * rare).sqrt());
        assert!((f64::from(words.closeness(0, 4)) - expected).abs() < 1e-6);
    }

    #[test]
    fn unknown_numbers_are_near_to_nothing() {
        let vectors = numbers(&[track("1", "", 1970), track("2", "", 1975), track("3", "", 0)]);
        assert!((dot(&vectors[0], &vectors[1]) - 1.0).abs() < 1e-6);
        assert_eq!(dot(&vectors[0], &vectors[2]), 0.0);
    }
}
