//! What every [`VectorIndex`] must keep, checked against a brute-force oracle. For tests: it panics where the contract
//! does not hold.
#![allow(clippy::panic, clippy::expect_used, reason = "a failed contract is a failed test")]

use std::collections::HashMap;

use soniquebay_domain::{
    Applied, Catalog, Change, Facts, Filter, Hit, Key, Priority, Range, Space, Target, TrackId, TrackPatch, TrackWrite,
    Vector, VectorIndex, VectorStore, VectorWrite, WriteMode, cosine, fold, with_subgenres,
};

/// Scores may differ so much from the oracle's, for the order of summation and for L2 turned into cosine.
const TOLERANCE: f32 = 2e-4;
const SEARCHES: usize = 120;

type Truth = HashMap<TrackId, (Vector, Facts)>;

/// Fills the (empty) stores with a random library, the same in each run, and asks the index what the oracle knows.
///
/// # Panics
/// Where the index breaks the contract.
pub async fn vector_index(index: &dyn VectorIndex, catalog: &dyn Catalog, vectors: &dyn VectorStore) {
    checked(index, catalog, vectors, Accuracy::Exact).await;
}

/// The same for an index that finds nearest neighbours approximately: filters, numbers of answers and scores are exact, and of
/// the oracle's neighbours it answers this share in the mean.
///
/// # Panics
/// Where the index breaks the contract.
pub async fn approximate_vector_index(
    index: &dyn VectorIndex,
    catalog: &dyn Catalog,
    vectors: &dyn VectorStore,
    recall: f64,
) {
    let reached = checked(index, catalog, vectors, Accuracy::Approximate).await;
    assert!(reached >= recall, "the recall is {reached}, less than {recall}");
}

/// What is asked of the order of neighbours.
#[derive(Clone, Copy, PartialEq)]
enum Accuracy {
    Exact,
    Approximate,
}

/// The share of the oracle's neighbours that was answered.
async fn checked(index: &dyn VectorIndex, catalog: &dyn Catalog, vectors: &dyn VectorStore, accuracy: Accuracy) -> f64 {
    let mut random = Random { state: 0x5eed, tracks: 240, dims: 24 };
    let space = random.space();
    let query = random.vector();
    assert_eq!(found(index, &space, &query, 5, &Filter::default()).await, [], "an unknown space answers nothing");

    let mut truth = fill(&mut random, catalog, vectors, &space).await;
    let longer = Vector::new(vec![1.0; random.dims + 1]).expect("a vector");
    assert_eq!(found(index, &space, &longer, 5, &Filter::default()).await, [], "another length answers nothing");
    assert_eq!(found(index, &space, &query, 0, &Filter::default()).await, [], "none were asked for");
    let (mut answered, mut expected) = (0, 0);
    for _ in 0..SEARCHES {
        let (found, all) = compare(index, &space, &truth, &mut random, accuracy).await;
        (answered, expected) = (answered + found, expected + all);
    }

    follow_writes(index, catalog, vectors, &space, &mut truth, &mut random).await;
    for _ in 0..SEARCHES / 2 {
        let (found, all) = compare(index, &space, &truth, &mut random, accuracy).await;
        (answered, expected) = (answered + found, expected + all);
    }
    answered as f64 / f64::from(expected.max(1))
}

/// Fills the (empty) stores with a library of this many tracks and numbers a vector, another one for each seed, and
/// compares a few dozen answers with the oracle's, under random filters.
///
/// # Panics
/// Where an answer is not the oracle's.
pub async fn any_library(
    index: &dyn VectorIndex,
    catalog: &dyn Catalog,
    vectors: &dyn VectorStore,
    (seed, tracks, dims): (u64, usize, usize),
) {
    let mut random = Random { state: seed, tracks, dims };
    let space = random.space();
    let truth = fill(&mut random, catalog, vectors, &space).await;
    for _ in 0..SEARCHES / 3 {
        compare(index, &space, &truth, &mut random, Accuracy::Exact).await;
    }
}

async fn found(index: &dyn VectorIndex, space: &Space, query: &Vector, k: usize, filter: &Filter) -> Vec<Hit> {
    index.search(space, query, k, filter).await.expect("the index searches")
}

