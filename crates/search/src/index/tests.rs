//! The cascade over a library large enough for every stage, against comparing all.

use std::collections::HashMap;
use std::sync::Arc;

use soniquebay_domain::{Facts, Filter, Hit, Range, TrackId, Vector, VectorChanges, dot};

use super::cascade::{Estimates, nearest};
use super::codes::Encoder;
use super::rotation::random;
use super::segment::{Segment, prepare};

const DIMS: usize = 60;
const TRACKS: usize = 14_000;

struct Library {
    segment: Segment,
    encoder: Arc<Encoder>,
    truth: HashMap<TrackId, (Vec<f32>, Facts)>,
    sequence: i64,
    state: u64,
    room: Estimates,
}

impl Library {
    /// Points around `clusters` centres, or anywhere, of which every tenth is one that is there already.
    fn new(clusters: usize, spread: f32) -> Self {
        let encoder = Arc::new(Encoder::new(DIMS));
        let segment = Segment::new(Arc::clone(&encoder), &std::env::temp_dir());
        let mut library =
            Self { segment, encoder, truth: HashMap::new(), sequence: 0, state: 7, room: Estimates::default() };
        let centres: Vec<Vec<f32>> = (0..clusters).map(|_| library.direction()).collect();
        let mut points: Vec<Vec<f32>> = Vec::new();
        for number in 0..TRACKS {
            let mut point = library.direction();
            if clusters > 0 {
                let centre = &centres[library.below(clusters)];
                point.iter_mut().zip(centre).for_each(|(n, centre)| *n = centre + *n * spread);
            }
            if number % 10 == 9 {
                point = points[library.below(number)].clone();
            }
            points.push(point);
        }
        let tracks = (1..).zip(points).map(|(id, point)| (id, Some(point))).collect();
        library.write(tracks);
        library
    }

    fn below(&mut self, end: usize) -> usize {
        (random(&mut self.state) % end as u64) as usize
    }

    fn direction(&mut self) -> Vec<f32> {
        let numbers = (0..DIMS).map(|_| (0..4).map(|_| random(&mut self.state) as f32 / u64::MAX as f32 - 0.5).sum());
        Vector::new(numbers.collect()).unwrap().to_unit()
    }

    fn write(&mut self, tracks: Vec<(i64, Option<Vec<f32>>)>) {
        let mut changes = VectorChanges::default();
        for (id, point) in tracks {
            self.sequence += 1;
            let track_id = TrackId::new(id).unwrap();
            let facts = Facts { artist: format!("a{}", id % 400), year: Some((id % 1000) as i32), ..Facts::default() };
            match point {
                Some(point) => {
                    changes.stored(self.sequence, track_id, point.clone(), facts.clone()).unwrap();
                    self.truth.insert(track_id, (Vector::new(point).unwrap().to_unit(), facts));
                }
                None => {
                    changes.removed(self.sequence, track_id);
                    self.truth.remove(&track_id);
                }
            }
        }
        self.apply(changes);
    }

    fn apply(&mut self, changes: VectorChanges) {
        let ready = prepare(&self.encoder, changes);
        ready.parts(usize::MAX).for_each(|part| self.segment.apply(part).unwrap());
    }

    /// The share of right answers among all, over some queries near tracks; that the rest is as it must be is asserted.
    fn recall(&mut self, k: usize, filter: &Filter) -> f64 {
        let mut ids: Vec<TrackId> = self.truth.keys().copied().collect();
        ids.sort();
        let (mut right, mut wanted) = (0, 0);
        for round in 0..12 {
            let near = ids[self.below(ids.len())];
            let mut query = self.direction();
            query.iter_mut().zip(&self.truth[&near].0).for_each(|(n, other)| *n = *n * 0.5 + other);
            // The last numbers of a query may weigh less than those of the rows.
            query.iter_mut().skip(DIMS - 12).for_each(|n| *n *= [1.0, 0.5, 0.0][round % 3]);
            let query = Vector::new(query).unwrap().to_unit();
            let hits = nearest(&self.segment, query.clone(), k, filter, &mut self.room).unwrap();
            let expected = self.oracle(&query, k, filter);
            assert_eq!(hits.len(), expected.len(), "exactly k where k pass");
            for hit in &hits {
                let (vector, facts) = &self.truth[&hit.track_id];
                assert!(filter.admits(hit.track_id, facts));
                assert_eq!(hit.score, dot(vector, &query).clamp(-1.0, 1.0) + 0.0, "scores are exact");
            }
            right += hits.iter().filter(|hit| expected.contains(hit)).count();
            wanted += expected.len();
        }
        right as f64 / wanted as f64
    }

