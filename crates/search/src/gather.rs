//! From what the index finds to what is answered: conditions given up, versions of one recording folded.

use std::collections::HashMap;

use soniquebay_domain::{Condition, Facts, Filter, Space, Track, TrackId, Vector, fold};

use crate::recording::Recording;
use crate::sound::Blend;
use crate::typed::Typed;
use crate::{Found, Recommender, SearchError, SimilarOptions};

/// How often more is asked for where much of what was found is set aside. Each time it is four times as much.
const ROUNDS: u32 = 6;

/// The most that is asked for at once.
const MOST: usize = 6400;

/// What is asked, ready for one space.
pub(crate) enum Question<'a> {
    /// What is near this vector?
    Near(&'a Vector),
    /// What is near this in one space and that in another?
    Blended(&'a Blend),
    /// What do these words stand for?
    Typed(&'a Typed),
}

impl Recommender {
    /// What answers the question, best first: tracks that meet all conditions, then, where `options.relax` allows it,
    /// those that meet all but one, and so on. `seeds` count as answered when versions are folded.
    pub(crate) async fn gather(
        &self,
        question: &Question<'_>,
        space: &Space,
        options: &SimilarOptions,
        seeds: &[&Track],
    ) -> Result<Vec<Found>, SearchError> {
        let mut gathered = Gathered::new(options, seeds);
        let mut filter = options.filter.clone();
        if options.relax || options.fold || matches!(question, Question::Blended(_)) {
            // An index would count what is folded, what an earlier pass has found, or what scores less in the other space.
            filter.max_per_artist = None;
        }
        self.fill(question, space, &filter, &mut gathered).await?;
        let conditions = options.filter.relaxable().filter(|_| options.relax);
        for condition in conditions {
            if gathered.is_full() {
                break;
            }
            filter = filter.without(condition);
            gathered.given_up.push(condition);
            self.fill(question, space, &filter, &mut gathered).await?;
        }
        Ok(gathered.items)
    }

    async fn fill(
        &self,
        question: &Question<'_>,
        space: &Space,
        filter: &Filter,
        gathered: &mut Gathered<'_>,
    ) -> Result<(), SearchError> {
        let mut ask = gathered.options.limit;
        for _ in 0..ROUNDS {
            let left = gathered.left_of(filter);
            let found = match question {
                Question::Near(query) => self.nearest(space, query, &left, ask).await?,
                Question::Blended(blend) => self.found(self.blended(space, blend, &left, ask).await?).await?,
                Question::Typed(typed) => self.typed(typed, space, &left, ask).await?,
            };
            let exhausted = found.len() < ask;
            found.into_iter().for_each(|found| gathered.take(found));
            if exhausted || gathered.is_full() {
                break;
            }
            ask = (ask * 4).min(MOST.max(ask));
        }
        Ok(())
    }
}

struct Gathered<'a> {
    options: &'a SimilarOptions,
    items: Vec<Found>,
    /// Where versions are folded: of the seeds, then of each item.
    recordings: Vec<Recording>,
    seeds: usize,
    /// Seen and not among the items.
    set_aside: Vec<TrackId>,
    of_artist: HashMap<String, usize>,
    given_up: Vec<Condition>,
}

impl<'a> Gathered<'a> {
    fn new(options: &'a SimilarOptions, seeds: &[&Track]) -> Self {
        let seeds = if options.fold { seeds } else { &[] };
        Self {
            options,
            items: Vec::new(),
            recordings: seeds.iter().map(|seed| Recording::of(seed)).collect(),
            seeds: seeds.len(),
            set_aside: Vec::new(),
            of_artist: HashMap::new(),
            given_up: Vec::new(),
        }
    }

    fn is_full(&self) -> bool {
        self.items.len() >= self.options.limit
    }

    /// The filter without what has been seen, and without the artists that have all the places they may have.
    fn left_of(&self, filter: &Filter) -> Filter {
        let mut filter = filter.clone();
        filter
            .excluded_tracks
            .extend(self.items.iter().map(|found| found.track.id).chain(self.set_aside.iter().copied()));
        if let Some(most) = self.options.filter.max_per_artist {
            let full = self.of_artist.iter().filter(|(_, count)| **count >= most);
            filter.excluded_artists.extend(full.map(|(artist, _)| artist.clone()));
        }
        filter
    }

    fn take(&mut self, mut found: Found) {
        let recording = self.options.fold.then(|| Recording::of(&found.track));
        let version_of = |new: &Recording| self.recordings.iter().position(|known| known.is_version_of(new));
        if let Some(at) = recording.as_ref().and_then(version_of) {
            if let Some(item) = at.checked_sub(self.seeds).and_then(|at| self.items.get_mut(at)) {
                item.versions.push(found.track.id);
            }
            return self.set_aside.push(found.track.id);
        }
        if self.is_full() || !self.has_place(&found.track) {
            return self.set_aside.push(found.track.id);
        }
        self.recordings.extend(recording);
        if let Some(artist) = artist(&found.track) {
            *self.of_artist.entry(artist).or_default() += 1;
        }
        let facts = Facts::of(&found.track.counts());
        let unmet = self.given_up.iter().filter(|condition| !self.options.filter.meets(**condition, &facts));
        found.why.relaxed = unmet.map(|condition| condition.name()).collect();
        self.items.push(found);
    }

    /// Whether the track's artist may have one more. Unknown artists are not counted together.
    fn has_place(&self, track: &Track) -> bool {
        let taken = artist(track).and_then(|artist| self.of_artist.get(&artist).copied()).unwrap_or(0);
        self.options.filter.max_per_artist.is_none_or(|most| taken < most)
    }
}

fn artist(track: &Track) -> Option<String> {
    track.fields.artist.as_deref().map(fold).filter(|artist| !artist.is_empty())
}

#[cfg(test)]
#[path = "gather_tests.rs"]
mod tests;
