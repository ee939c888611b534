//! Typed search.

use std::collections::{HashMap, HashSet};

use soniquebay_domain::{EmbedError, Facts, Filter, Hit, Range, Space, TextHit, Track, TrackId, Vector, dot};

use crate::fusion::{Fused, Naming, fuse, naming};
use crate::gather::Question;
use crate::why::Why;
use crate::words::Words;
use crate::{Answer, Found, Recommender, SearchError, SimilarOptions};

/// Text hits asked for at first, and at most when filters throw many of them out.
const TEXT_HITS: usize = 100;
const MOST_TEXT_HITS: usize = 6400;

/// The nearest tracks that are looked at again, by what the words name of them.
const NEAREST: usize = 200;

/// What was typed, read for names and for meaning.
pub(crate) struct Typed {
    text: String,
    words: Words,
    /// The vector of the words; none in a space that we make no vectors for.
    meaning: Option<Vector>,
    /// The tracks whose names are likest to the text, before any filter: up to `asked`.
    names: Vec<TextHit>,
    asked: usize,
}

impl Recommender {
    /// Tracks whose names hold the words and tracks that are what the words mean, fused. In a space that we cannot make
    /// the words' vector for, by text alone, as where the only server that could make it is away.
    pub async fn search_text(&self, typed: &str, mut options: SimilarOptions) -> Result<Answer, SearchError> {
        let spaces = self.spaces(options.space.take()).await?;
        let words = Words::read(typed);
        let asked = options.limit.max(TEXT_HITS);
        let names = async { Ok(self.catalog.find_text(typed.to_owned(), asked).await?) };
        let preferred = spaces[0].clone();
        let embedded = async {
            match self.embed_in_one_of(&words.meaning, spaces).await {
                // A name that was typed letter by letter needs no model.
                Err(SearchError::Embed(EmbedError::Unavailable(reason))) => {
                    tracing::warn!(reason, "typed words are looked for in names alone");
                    Ok((preferred, None, true))
                }
                embedded => embedded.map(|(space, meaning)| (space, meaning, false)),
            }
        };
        let (names, (space, meaning, names_only)) = tokio::try_join!(names, embedded)?;
        let typed = Typed { text: typed.to_owned(), words, meaning, names, asked };
        let mut items = self.gather(&Question::Typed(&typed), &space, &options, &[]).await?;
        if let Some(meaning) = &typed.meaning {
            self.tell_shares(&space, meaning, &mut items).await?;
        }
        Ok(Answer { space, items, names_only })
    }

    /// Tracks that pass and match the words, by name or by meaning, best first: `wanted` of them where there are so many,
    /// and often more.
    pub(crate) async fn typed(
        &self,
        typed: &Typed,
        space: &Space,
        filter: &Filter,
        wanted: usize,
    ) -> Result<Vec<Found>, SearchError> {
        let by_meaning = async {
            match &typed.meaning {
                Some(query) => self.meant(&typed.words, space, query, filter, wanted).await,
                None => Ok(Vec::new()),
            }
        };
        let (by_text, by_meaning) = tokio::try_join!(self.text_matches(typed, filter, wanted), by_meaning)?;
        let ids = |tracks: &[Track]| tracks.iter().map(|track| track.id).collect::<Vec<TrackId>>();
        let named: HashMap<TrackId, Naming> = by_text
            .iter()
            .map(|track| (track.id, naming(&typed.text, track)))
            .filter(|(_, naming)| *naming != Naming::None)
            .collect();
        let fused = fuse(&ids(&by_text), &ids(&by_meaning), &named);
        let mut tracks: HashMap<TrackId, Track> =
            by_text.into_iter().chain(by_meaning).map(|track| (track.id, track)).collect();
        let found = |fused: Fused| {
            let track = tracks.remove(&fused.id)?;
            let why = Why { matched: Some(fused.matched), ..Why::default() };
            Some(Found { track, score: fused.score, why, versions: Vec::new() })
        };
        Ok(fused.into_iter().filter_map(found).collect())
    }

