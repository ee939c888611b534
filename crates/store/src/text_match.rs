//! How well typed words name a track, letter by letter. One measure for every database.

use std::collections::HashSet;

use soniquebay_domain::{TrackFields, fold};

/// Below this a candidate explains less than half of what was typed: it shares a common word, and is not meant.
pub(crate) const WORTH_SHOWING: f32 = 0.5;

/// Words of a query that count; the rest of a pasted page does not.
pub(crate) const MAX_WORDS: usize = 16;

/// Letters of a name that are compared: with them, comparing is bounded whatever a library holds.
const NAME_LETTERS: usize = 128;

/// Between the parts of a track's name.
const SEPARATOR: char = '\u{1f}';

/// A track's folded artist, title and album, as one text: what it is recognised by, and what typed words are compared with.
pub(crate) fn name(fields: &TrackFields) -> String {
    [&fields.artist, &fields.title, &fields.album]
        .map(|part| part.as_deref().map(fold).unwrap_or_default())
        .join(&SEPARATOR.to_string())
}

/// Words as they were typed, folded.
pub(crate) struct Query {
    text: String,
    words: Vec<String>,
    /// What stands before and after " - ", as people write artist and title.
    sides: Option<(Vec<String>, Vec<String>)>,
}

impl Query {
    pub(crate) fn new(folded: &str) -> Self {
        let mut words = words(folded);
        words.truncate(MAX_WORDS);
        let side = |text: &str| self::words(text).into_iter().take(MAX_WORDS).collect::<Vec<_>>();
        let sides = folded.split_once(" - ").map(|(first, second)| (side(first), side(second)));
        Self {
            text: words.join(" "),
            words,
            sides: sides.filter(|(first, second)| !first.is_empty() && !second.is_empty()),
        }
    }

    /// 0–1 for a track of this [`name`].
    pub(crate) fn score_name(&self, name: &str) -> f32 {
        let mut parts = name.split(SEPARATOR);
        let mut part = || parts.next().unwrap_or_default();
        let (artist, title, album) = (part(), part(), part());
        self.score(artist, title, album)
    }

    /// 0–1 for a track with these folded names. The whole title, or artist and title, or the artist, or the album exactly:
    /// 0.9 and above, in this order. Else how much of the query the names explain.
    fn score(&self, artist: &str, title: &str, album: &str) -> f32 {
        let [artist, title, album] = [artist, title, album].map(|name| words(beginning(name)));
        let joined =
            |parts: &[&Vec<String>]| parts.iter().flat_map(|p| p.iter()).cloned().collect::<Vec<_>>().join(" ");
        let exact = [
            (1.0, joined(&[&title])),
            (1.0, joined(&[&artist, &title])),
            (1.0, joined(&[&title, &artist])),
            (0.95, joined(&[&artist])),
            (0.92, joined(&[&artist, &album])),
            (0.9, joined(&[&album])),
        ];
        if let Some((score, _)) = exact.iter().find(|(_, name)| !name.is_empty() && *name == self.text) {
            return *score;
        }
        if self.words.is_empty() {
            return 0.0;
        }
        // Who writes "Artist - Title" means both: another title by that artist is not what was asked for.
        if let Some((first, second)) = &self.sides {
            let named = |typed_artist, typed_title| {
                let (artist, title) = (explained(typed_artist, &artist), explained(typed_title, &title));
                if artist.min(title) < 0.5 { 0.5 * artist.min(title) } else { 0.89 * (0.4 * artist + 0.6 * title) }
            };
            // Or it is a title that has a dash of its own: "Song - Live".
            let as_title = 0.89 * explained(&self.words, &title);
            return as_title.max(named(first, second)).max(named(second, first));
        }
        // A hit in the title says more than one in the album.
        let by_word = share(&self.words, |word| {
            let in_name = |(name, weight): (&Vec<String>, f32)| weight * best(word, name);
            [(&title, 1.0), (&artist, 0.97), (&album, 0.85)].map(in_name).into_iter().fold(0.0, f32::max)
        });
        // Whole names that a typing error keeps from being equal: "bilie jean".
        let whole = [&[&title][..], &[&artist], &[&album], &[&artist, &title], &[&title, &artist]]
            .map(|parts| trigram_likeness(&self.text, &joined(parts)))
            .into_iter()
            .fold(0.0, f32::max);
        0.89 * (0.7 * by_word + 0.3 * whole)
    }
}