    fn oracle(&self, query: &[f32], k: usize, filter: &Filter) -> Vec<Hit> {
        let passing = self.truth.iter().filter(|(id, (_, facts))| filter.admits(**id, facts));
        let score = |vector: &[f32]| dot(vector, query).clamp(-1.0, 1.0) + 0.0;
        let mut ranking: Vec<_> = passing.map(|(id, (vector, facts))| (score(vector), *id, &facts.artist)).collect();
        ranking.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let mut taken: HashMap<&str, usize> = HashMap::new();
        ranking.retain(|(_, _, artist)| {
            let count = taken.entry(artist.as_str()).or_default();
            *count += 1;
            filter.max_per_artist.is_none_or(|most| *count <= most)
        });
        ranking.into_iter().take(k).map(|(score, track_id, _)| Hit { track_id, score }).collect()
    }
}

fn filters() -> Vec<Filter> {
    let years = |max: f64| Range { min: None, max: Some(max) };
    vec![
        Filter::default(),
        Filter { years: years(700.0), ..Filter::default() },
        Filter { excluded_artists: (0..40).map(|n| format!("a{n}")).collect(), ..Filter::default() },
        Filter { excluded_tracks: (1..900).filter_map(TrackId::new).collect(), ..Filter::default() },
        Filter { max_per_artist: Some(1), ..Filter::default() },
        Filter { max_per_artist: Some(2), years: years(800.0), ..Filter::default() },
    ]
}

/// Few enough rows to be compared without estimates: the bound of int8 always holds.
fn narrow_filters() -> Vec<Filter> {
    let years = |max: f64| Range { min: None, max: Some(max) };
    vec![
        Filter { years: years(49.0), ..Filter::default() },
        Filter { years: years(2.0), max_per_artist: Some(1), ..Filter::default() },
        Filter { years: years(-1.0), ..Filter::default() },
        Filter { years: years(300.0), max_per_artist: Some(3), ..Filter::default() },
    ]
}

#[test]
fn large_libraries_are_answered_as_if_all_were_compared() {
    for (clusters, spread) in [(0, 1.0), (400, 0.7), (200, 0.05), (3, 0.02)] {
        let mut library = Library::new(clusters, spread);
        for k in [10, 200] {
            let all = filters().iter().map(|filter| library.recall(k, filter)).collect::<Vec<_>>();
            let mean = all.iter().sum::<f64>() / all.len() as f64;
            assert!(mean >= 0.995, "{clusters} clusters, k {k}: {all:?}");
            for filter in narrow_filters() {
                let recall = library.recall(k, &filter);
                assert!(recall == 1.0 || recall.is_nan(), "{clusters} clusters, k {k}, {filter:?}: {recall}");
            }
        }
        assert_eq!(library.recall(TRACKS + 1, &Filter::default()), 1.0, "all of them, in order");
        assert_eq!(
            library.recall(401, &Filter { max_per_artist: Some(1), ..Filter::default() }),
            1.0,
            "one of each artist"
        );
    }
}

#[test]
fn rows_are_used_again_and_remembered_filters_follow() {
    let mut library = Library::new(400, 0.7);
    let half = Filter { years: Range { min: None, max: Some(499.0) }, ..Filter::default() };
    library.recall(10, &half);
    let rows = library.segment.ids.len();
    library.write((1..=4000).map(|id| (id * 3, None)).collect());
    let fresh = (1..=6000).map(|id| (id + 50_000, Some(library.direction()))).collect();
    library.write(fresh);
    let changed = (1..=2000).filter(|id| id % 3 > 0).map(|id| (id, Some(library.direction()))).collect();
    library.write(changed);
    assert_eq!(library.segment.ids.len(), rows + 2000, "4,000 of the new ones took free rows");
    assert_eq!(library.segment.len(), library.truth.len());
    for filter in [Filter::default(), half] {
        assert!(library.recall(10, &filter) >= 0.99);
    }
}

#[test]
fn a_late_batch_changes_nothing() {
    let mut library = Library::new(0, 1.0);
    let mut old = VectorChanges::default();
    old.removed(3, TrackId::new(5).unwrap());
    library.apply(old);
    assert_eq!((library.segment.len(), library.segment.sequence()), (TRACKS, TRACKS as i64));
}

#[test]
fn a_vector_of_another_length_is_left_out() {
    let mut library = Library::new(0, 1.0);
    let (mut short, sequence) = (VectorChanges::default(), TRACKS as i64 + 1);
    short.stored(sequence, TrackId::new(5).unwrap(), [1.0, 0.0], Facts::default()).unwrap();
    library.apply(short);
    assert_eq!(library.segment.len(), TRACKS - 1);
}