async fn fill(random: &mut Random, catalog: &dyn Catalog, vectors: &dyn VectorStore, space: &Space) -> Truth {
    let writes =
        (0..random.tracks).map(|number| write(Target::Recognised { id: None }, random.patch(number))).collect();
    let ids: Vec<TrackId> = catalog.apply(writes).await.expect("tracks are written").into_iter().map(done).collect();
    let mut known: Vec<Vector> = Vec::new();
    for number in 0..random.tracks {
        // Every sixth vector is one that another track has too: ties.
        let twin = (number % 6 == 5).then(|| known[random.below(known.len())].clone());
        known.push(twin.unwrap_or_else(|| random.vector()));
    }
    put(vectors, space, ids.iter().copied().zip(known.iter().cloned())).await;
    let facts = facts(catalog, &ids).await;
    ids.iter().zip(known).map(|(id, vector)| (*id, (vector, facts[id].clone()))).collect()
}

/// Replaced and removed vectors, changed filter data and removed tracks: the very next search knows.
async fn follow_writes(
    index: &dyn VectorIndex,
    catalog: &dyn Catalog,
    vectors: &dyn VectorStore,
    space: &Space,
    truth: &mut Truth,
    random: &mut Random,
) {
    let mut ids: Vec<TrackId> = truth.keys().copied().collect();
    ids.sort();
    let usual = Filter { years: Range { min: None, max: Some(1990.0) }, ..Filter::default() };
    for round in 0..12 {
        // Asked before each write and after it: what an index remembers of a filter must follow too.
        check_passing(index, space, truth, &usual).await;
        let id = ids[round * 7];
        match round % 4 {
            0 => {
                let vector = random.vector();
                put(vectors, space, [(id, vector.clone())]).await;
                let best = found(index, space, &vector, 1, &Filter::default()).await;
                assert_eq!(best.first().map(|hit| hit.track_id), Some(id), "a replaced vector is found at once");
                truth.get_mut(&id).expect("known").0 = vector;
            }
            1 => {
                assert!(vectors.remove_vector(space, id).await.expect("removes"), "there was a vector");
                truth.remove(&id);
            }
            2 => {
                let patch = TrackPatch { year: Change::Set(1901), ..TrackPatch::default() };
                let written = catalog.apply(vec![write(Target::Existing { id, version: None }, patch)]).await;
                written.expect("the track is written").into_iter().for_each(|applied| assert_eq!(done(applied), id));
                let only = Filter { years: Range { min: None, max: Some(1901.0) }, ..Filter::default() };
                let hits = found(index, space, &truth[&id].0, random.tracks, &only).await;
                assert!(hits.iter().any(|hit| hit.track_id == id), "changed filter data is seen at once");
                truth.get_mut(&id).expect("known").1 = facts(catalog, &[id]).await.remove(&id).expect("known");
            }
            _ => {
                assert_eq!(catalog.remove(vec![id], None).await.expect("removes"), 1);
                truth.remove(&id);
            }
        }
        let all = found(index, space, &random.vector(), random.tracks + 1, &Filter::default()).await;
        assert_eq!(all.len(), truth.len(), "as many as there are, after round {round}");
        check_passing(index, space, truth, &usual).await;
    }
}

/// All that pass are answered where all are asked for, and no others.
async fn check_passing(index: &dyn VectorIndex, space: &Space, truth: &Truth, filter: &Filter) {
    let query = Vector::new(vec![1.0; space.dims()]).expect("a vector");
    let mut hits: Vec<TrackId> =
        found(index, space, &query, truth.len() + 1, filter).await.into_iter().map(|hit| hit.track_id).collect();
    hits.sort();
    let mut passing: Vec<TrackId> =
        truth.iter().filter(|(id, (_, facts))| filter.admits(**id, facts)).map(|(id, _)| *id).collect();
    passing.sort();
    assert_eq!(hits, passing, "{filter:?}");
}

