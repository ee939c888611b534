//! More like this, and near this vector.

use std::collections::HashMap;
use std::sync::Arc;

use soniquebay_domain::{
    Catalog, EmbedError, Filter, Hit, Space, StoreError, Track, TrackId, TrackState, Vector, VectorIndex, VectorStore,
    Vectorizer, fold,
};

use crate::gather::Question;
use crate::seeds::Seed;
use crate::serving::Serving;
use crate::why::{self, Why};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// A seed is not in the catalogue.
    #[error("there is no track {0}")]
    NoTrack(TrackId),
    /// A seed's vector is still to come, or was given up.
    #[error("track {id} has no vector yet")]
    Pending {
        /// Which seed.
        id: TrackId,
        /// How far it is.
        state: TrackState,
    },
    /// A seed has no vector in a space that nothing here fills.
    #[error("track {id} has no vector in space {space}")]
    NoVector {
        /// Which seed.
        id: TrackId,
        /// Where it was looked for.
        space: Space,
    },
    /// The space holds no vectors and is not wanted.
    #[error("there is no space {0}")]
    UnknownSpace(Space),
    /// The space answers questions, as the one that is to replace it does not hold enough yet.
    #[error("space {0} answers questions until {1} holds as much")]
    StillServing(Space, Space),
    /// The query has another length than the space's vectors.
    #[error("{found} numbers where space {space} has {expected}", expected = space.dims())]
    WrongLength {
        /// Length of the query.
        found: usize,
        /// Where it was to be searched for.
        space: Space,
        /// The spaces whose vectors have the query's length.
        spaces_with_that_length: Vec<Space>,
    },
    /// Nobody here knows which numbers of the space's vectors are words.
    #[error("which numbers of space {0} come from words is not known here, so that they cannot be weighed")]
    UnknownBlocks(Space),
    /// Words are among the seeds, and nobody here knows what they are in that space.
    #[error("typed words have no vector in space {0}: its vectors are made elsewhere")]
    UnknownWords(Space),
    /// The seeds cancel each other out, or there are none.
    #[error("the seeds cancel each other out, or are weighed down to nothing: what is left has no direction")]
    NoDirection,
    /// The typed words could not be embedded.
    #[error(transparent)]
    Embed(#[from] EmbedError),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What every search can be told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SimilarOptions {
    /// Which tracks may be answered.
    pub filter: Filter,
    /// How many.
    pub limit: usize,
    /// Where to search; the serving space where not said.
    pub space: Option<Space>,
    /// How much the measured numbers of the query count beside its words: 0, not at all, to 1, as they were stored.
    /// The score then is the cosine between the query so weighed and the stored vectors as they are. Typed words have no
    /// numbers to weigh.
    pub numbers: Option<f32>,
    /// How much the sound of the seeds counts, 0 to 1. At 1 the sound space alone answers. Between, a score is
    /// `(1 − sound)` times the cosine in the main space and `sound` times that in the sound space, 0 for a track that has no
    /// vector there; where no seed has one, the main space alone answers.
    pub sound: Option<f32>,
    /// Whether conditions of the filter may be given up, one by one, where too few tracks meet all of them.
    pub relax: bool,
    /// Whether versions of one recording (remastered, live, on a compilation) are answered once. Those of a seed are
    /// left out.
    pub fold: bool,
}

/// What was found, best first.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The space that was searched.
    pub space: Space,
    /// The tracks.
    pub items: Vec<Found>,
    /// Whether typed words were looked for in names alone, as the server that knows their meaning is away.
    pub names_only: bool,
}

/// One track of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The track.
    pub track: Track,
    /// Cosine, −1 to 1; for a typed search, the fused rank as 0 to 1.
    pub score: f32,
    /// What speaks for it.
    pub why: Why,
    /// Other versions of the recording that would have been answers too, best first, where they are folded.
    pub versions: Vec<TrackId>,
}

/// Answers questions about what is like what.
pub struct Recommender {
    /// The tracks.
    pub catalog: Arc<dyn Catalog>,
    /// Their vectors.
    pub vectors: Arc<dyn VectorStore>,
    /// The nearest of them.
    pub index: Arc<dyn VectorIndex>,
    /// Of each space that we can make vectors for: typed words as vectors, and which part of a vector is words.
    pub vectorizers: Vec<Arc<dyn Vectorizer>>,
    /// Where to search unless told.
    pub serving: Serving,
    /// The space of what tracks sound like, where files are heard.
    pub sound: Option<Space>,
}

