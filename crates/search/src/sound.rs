//! Two spaces asked at once: what tracks say, and what they sound like.

use std::collections::HashMap;

use soniquebay_domain::{Filter, Hit, Space, StoreError, TrackId, Vector, dot};

use crate::{Found, Recommender, SearchError, Seed};

/// Tracks that are looked at in each space at first, and at most: beyond that, answers are the best of those.
const FIRST: usize = 64;
const MOST: usize = 6400;

/// A question to two spaces. A track's score is `(1 − share) · cosine in the main space + share · cosine in the sound space`;
/// in a space in which it has no vector its cosine is 0, that of what has nothing to do with the question.
pub(crate) struct Blend {
    /// What is asked in the main space.
    pub(crate) main: Vector,
    /// What is asked in the sound space.
    pub(crate) sound: Vector,
    /// The sound space.
    pub(crate) space: Space,
    /// How much sound counts, between 0 and 1.
    pub(crate) share: f32,
}

impl Recommender {
    /// The sound of those seeds that are tracks, as far as they have been heard, to be blended with `main`; `None` where none of them has been.
    pub(crate) async fn blend_with_sound(
        &self,
        seeds: &[Seed],
        main: &Vector,
        share: f32,
    ) -> Result<Option<Blend>, SearchError> {
        let Some(space) = self.sound.clone() else { return Ok(None) };
        let ids = seeds.iter().filter_map(Seed::track_id).collect();
        let heard: Vec<TrackId> =
            self.vectors.vectors(&space, ids).await?.into_iter().map(|stored| stored.track_id).collect();
        let is_heard = |seed: &&Seed| seed.track_id().is_some_and(|id| heard.contains(&id));
        let seeds: Vec<Seed> = seeds.iter().filter(is_heard).cloned().collect();
        if seeds.is_empty() {
            return Ok(None);
        }
        match self.blend(&seeds, &space).await {
            Ok(sound) => Ok(Some(Blend { main: main.clone(), sound, space, share })),
            // Sounds that cancel each other out ask for nothing.
            Err(SearchError::NoDirection) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The `k` tracks that pass with the highest scores, best first, ties by id.
    ///
    /// Both spaces are read from their nearest tracks on. Whatever has not been seen in either is no nearer than the last
    /// that was, so that the best are known as soon as they score more than that (Fagin's threshold algorithm).
    pub(crate) async fn blended(
        &self,
        space: &Space,
        blend: &Blend,
        filter: &Filter,
        k: usize,
    ) -> Result<Vec<Hit>, StoreError> {
        let mut scores: HashMap<TrackId, f32> = HashMap::new();
        let mut depth = FIRST.max(2 * k);
        loop {
            let near = self.index.search(space, &blend.main, depth, filter).await?;
            let alike = self.index.search(&blend.space, &blend.sound, depth, filter).await?;
            let seen = near.iter().chain(&alike).map(|hit| hit.track_id);
            let mut new: Vec<TrackId> = seen.filter(|id| !scores.contains_key(id)).collect();
            new.sort_unstable();
            new.dedup();
            self.score(space, blend, new, &mut scores).await?;
            let mut best: Vec<Hit> =
                scores.iter().map(|(track_id, score)| Hit { track_id: *track_id, score: *score }).collect();
            best.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.track_id.cmp(&b.track_id)));
            let unseen = (1.0 - blend.share) * farthest(&near, depth) + blend.share * farthest(&alike, depth);
            let is_certain = k.checked_sub(1).and_then(|last| best.get(last)).is_some_and(|hit| hit.score > unseen);
            let is_all = near.len() < depth && alike.len() < depth;
            if is_certain || is_all || depth >= MOST.max(2 * k) {
                best.truncate(k);
                return Ok(best);
            }
            depth *= 4;
        }
    }

    async fn score(
        &self,
        space: &Space,
        blend: &Blend,
        ids: Vec<TrackId>,
        scores: &mut HashMap<TrackId, f32>,
    ) -> Result<(), StoreError> {
        scores.extend(ids.iter().map(|id| (*id, 0.0)));
        let asked = [(space, &blend.main, 1.0 - blend.share), (&blend.space, &blend.sound, blend.share)];
        for (space, query, weight) in asked {
            let query = query.to_unit();
            for stored in self.vectors.vectors(space, ids.clone()).await? {
                if let Some(score) = scores.get_mut(&stored.track_id) {
                    *score += weight * dot(&query, &stored.vector.to_unit());
                }
            }
        }
        Ok(())
    }

    /// Tells how much of each score is sound, and what is left of the other shares.
    pub(crate) async fn tell_sound(&self, blend: &Blend, items: &mut [Found]) -> Result<(), SearchError> {
        let ids = items.iter().map(|found| found.track.id).collect();
        let query = blend.sound.to_unit();
        let heard: HashMap<TrackId, f32> = self
            .vectors
            .vectors(&blend.space, ids)
            .await?
            .into_iter()
            .map(|stored| (stored.track_id, blend.share * dot(&query, &stored.vector.to_unit())))
            .collect();
        for Found { track, why, .. } in items {
            why.sound = heard.get(&track.id).copied();
            for share in [&mut why.words, &mut why.numbers].into_iter().flatten() {
                *share *= 1.0 - blend.share;
            }
        }
        Ok(())
    }
}

/// What a track that is not among these scores at most: no more than the last of them, or 0 where it has no vector; where they
/// are all there are, it has none.
fn farthest(hits: &[Hit], asked: usize) -> f32 {
    if hits.len() < asked { 0.0 } else { hits.last().map_or(0.0, |hit| hit.score.max(0.0)) }
}

#[cfg(test)]
#[path = "sound_tests.rs"]
mod tests;