/// How many of the oracle's neighbours were answered, and how many there are.
async fn compare(
    index: &dyn VectorIndex,
    space: &Space,
    truth: &Truth,
    random: &mut Random,
    accuracy: Accuracy,
) -> (u32, u32) {
    let filter = random.filter(truth);
    let k = [1, 3, 10, 50, random.tracks * 2 + 1][random.below(5)];
    let query = random.query(truth);
    let hits = found(index, space, &query, k, &filter).await;
    let expected = oracle(truth, &query, k, &filter);
    let told = || format!("k {k}, {filter:?}\n found {hits:?}\n oracle {expected:?}");

    assert_eq!(hits.len(), expected.len(), "exactly k where k pass: {}", told());
    for (hit, best) in hits.iter().zip(&expected) {
        let (vector, facts) = truth.get(&hit.track_id).unwrap_or_else(|| panic!("a track that is gone: {}", told()));
        assert!(filter.admits(hit.track_id, facts), "{} does not pass: {}", hit.track_id, told());
        let score = cosine(vector.as_slice(), query.as_slice());
        assert!((hit.score - score).abs() < TOLERANCE, "{} scores {score}: {}", hit.track_id, told());
        let is_best = (hit.score - best.score).abs() < TOLERANCE;
        assert!(is_best || accuracy == Accuracy::Approximate, "a better one was left out: {}", told());
    }
    for pair in hits.windows(2) {
        let ordered =
            pair[0].score > pair[1].score || (pair[0].score == pair[1].score && pair[0].track_id < pair[1].track_id);
        assert!(ordered, "best first, ties by id: {}", told());
    }
    if accuracy == Accuracy::Exact {
        check_twins(truth, &hits, &filter, &told);
    }
    check_artists(truth, &hits, &filter, &told);
    // Equals stand for each other.
    let worst = expected.last().map_or(f32::MAX, |hit| hit.score - TOLERANCE);
    let found = hits.iter().filter(|hit| hit.score >= worst).count();
    (found as u32, expected.len() as u32)
}

/// Of tracks with one and the same vector, those with the smaller ids are answered.
fn check_twins(truth: &Truth, hits: &[Hit], filter: &Filter, told: &dyn Fn() -> String) {
    if filter.max_per_artist.is_some() {
        return;
    }
    for hit in hits {
        let twin = truth.iter().find(|(id, (vector, facts))| {
            **id < hit.track_id
                && *vector == truth[&hit.track_id].0
                && filter.admits(**id, facts)
                && !hits.iter().any(|other| other.track_id == **id)
        });
        assert!(
            twin.is_none(),
            "{} ties with {} and was left out: {}",
            twin.map_or(0, |t| t.0.get()),
            hit.track_id,
            told()
        );
    }
}

fn check_artists(truth: &Truth, hits: &[Hit], filter: &Filter, told: &dyn Fn() -> String) {
    let Some(most) = filter.max_per_artist else { return };
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for hit in hits {
        *counts.entry(truth[&hit.track_id].1.artist.as_str()).or_default() += 1;
    }
    let over = counts.iter().find(|(artist, count)| !artist.is_empty() && **count > most);
    assert!(over.is_none(), "more than {most} of one artist {over:?}: {}", told());
}

fn oracle(truth: &Truth, query: &Vector, k: usize, filter: &Filter) -> Vec<Hit> {
    let mut ranking: Vec<(Hit, &str)> = truth
        .iter()
        .filter(|(id, (_, facts))| filter.admits(**id, facts))
        .map(|(id, (vector, facts))| {
            (Hit { track_id: *id, score: cosine(vector.as_slice(), query.as_slice()) }, facts.artist.as_str())
        })
        .collect();
    ranking.sort_by(|(a, _), (b, _)| b.score.total_cmp(&a.score).then(a.track_id.cmp(&b.track_id)));
    let mut taken: HashMap<&str, usize> = HashMap::new();
    let most = filter.max_per_artist.unwrap_or(usize::MAX);
    let mut best = Vec::new();
    for (hit, artist) in ranking {
        let count = taken.entry(artist).or_default();
        *count += 1;
        if best.len() < k && (artist.is_empty() || *count <= most) {
            best.push(hit);
        }
    }
    best
}

fn write(target: Target, patch: TrackPatch) -> TrackWrite {
    TrackWrite { target, mode: WriteMode::Merge, patch, priority: Priority::Bulk }
}

fn done(applied: Applied) -> TrackId {
    match applied {
        Applied::Done { id, .. } => id,
        other => panic!("a good write came to {other:?}"),
    }
}

async fn put(vectors: &dyn VectorStore, space: &Space, all: impl IntoIterator<Item = (TrackId, Vector)>) {
    let write = |(track_id, vector)| VectorWrite::new(track_id, space.clone(), vector, None);
    vectors.put(all.into_iter().map(write).collect()).await.expect("vectors are stored");
}

async fn facts(catalog: &dyn Catalog, ids: &[TrackId]) -> HashMap<TrackId, Facts> {
    let tracks = catalog.tracks(ids.to_vec()).await.expect("tracks are read");
    tracks.into_iter().map(|track| (track.id, Facts::of(&track.fields))).collect()
}

/// SplitMix64: the same library on every machine.
struct Random {
    state: u64,
    /// Of the library.
    tracks: usize,
    dims: usize,
}

impl Random {
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn vector(&mut self) -> Vector {
        let numbers = (0..self.dims).map(|_| (self.next() >> 40) as f32 / 8_388_608.0 - 1.0).collect();
        Vector::new(numbers).expect("random numbers have a direction")
    }