impl Recommender {
    /// Tracks near the weighted sum of the seeds' unit vectors, tracks that are seeds left out.
    pub async fn similar(&self, seeds: &[Seed], mut options: SimilarOptions) -> Result<Answer, SearchError> {
        let share = options.sound.unwrap_or(0.0);
        if let Some(sound) = self.sound.as_ref().filter(|_| share >= 1.0 && options.space.is_none()) {
            options.space = Some(sound.clone());
        }
        let spaces = self.spaces(options.space.take()).await?;
        let tracks = self.seed_tracks(seeds).await?;
        let (space, query) = self.blend_in_one_of(seeds, spaces).await?;
        let query = self.weighed(query, &space, options.numbers)?;
        let filter = &mut options.filter;
        filter.excluded_tracks.extend(tracks.keys().copied());
        if filter.exclude_same_artist {
            let artists = tracks.values().filter_map(|track| track.fields.artist.as_deref()).map(fold);
            // No name is no artist: it would leave out everybody whose artist is unknown.
            filter.excluded_artists.extend(artists.filter(|artist| !artist.is_empty()));
        }
        let all: Vec<&Track> = tracks.values().collect();
        let blend = match share > 0.0 && !space.is_sound() {
            true => self.blend_with_sound(seeds, &query, share).await?,
            false => None,
        };
        let question = blend.as_ref().map_or(Question::Near(&query), Question::Blended);
        let mut items = self.gather(&question, &space, &options, &all).await?;
        let liked = seeds.iter().filter(|seed| seed.weight > 0.0).filter_map(Seed::track_id);
        let liked: Vec<&Track> = liked.filter_map(|id| tracks.get(&id)).collect();
        let measures = self.measures(&space);
        for found in &mut items {
            found.why.closest = why::closest(&liked, &found.track);
            found.why.near = why::near(&liked, &found.track, measures);
        }
        self.tell_shares(&space, &query, &mut items).await?;
        match &blend {
            Some(blend) => self.tell_sound(blend, &mut items).await?,
            None if space.is_sound() => items.iter_mut().for_each(|found| found.why.sound = Some(found.score)),
            None => {}
        }
        Ok(Answer { space, items, names_only: false })
    }

    /// Tracks near a vector that the caller made.
    pub async fn search_vector(&self, vector: &Vector, mut options: SimilarOptions) -> Result<Answer, SearchError> {
        let space = self.spaces(options.space.take()).await?.swap_remove(0);
        let found = vector.as_slice().len();
        if found != space.dims() {
            return Err(self.wrong_length(found, space).await?);
        }
        let query = self.weighed(vector.clone(), &space, options.numbers)?;
        let mut items = self.gather(&Question::Near(&query), &space, &options, &[]).await?;
        self.tell_shares(&space, &query, &mut items).await?;
        Ok(Answer { space, items, names_only: false })
    }

    pub(crate) async fn wrong_length(&self, found: usize, space: Space) -> Result<SearchError, StoreError> {
        let all = self.vectors.space_names().await?.into_iter();
        let spaces_with_that_length = all.filter(|space| space.dims() == found).collect();
        Ok(SearchError::WrongLength { found, space, spaces_with_that_length })
    }

    /// What a track's numbers are made into, where they are told: by the space's own maker, or by any.
    fn measures(&self, space: &Space) -> Option<&dyn Vectorizer> {
        self.vectorizer(space).or(self.vectorizers.first()).map(|vectorizer| &**vectorizer)
    }

    /// Forgets a space with its vectors; how many there were. One that answers now only where `even_serving`.
    pub async fn drop_space(&self, space: &Space, even_serving: bool) -> Result<u64, SearchError> {
        if !self.vectors.space_names().await?.contains(space) {
            return Err(SearchError::UnknownSpace(space.clone()));
        }
        if !even_serving && *space != *self.serving.preferred() && self.serving.space().await? == *space {
            return Err(SearchError::StillServing(space.clone(), self.serving.preferred().clone()));
        }
        let dropped = self.vectors.drop_space(space).await?;
        self.serving.forget();
        Ok(dropped)
    }

