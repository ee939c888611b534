use std::collections::HashSet;
use std::sync::Arc;

use proptest::prelude::*;
use soniquebay_domain::{Filter, Space, TrackId, Vector, cosine};

use crate::fakes::{Compass, Library};
use crate::{Answer, MemoryIndex, Recommender, SearchError, Seed, Serving, SimilarOptions};

fn ours() -> Space {
    Space::new("compass", 3, "1").unwrap()
}

fn sound() -> Space {
    Space::sound(2, "ears-1").unwrap()
}

fn recommender(library: &Arc<Library>) -> Recommender {
    Recommender {
        catalog: library.clone(),
        vectors: library.clone(),
        index: Arc::new(MemoryIndex::new(library.clone())),
        vectorizers: vec![Arc::new(Compass { space: ours(), model_missing: false, away: false })],
        serving: Serving::new(library.clone(), ours(), Vec::new()),
        sound: Some(sound()),
    }
}

fn ids(answer: &Answer) -> Vec<i64> {
    answer.items.iter().map(|found| found.track.id.get()).collect()
}

fn like(id: i64) -> Seed {
    Seed::track(TrackId::new(id).unwrap())
}

fn with_sound(share: f32) -> SimilarOptions {
    SimilarOptions { limit: 10, sound: Some(share), ..SimilarOptions::default() }
}

/// Track 2 says what the seed, 1, says; 3 sounds as it sounds; 4 does a little of both; 5 was never heard.
fn library() -> Arc<Library> {
    let library = Library::default();
    let both = |id, says: [f32; 3], sounds: Option<[f32; 2]>| {
        library.add(id, &[("artist", "Ada")], &ours(), Some(&says));
        if let Some(sounds) = sounds {
            library.hear(id, &sound(), &sounds);
        }
    };
    both(1, [1.0, 0.0, 0.0], Some([1.0, 0.0]));
    both(2, [1.0, 0.1, 0.0], Some([0.0, 1.0]));
    both(3, [0.0, 1.0, 0.0], Some([1.0, 0.05]));
    both(4, [1.0, 0.7, 0.0], Some([1.0, 0.7]));
    both(5, [1.0, 0.2, 0.0], None);
    Arc::new(library)
}

#[tokio::test]
async fn sound_counts_as_much_as_was_asked_for() {
    let r = recommender(&library());
    let answer = r.similar(&[like(1)], with_sound(0.0)).await.unwrap();
    assert_eq!((ids(&answer)[0], answer.items[0].why.sound), (2, None));
    let answer = r.similar(&[like(1)], with_sound(0.5)).await.unwrap();
    assert_eq!(ids(&answer), [4, 3, 2, 5], "a little of both is more than either alone");
    for found in &answer.items {
        let why = &found.why;
        let shares = why.words.unwrap() + why.numbers.unwrap() + why.sound.unwrap_or(0.0);
        assert!((shares - found.score).abs() < 1e-5, "the shares make the score: {found:?}");
    }
    assert_eq!(answer.items[3].why.sound, None, "it was never heard");
    let answer = r.similar(&[like(1)], with_sound(1.0)).await.unwrap();
    assert_eq!((ids(&answer)[0], &answer.space), (3, &sound()));
    assert!((answer.items[0].why.sound.unwrap() - answer.items[0].score).abs() < 1e-5);
}

#[tokio::test]
async fn a_seed_that_was_never_heard_is_asked_for_by_what_it_says() {
    let r = recommender(&library());
    let blended = r.similar(&[like(5)], with_sound(0.5)).await.unwrap();
    let plain = r.similar(&[like(5)], with_sound(0.0)).await.unwrap();
    assert_eq!(blended, plain);
    let alone = r.similar(&[like(5)], with_sound(1.0)).await;
    assert!(matches!(alone, Err(SearchError::NoVector { .. } | SearchError::Pending { .. })));
}

#[tokio::test]
async fn no_artist_gets_more_places_than_it_may_have() {
    let options = SimilarOptions { filter: Filter { max_per_artist: Some(2), ..Filter::default() }, ..with_sound(0.5) };
    let answer = recommender(&library()).similar(&[like(1)], options).await.unwrap();
    assert_eq!(ids(&answer), [4, 3], "the best two of four by one artist");
}

/// Numbers from a seed, −1 to 1.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 40) as f32 / (1u64 << 24) as f32) * 2.0 - 1.0
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn blended_answers_are_those_of_an_oracle_that_looks_at_all(
        seed in any::<u64>(), tracks in 1..400i64, share in 0.05f32..0.95, k in 1..30usize,
    ) {
        let (mut random, library) = (Random(seed), Arc::new(Library::default()));
        let mut truth = Vec::new();
        for id in 1..=tracks {
            let genre = if random.next() > 0.0 { "rock" } else { "jazz" };
            let says: [f32; 3] = std::array::from_fn(|_| random.next());
            let (is_said, is_heard) = (random.next() > -0.8, random.next() > -0.5);
            library.add(id, &[("genre", genre)], &ours(), is_said.then_some(&says[..]));
            let sounds: [f32; 2] = std::array::from_fn(|_| random.next());
            if is_heard {
                library.hear(id, &sound(), &sounds);
            }
            truth.push((id, genre, is_said.then_some(says), is_heard.then_some(sounds)));
        }
        let main: [f32; 3] = std::array::from_fn(|_| random.next());
        let heard: [f32; 2] = std::array::from_fn(|_| random.next());
        let blend = super::Blend {
            main: Vector::new(main.to_vec()).unwrap(),
            sound: Vector::new(heard.to_vec()).unwrap(),
            space: sound(),
            share,
        };
        let filter = Filter { genres: vec!["rock".into()], ..Filter::default() };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let found = runtime.block_on(recommender(&library).blended(&ours(), &blend, &filter, k)).unwrap();

        let passes = truth.iter().filter(|(_, genre, says, sounds)| *genre == "rock" && (says.is_some() || sounds.is_some()));
        let mut oracle: Vec<(f32, i64)> = passes
            .map(|(id, _, says, sounds)| {
                let says = says.map_or(0.0, |says| cosine(&main, &says));
                let sounds = sounds.map_or(0.0, |sounds| cosine(&heard, &sounds));
                ((1.0 - share) * says + share * sounds, *id)
            })
            .collect();
        oracle.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        oracle.truncate(k);
        prop_assert_eq!(found.len(), oracle.len());
        for (hit, (score, _)) in found.iter().zip(&oracle) {
            prop_assert!((hit.score - score).abs() < 1e-5, "{:?} where the oracle has {}", hit, score);
        }
        let unique: HashSet<_> = found.iter().map(|hit| hit.track_id).collect();
        prop_assert_eq!(unique.len(), found.len());
    }
}