    fn space(&self) -> Space {
        Space::new("contract", self.dims, "1").expect("a space")
    }

    /// Any direction, that of a track, or that of a track whose last numbers weigh less, as a question can wish.
    fn query(&mut self, truth: &Truth) -> Vector {
        if truth.is_empty() || self.one_in(3) {
            return self.vector();
        }
        let near = truth[&self.track(truth)].0.clone();
        let weight = [1.0, 0.5, 0.0][self.below(3)];
        let mut numbers = near.as_slice().to_vec();
        numbers.iter_mut().skip(self.dims.div_ceil(2)).for_each(|number| *number *= weight);
        Vector::new(numbers).unwrap_or(near)
    }

    fn maybe<T>(&mut self, value: T) -> Change<T> {
        if self.one_in(5) { Change::Keep } else { Change::Set(value) }
    }

    fn patch(&mut self, number: usize) -> TrackPatch {
        let key = Key::parse(KEYS[self.below(KEYS.len())]).expect("a key");
        let (artist, genre) = (self.below(9), self.below(GENRES.len()));
        let (year, bpm, duration) = (1960 + self.below(60), 60 + self.below(120), 90 + self.below(400));
        let tags = vec![TAGS[self.below(3)].to_owned(), TAGS[self.below(3)].to_owned()];
        let folder = ["/music/a", "/music/ab", "/other"][self.below(3)];
        TrackPatch {
            title: Change::Set(format!("Contract track {number}")),
            artist: self.maybe(format!("Artist {artist}")),
            genre: self.maybe(GENRES[genre].to_owned()),
            tags: self.maybe(tags),
            year: self.maybe(year as i32),
            bpm: self.maybe(bpm as f64),
            duration: self.maybe(duration as f64),
            key: self.maybe(key.tonic),
            mode: key.mode.map_or(Change::Keep, Change::Set),
            path: self.maybe(format!("{folder}/{number}.flac")),
            ..TrackPatch::default()
        }
    }

    fn track(&mut self, truth: &Truth) -> TrackId {
        let mut ids: Vec<TrackId> = truth.keys().copied().collect();
        ids.sort();
        ids[self.below(ids.len())]
    }

    /// Some conditions, each now and then, so that most filters let some tracks pass.
    fn filter(&mut self, truth: &Truth) -> Filter {
        let mut filter = Filter::default();
        if self.one_in(4) {
            let mut genres: Vec<String> = (0..=self.below(2)).map(|_| fold(GENRES[self.below(GENRES.len())])).collect();
            if self.one_in(3) {
                genres = genres.iter().flat_map(|genre| with_subgenres(genre)).collect();
            }
            filter.genres = genres;
        }
        if self.one_in(6) {
            filter.tags = vec![fold(TAGS[self.below(3)])];
        }
        if self.one_in(4) {
            filter.years = self.range(1960, 60);
        }
        if self.one_in(6) {
            filter.bpm = self.range(40, 160);
            filter.bpm_octaves = self.one_in(2);
        }
        if self.one_in(6) {
            filter.duration = self.range(90, 400);
        }
        if self.one_in(6) {
            filter.key = Key::parse(KEYS[self.below(KEYS.len())]);
        }
        if self.one_in(5) {
            filter.excluded_artists = (0..3).map(|_| fold(&format!("Artist {}", self.below(9)))).collect();
        }
        if self.one_in(5) && !truth.is_empty() {
            filter.excluded_tracks = (0..40).map(|_| self.track(truth)).collect();
        }
        if self.one_in(3) {
            filter.max_per_artist = Some(1 + self.below(3));
        }
        if self.one_in(8) {
            let file = format!("/music/a/{}.flac", self.below(self.tracks.max(1)));
            filter.path_prefix = Some(["/music/a", "/music/a/", "/", file.as_str()][self.below(4)].into());
        }
        filter
    }

    fn range(&mut self, from: usize, width: usize) -> Range {
        let low = from + self.below(width);
        let high = low + self.below(width);
        let open_end = self.one_in(3);
        Range { min: (!open_end || self.one_in(2)).then_some(low as f64), max: (!open_end).then_some(high as f64) }
    }
}

const GENRES: [&str; 6] = ["Rock", "Hard Rock", "Électro", "jazz", "Hip-Hop", "Ambient"];
const TAGS: [&str; 3] = ["Live", "late night", "Été"];
const KEYS: [&str; 6] = ["8A", "8B", "C", "F# minor", "3B", "12A"];