    /// The space asked for, if it is one; else the serving one and those that may stand in for it. The preferred one is a
    /// space even while it is empty.
    pub(crate) async fn spaces(&self, asked: Option<Space>) -> Result<Vec<Space>, SearchError> {
        let Some(space) = asked else { return Ok(self.serving.in_order().await?) };
        let is_known = space == *self.serving.preferred()
            || self.sound.as_ref() == Some(&space)
            || self.vectors.space_names().await?.contains(&space);
        if is_known { Ok(vec![space]) } else { Err(SearchError::UnknownSpace(space)) }
    }

    pub(crate) fn vectorizer(&self, space: &Space) -> Option<&Arc<dyn Vectorizer>> {
        self.vectorizers.iter().find(|vectorizer| vectorizer.space() == space)
    }

    /// The words in the first of these spaces whose model answers; `None` in a space whose model is not ours.
    pub(crate) async fn embed_in_one_of(
        &self,
        words: &str,
        spaces: Vec<Space>,
    ) -> Result<(Space, Option<Vector>), SearchError> {
        let mut refused = None;
        for space in spaces {
            let Some(vectorizer) = self.vectorizer(&space) else { return Ok((space, None)) };
            match vectorizer.vectorize_query(words.to_owned()).await {
                Ok(query) => return Ok((space, Some(query))),
                Err(error) => {
                    tracing::debug!(%error, %space, "another space answers");
                    refused.get_or_insert(error);
                }
            }
        }
        let nowhere = || EmbedError::Failed("there is no space to search in".into());
        Err(refused.unwrap_or_else(nowhere).into())
    }

    /// The unit vectors of those of these tracks that have one.
    pub(crate) async fn units(
        &self,
        space: &Space,
        ids: Vec<TrackId>,
    ) -> Result<HashMap<TrackId, Vec<f32>>, StoreError> {
        if let Some(units) = self.index.units(space, &ids).await? {
            return Ok(units);
        }
        let stored = self.vectors.vectors(space, ids).await?;
        Ok(stored.into_iter().map(|stored| (stored.track_id, stored.vector.to_unit())).collect())
    }

    /// The query with its numbers weighed anew. Stored vectors stay as they are, so that any index answers.
    fn weighed(&self, query: Vector, space: &Space, numbers: Option<f32>) -> Result<Vector, SearchError> {
        let Some(weight) = numbers.filter(|weight| *weight != 1.0) else { return Ok(query) };
        let Some(vectorizer) = self.vectorizer(space) else { return Err(SearchError::UnknownBlocks(space.clone())) };
        let mut query = query.to_unit();
        query.iter_mut().skip(vectorizer.text_dims()).for_each(|number| *number *= weight);
        Vector::new(query).map_err(|_| SearchError::NoDirection)
    }

    /// The `k` nearest tracks that pass.
    pub(crate) async fn nearest(
        &self,
        space: &Space,
        query: &Vector,
        filter: &Filter,
        k: usize,
    ) -> Result<Vec<Found>, SearchError> {
        let hits = self.index.search(space, query, k, filter).await?;
        self.found(hits).await
    }

    /// The tracks of these hits.
    pub(crate) async fn found(&self, hits: Vec<Hit>) -> Result<Vec<Found>, SearchError> {
        let ids = hits.iter().map(|hit| hit.track_id).collect();
        let mut tracks: HashMap<_, _> = self.catalog.tracks(ids).await?.into_iter().map(|t| (t.id, t)).collect();
        let found = |hit: &Hit| {
            // Removed since the search: no answer any more.
            let track = tracks.remove(&hit.track_id)?;
            Some(Found { track, score: hit.score, why: Why::default(), versions: Vec::new() })
        };
        Ok(hits.iter().filter_map(found).collect())
    }

    /// Only of our own space do we know which numbers come from words.
    pub(crate) async fn tell_shares(
        &self,
        space: &Space,
        query: &Vector,
        items: &mut [Found],
    ) -> Result<(), SearchError> {
        let Some(vectorizer) = self.vectorizer(space).filter(|_| !items.is_empty()) else { return Ok(()) };
        let units = self.units(space, items.iter().map(|found| found.track.id).collect()).await?;
        let query = query.to_unit();
        for found in items {
            if let Some(unit) = units.get(&found.track.id) {
                let (words, numbers) = why::shares(&query, unit, vectorizer.text_dims());
                (found.why.words, found.why.numbers) = (Some(words), Some(numbers));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "recommend_tests.rs"]
mod tests;