    /// The tracks near the words' vector: those first of which the words name most, then the nearest. More than are wanted, as
    /// the ranks of what is in both rankings decide.
    async fn meant(
        &self,
        words: &Words,
        space: &Space,
        query: &Vector,
        filter: &Filter,
        wanted: usize,
    ) -> Result<Vec<Track>, SearchError> {
        let reach = wanted.max(NEAREST);
        let mut hits = self.index.search(space, query, reach, filter).await?;
        if let Some(era) = &words.era {
            // In a large library the nearest may all be of other years.
            let (first, last) = (f64::from(*era.start()), f64::from(*era.end()));
            let years = Range {
                min: Some(filter.years.min.map_or(first, |min| min.max(first))),
                max: Some(filter.years.max.map_or(last, |max| max.min(last))),
            };
            hits.extend(self.index.search(space, query, reach, &Filter { years, ..filter.clone() }).await?);
        }
        let likeness = self.likeness_of_words(space, query, &hits).await?;
        let tracks = self.catalog.tracks(likeness.keys().copied().collect()).await?;
        let mut ranked: Vec<(usize, f32, Track)> = tracks
            .into_iter()
            .map(|track| (words.named(&track.fields), likeness.get(&track.id).copied().unwrap_or(0.0), track))
            .collect();
        ranked.sort_by(|a, b| b.0.cmp(&a.0).then(b.1.total_cmp(&a.1)).then(a.2.id.cmp(&b.2.id)));
        Ok(ranked.into_iter().map(|(_, _, track)| track).collect())
    }

    /// The cosines of the text blocks alone: by the whole vector a track would be less like any words the more numbers are
    /// known of it.
    async fn likeness_of_words(
        &self,
        space: &Space,
        query: &Vector,
        hits: &[Hit],
    ) -> Result<HashMap<TrackId, f32>, SearchError> {
        let ids: HashSet<TrackId> = hits.iter().map(|hit| hit.track_id).collect();
        let stored = self.vectors.vectors(space, ids.into_iter().collect()).await?;
        let text_dims = self.vectorizer(space).map_or(space.dims(), |vectorizer| vectorizer.text_dims());
        let words = |vector: &Vector| vector.as_slice().iter().take(text_dims).copied().collect::<Vec<f32>>();
        let query = words(query);
        let cosine = |block: &[f32]| dot(&query, block) / dot(block, block).sqrt().max(f32::MIN_POSITIVE);
        Ok(stored.into_iter().map(|stored| (stored.track_id, cosine(&words(&stored.vector)))).collect())
    }

    /// The tracks that the words are in and the filter admits, best first: `wanted` of them where there are so many,
    /// which can take asking for more than once.
    async fn text_matches(&self, typed: &Typed, filter: &Filter, wanted: usize) -> Result<Vec<Track>, SearchError> {
        let (mut asked, mut hits) = (typed.asked, typed.names.clone());
        loop {
            let ids: Vec<TrackId> = hits.iter().map(|hit| hit.id).collect();
            let tracks = self.catalog.tracks(ids.clone()).await?;
            let mut tracks: HashMap<_, _> = tracks.into_iter().map(|track| (track.id, track)).collect();
            let mut seen = HashSet::new();
            let admitted: Vec<Track> = ids
                .iter()
                .filter(|id| seen.insert(**id))
                .filter_map(|id| tracks.remove(id))
                .filter(|track| filter.admits(track.id, &Facts::of(&track.fields)))
                .collect();
            let all_seen = hits.len() < asked || asked >= MOST_TEXT_HITS;
            if admitted.len() >= wanted || all_seen {
                return Ok(admitted);
            }
            asked = (asked * 4).min(MOST_TEXT_HITS);
            hits = self.catalog.find_text(typed.text.clone(), asked).await?;
        }
    }
}
