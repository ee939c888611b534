//! What an answer should be like, and unlike: tracks, typed words and vectors, blended into one direction.

use std::collections::HashMap;

use soniquebay_domain::{Space, StoreError, Track, TrackId, Vector};

use crate::{Recommender, SearchError};

/// Something to find more of, or less of.
#[derive(Clone, Debug, PartialEq)]
pub struct Seed {
    /// What.
    pub like: Like,
    /// How much it counts; below 0, the answer goes away from it.
    pub weight: f32,
}

/// What a seed is.
#[derive(Clone, Debug, PartialEq)]
pub enum Like {
    /// A track of the catalogue.
    Track(TrackId),
    /// What somebody typed.
    Words(String),
    /// A vector of the caller's, as long as those of the space.
    Vector(Vector),
}

impl Seed {
    /// A track that counts once.
    pub fn track(id: TrackId) -> Self {
        Self { like: Like::Track(id), weight: 1.0 }
    }

    /// The same with another weight.
    #[must_use]
    pub fn weighing(self, weight: f32) -> Self {
        Self { weight, ..self }
    }

    /// Which track it is, if it is one.
    pub(crate) fn track_id(&self) -> Option<TrackId> {
        match self.like {
            Like::Track(id) => Some(id),
            Like::Words(_) | Like::Vector(_) => None,
        }
    }
}

impl Recommender {
    /// The tracks among the seeds.
    pub(crate) async fn seed_tracks(&self, seeds: &[Seed]) -> Result<HashMap<TrackId, Track>, SearchError> {
        let ids: Vec<TrackId> = seeds.iter().filter_map(Seed::track_id).collect();
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let tracks = self.catalog.tracks(ids.clone()).await?;
        let tracks: HashMap<_, _> = tracks.into_iter().map(|track| (track.id, track)).collect();
        match ids.into_iter().find(|id| !tracks.contains_key(id)) {
            Some(id) => Err(SearchError::NoTrack(id)),
            None => Ok(tracks),
        }
    }

    /// The seeds' sum in the first of these spaces in which all of them are.
    pub(crate) async fn blend_in_one_of(
        &self,
        seeds: &[Seed],
        spaces: Vec<Space>,
    ) -> Result<(Space, Vector), SearchError> {
        let mut refused = None;
        for space in spaces {
            match self.blend(seeds, &space).await {
                Ok(query) => return Ok((space, query)),
                // That it is still to come says more than that another space lacks it.
                Err(error @ SearchError::Pending { .. }) => {
                    refused = refused.filter(|known| matches!(known, SearchError::Pending { .. })).or(Some(error));
                }
                Err(
                    error @ (SearchError::NoVector { .. }
                    | SearchError::WrongLength { .. }
                    | SearchError::UnknownWords(_)
                    | SearchError::Embed(_)),
                ) => refused = refused.or(Some(error)),
                Err(error) => return Err(error),
            }
        }
        Err(refused.unwrap_or(SearchError::NoDirection))
    }

    pub(crate) async fn blend(&self, seeds: &[Seed], space: &Space) -> Result<Vector, SearchError> {
        let ids: Vec<TrackId> = seeds.iter().filter_map(Seed::track_id).collect();
        let units = if ids.is_empty() { HashMap::new() } else { self.units(space, ids).await? };
        let mut sum = vec![0f64; space.dims()];
        let mut weights = 0f64;
        for seed in seeds {
            let made;
            let unit = match &seed.like {
                Like::Track(id) => match units.get(id) {
                    Some(unit) => unit,
                    None => return Err(self.no_vector(*id, space).await),
                },
                Like::Words(words) => {
                    let maker = self.vectorizer(space).ok_or_else(|| SearchError::UnknownWords(space.clone()))?;
                    made = maker.vectorize_query(words.clone()).await?.to_unit();
                    &made
                }
                Like::Vector(vector) if vector.as_slice().len() == space.dims() => {
                    made = vector.to_unit();
                    &made
                }
                Like::Vector(vector) => {
                    return Err(self.wrong_length(vector.as_slice().len(), space.clone()).await?);
                }
            };
            let weight = f64::from(seed.weight);
            weights += weight.abs();
            sum.iter_mut().zip(unit).for_each(|(sum, number)| *sum += weight * f64::from(*number));
        }
        // What rounding leaves of two equal vectors is no direction either.
        let length = sum.iter().map(|number| number * number).sum::<f64>().sqrt();
        if !(length.is_finite() && length > 1e-5 * weights) {
            return Err(SearchError::NoDirection);
        }
        Vector::new(sum.iter().map(|number| (number / length) as f32).collect()).map_err(|_| SearchError::NoDirection)
    }

    async fn no_vector(&self, id: TrackId, space: &Space) -> SearchError {
        let look = async {
            let filled = *space == *self.serving.preferred()
                || self.vectors.spaces().await?.iter().any(|known| known.space == *space && known.wanted);
            if !filled {
                return Ok(SearchError::NoVector { id, space: space.clone() });
            }
            let state = self.vectors.states(space, vec![id]).await?.pop();
            // It is in the catalogue: of a track without a file there is no vector of sound.
            let nothing = SearchError::NoVector { id, space: space.clone() };
            Ok(state.map_or(nothing, |(id, state)| SearchError::Pending { id, state }))
        };
        look.await.unwrap_or_else(|error: StoreError| error.into())
    }
}
