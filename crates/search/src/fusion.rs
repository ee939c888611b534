//! Two rankings made one.

use std::cmp::Ordering;
use std::collections::HashMap;

use soniquebay_domain::{Track, TrackId, fold};

use crate::Matched;

/// How much a place counts is 1 / (this + place): the constant of Cormack, Clarke and Büttcher, 2009. It makes being in
/// both rankings worth more than being first in one.
const RANK_CONSTANT: f32 = 60.0;

/// A track in the fused ranking.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Fused {
    pub(crate) id: TrackId,
    /// 0–1: 1 is first in both rankings, or called by its very name.
    pub(crate) score: f32,
    pub(crate) matched: Matched,
}

/// Reciprocal-rank fusion of what was found by text and by meaning. Tracks that the words name exactly come first, as
/// nobody who types a title wants something like it instead.
pub(crate) fn fuse(by_text: &[TrackId], by_meaning: &[TrackId], named: &HashMap<TrackId, Naming>) -> Vec<Fused> {
    let mut places: HashMap<TrackId, (f32, Matched)> = HashMap::new();
    for (place, id) in by_text.iter().enumerate() {
        places.entry(*id).or_insert((worth(place), Matched::Text));
    }
    for (place, id) in by_meaning.iter().enumerate() {
        places
            .entry(*id)
            .and_modify(|known| *known = (known.0 + worth(place), Matched::Both))
            .or_insert((worth(place), Matched::Meaning));
    }
    let best = 2.0 * worth(0);
    let mut fused: Vec<Fused> = places
        .into_iter()
        .map(|(id, (sum, matched))| {
            let score = if named.contains_key(&id) { 1.0 } else { sum / best };
            Fused { id, score, matched }
        })
        .collect();
    let text_place: HashMap<TrackId, usize> = by_text.iter().enumerate().map(|(place, id)| (*id, place)).collect();
    fused.sort_by(|a, b| {
        let of = |f: &Fused| (named.get(&f.id).copied().unwrap_or(Naming::None), text_place.get(&f.id).copied());
        let ((naming_a, place_a), (naming_b, place_b)) = (of(a), of(b));
        let by_place = if naming_a == Naming::None { Ordering::Equal } else { place_a.cmp(&place_b) };
        // Of two that are first in one ranking each, the one that the words are in.
        let only_meant = |f: &Fused| f.matched == Matched::Meaning;
        naming_a
            .cmp(&naming_b)
            .then(by_place)
            .then(b.score.total_cmp(&a.score))
            .then(only_meant(a).cmp(&only_meant(b)))
            .then(a.id.cmp(&b.id))
    });
    fused
}

fn worth(place: usize) -> f32 {
    1.0 / (RANK_CONSTANT + 1.0 + place as f32)
}

/// What of a track the words are, from what is meant most surely.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Naming {
    /// Its title, alone or with its artist.
    Title,
    /// Its artist.
    Artist,
    /// Its album, alone or with its artist.
    Album,
    /// None of its names.
    None,
}

/// Whether `words` are a name of `track`, in whatever case and punctuation.
pub(crate) fn naming(words: &str, track: &Track) -> Naming {
    let words = plain(words);
    let [title, artist, album] = [&track.fields.title, &track.fields.artist, &track.fields.album]
        .map(|name| plain(name.as_deref().unwrap_or_default()));
    let is = |name: &str| {
        !name.is_empty() && (words == name || words == joined(&artist, name) || words == joined(name, &artist))
    };
    if is(&title) {
        Naming::Title
    } else if !artist.is_empty() && words == artist {
        Naming::Artist
    } else if is(&album) {
        Naming::Album
    } else {
        Naming::None
    }
}

fn joined(first: &str, second: &str) -> String {
    format!("{first} {second}")
}

/// Folded, with punctuation as spaces.
fn plain(text: &str) -> String {
    let folded = fold(text);
    let words: Vec<&str> = folded.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use soniquebay_domain::TrackId;

    use super::{Naming, fuse};
    use crate::Matched;

    fn ids(numbers: &[i64]) -> Vec<TrackId> {
        numbers.iter().map(|n| TrackId::new(*n).unwrap()).collect()
    }

    fn order(text: &[i64], meaning: &[i64], named: &[(i64, Naming)]) -> Vec<i64> {
        let named: HashMap<_, _> = named.iter().map(|(id, naming)| (TrackId::new(*id).unwrap(), *naming)).collect();
        fuse(&ids(text), &ids(meaning), &named).iter().map(|fused| fused.id.get()).collect()
    }

    #[test]
    fn both_beat_one() {
        assert_eq!(order(&[1, 2], &[3, 2], &[]), [2, 1, 3]);
        let fused = fuse(&ids(&[1, 2]), &ids(&[3, 2]), &HashMap::new());
        assert_eq!(
            fused.iter().map(|f| f.matched).collect::<Vec<_>>(),
            [Matched::Both, Matched::Text, Matched::Meaning]
        );
        assert!(fused.iter().all(|f| f.score > 0.0 && f.score <= 1.0));
    }

    #[test]
    fn a_name_comes_first() {
        let named = [(4, Naming::Artist), (3, Naming::Artist), (9, Naming::Title)];
        assert_eq!(order(&[1, 4, 3, 9], &[1, 3], &named), [9, 4, 3, 1]);
    }
}