/// 0–1: how much of the typed words a name explains, and how alike they are as a whole.
fn explained(typed: &[String], name: &[String]) -> f32 {
    0.7 * share(typed, |word| best(word, name)) + 0.3 * trigram_likeness(&typed.join(" "), &name.join(" "))
}

/// The mean of `measure` over the words, each as heavy as it is long.
fn share(words: &[String], measure: impl Fn(&str) -> f32) -> f32 {
    let letters = |word: &String| word.chars().count() as f32;
    let total: f32 = words.iter().map(letters).sum();
    words.iter().map(|word| letters(word) * measure(word)).sum::<f32>() / total.max(1.0)
}

fn best(word: &str, name: &[String]) -> f32 {
    name.iter().map(|known| likeness(word, known)).fold(0.0, f32::max)
}

fn beginning(name: &str) -> &str {
    name.char_indices().nth(NAME_LETTERS).map_or(name, |(end, _)| &name[..end])
}

/// The words of a text, as they are compared.
pub(crate) fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// 0–1: equal, beginning, or alike but for typing errors.
fn likeness(typed: &str, name: &str) -> f32 {
    if typed == name {
        return 1.0;
    }
    let (typed_letters, name_letters) = (typed.chars().count(), name.chars().count());
    if typed_letters >= 2 && name.starts_with(typed) {
        return 0.8 + 0.2 * typed_letters as f32 / name_letters as f32;
    }
    if typed_letters < 3 {
        return 0.0;
    }
    let longer = typed_letters.max(name_letters) as f32;
    // What is so much longer or shorter cannot be alike: the costly comparison is spared.
    if typed_letters.abs_diff(name_letters) as f32 > 0.45 * longer {
        return 0.0;
    }
    let likeness = 1.0 - distance(typed, name) as f32 / longer;
    // Half the letters in common is chance, not likeness.
    if likeness > 0.55 { likeness * 0.95 } else { 0.0 }
}

/// Insertions, deletions, substitutions and swaps of neighbours (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut before: Vec<usize> = vec![0; b.len() + 1];
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let substituted = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = substituted.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

/// The share of trigrams in common (Dice coefficient).
fn trigram_likeness(a: &str, b: &str) -> f32 {
    let trigrams = |text: &str| -> HashSet<[char; 3]> {
        let letters: Vec<char> = format!("  {text} ").chars().collect();
        letters.windows(3).map(|w| [w[0], w[1], w[2]]).collect()
    };
    let (a, b) = (trigrams(a), trigrams(b));
    2.0 * a.intersection(&b).count() as f32 / (a.len() + b.len()).max(1) as f32
}

#[cfg(test)]
mod tests {
    use super::Query;

    fn score(query: &str) -> f32 {
        Query::new(query).score("michael jackson", "billie jean", "thriller")
    }

    #[test]
    fn exact_names_come_first_and_typing_errors_follow() {
        assert_eq!(score("billie jean"), 1.0);
        assert_eq!(score("michael jackson - billie jean"), 1.0);
        assert!(score("michael jackson") > score("thriller"));
        for typo in ["bilie jean", "billie jaen", "micheal jackson", "jacksn billie", "trhiller"] {
            assert!(score(typo) > 0.5, "{typo}: {}", score(typo));
            assert!(score(typo) < 0.9, "{typo}");
        }
        assert!(score("billie je") > score("billie holiday"));
        assert!(score("completely different words") < super::WORTH_SHOWING);
        for other in ["michael jackson - one", "michael jackson - thriller night", "someone else - billie jean"] {
            assert!(score(other) < super::WORTH_SHOWING, "{other}: {}", score(other));
        }
        assert!(score("micheal jackson - bilie jaen") > 0.6 && score("billie jean - michael jackson") > 0.6);
        let dashed = |query: &str| Query::new(query).score("queen", "bohemian rhapsody - remastered 2011", "");
        assert_eq!(dashed("bohemian rhapsody - remastered 2011"), 1.0);
        assert!(dashed("bohemian rapsody - remaster 2011") > 0.6, "a title may have a dash of its own");
        let long = "abc def ".repeat(1000);
        assert!(Query::new(&long).score(&long, &long, &long) > 0.5, "bounded, and still a match");
        let common_words = Query::new("slow and warm").score("a-ha", "take on me", "hunting high and low");
        assert!(common_words < super::WORTH_SHOWING, "{common_words}");
    }
}
