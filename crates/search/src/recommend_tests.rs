use std::sync::Arc;

use soniquebay_domain::{EmbedError, Filter, Space, TrackId, TrackState, Vector, Vectorizer};

use super::{Answer, Recommender, SearchError, Seed, SimilarOptions};
use crate::fakes::{Compass, Library};
use crate::{Like, Near};
use crate::{Matched, MemoryIndex, Serving};

fn ours() -> Space {
    Space::new("compass", 3, "1").unwrap()
}

fn recommender(library: &Arc<Library>) -> Recommender {
    Recommender {
        catalog: library.clone(),
        vectors: library.clone(),
        index: Arc::new(MemoryIndex::new(library.clone())),
        vectorizers: vec![Arc::new(Compass { space: ours(), model_missing: false, away: false })],
        serving: Serving::new(library.clone(), ours(), Vec::new()),
        sound: None,
    }
}

fn library() -> Arc<Library> {
    let library = Library::default();
    let s = ours();
    let rock = [("artist", "Änne"), ("genre", "Rock"), ("year", "1975"), ("bpm", "120")];
    library.add(1, &rock, &s, Some(&[1.0, 0.0, 0.0]));
    library.add(2, &[("artist", "ANNE"), ("bpm", "124")], &s, Some(&[0.9, 0.1, 0.1]));
    library.add(3, &[("artist", "Bo"), ("genre", "rock"), ("year", "1979")], &s, Some(&[0.8, 0.2, 0.3]));
    library.add(4, &[("title", "Warm"), ("artist", "Cy")], &s, Some(&[0.0, 1.0, 0.0]));
    library.add(5, &[("title", "Late")], &s, None);
    library.add(6, &[("title", "Warm glow"), ("artist", "Bo")], &s, Some(&[0.1, 0.1, 0.9]));
    Arc::new(library)
}

fn id(id: i64) -> TrackId {
    TrackId::new(id).unwrap()
}

fn seed(number: i64, weight: f32) -> Seed {
    Seed::track(id(number)).weighing(weight)
}

fn options(limit: usize) -> SimilarOptions {
    SimilarOptions { limit, ..SimilarOptions::default() }
}

fn ids(answer: &Answer) -> Vec<i64> {
    answer.items.iter().map(|found| found.track.id.get()).collect()
}

#[tokio::test]
async fn similar_leaves_the_seed_out_and_says_why() {
    let answer = recommender(&library()).similar(&[seed(1, 1.0)], options(2)).await.unwrap();
    assert_eq!(ids(&answer), [2, 3]);
    assert_eq!(answer.items[0].why.closest, ["same artist", "near tempo"]);
    assert_eq!(answer.items[1].why.closest, ["same genre", "same decade"]);
    for found in &answer.items {
        let sum = found.why.words.unwrap() + found.why.numbers.unwrap();
        assert!((sum - found.score).abs() < 1e-5, "the shares make the score");
    }
}

#[tokio::test]
async fn the_seeds_artist_can_be_left_out() {
    let filter = Filter { exclude_same_artist: true, ..Filter::default() };
    let r = recommender(&library());
    let answer = r.similar(&[seed(1, 1.0)], SimilarOptions { filter: filter.clone(), ..options(9) }).await.unwrap();
    assert_eq!(ids(&answer)[0], 3);
    assert!(!ids(&answer).contains(&2));
    let answer = r.similar(&[seed(4, 1.0)], SimilarOptions { filter, ..options(9) }).await.unwrap();
    assert_eq!(answer.items.len(), 4, "others stay");
}

#[tokio::test]
async fn weights_pull_and_push() {
    let r = recommender(&library());
    let towards = r.similar(&[seed(1, 1.0), seed(6, 2.0)], options(1)).await.unwrap();
    assert_eq!(ids(&towards), [3]);
    let away = r.similar(&[seed(1, -1.0)], options(9)).await.unwrap();
    assert_eq!(ids(&away)[0], 4);
    for seeds in [&[seed(1, 1.0), seed(1, -1.0)][..], &[seed(1, 0.0)], &[seed(1, f32::NAN)], &[]] {
        assert!(matches!(r.similar(seeds, options(1)).await, Err(SearchError::NoDirection)), "{seeds:?}");
    }
}

#[tokio::test]
async fn words_and_vectors_are_seeds_beside_tracks() {
    let r = recommender(&library());
    let words = |text: &str, weight| Seed { like: Like::Words(text.into()), weight };
    let vector =
        |numbers: [f32; 3], weight| Seed { like: Like::Vector(Vector::new(numbers.to_vec()).unwrap()), weight };
    // "warm" points to x, as track 1 does; everything else to y.
    assert_eq!(ids(&r.similar(&[words("warm", 1.0)], options(2)).await.unwrap()), [1, 2]);
    assert_eq!(ids(&r.similar(&[words("cold", 0.2), vector([0.0, 0.0, 9.0], 1.0)], options(1)).await.unwrap()), [6]);
    let away = r.similar(&[seed(3, 1.0), words("warm", -1.0)], options(1)).await.unwrap();
    assert_eq!(ids(&away), [6], "less warm than track 3");
    assert!(away.items[0].why.closest.contains(&"same artist"));
    let cancelled = r.similar(&[seed(1, 1.0), words("warm", -1.0)], options(1)).await;
    assert!(matches!(cancelled, Err(SearchError::NoDirection)), "track 1 is all that is warm");
    let short = Seed { like: Like::Vector(Vector::new(vec![1.0]).unwrap()), weight: 1.0 };
    let refused = r.similar(&[seed(1, 1.0), short], options(1)).await;
    assert!(matches!(refused, Err(SearchError::WrongLength { found: 1, .. })));
}

#[tokio::test]
async fn words_among_seeds_need_a_model() {
    let library = library();
    let external = Space::external(3).unwrap();
    library.add(7, &[], &external, Some(&[1.0, 0.0, 0.0]));
    let words = Seed { like: Like::Words("warm".into()), weight: 1.0 };
    let mut r = recommender(&library);
    let there = SimilarOptions { space: Some(external.clone()), ..options(1) };
    let refused = r.similar(std::slice::from_ref(&words), there).await;
    assert!(matches!(refused, Err(SearchError::UnknownWords(space)) if space == external));
    r.vectorizers = vec![Arc::new(Compass { space: ours(), model_missing: true, away: false })];
    let refused = r.similar(&[words], options(1)).await;
    assert!(matches!(refused, Err(SearchError::Embed(EmbedError::ModelMissing { .. }))));
}

#[tokio::test]
async fn the_numbers_that_are_nearest_are_told_the_most_telling_first() {
    let library = Library::default();
    let s = ours();
    let add = |id, energy, loudness, x: f32| {
        library.add(id, &[("energy", energy), ("loudness", loudness)], &s, Some(&[1.0, x, 0.0]));
    };
    add(1, "0.9", "-10", 0.0);
    add(2, "0.92", "-10.5", 0.1);
    add(3, "0.5", "-9", 0.2);
    library.add(4, &[("loudness", "-10")], &s, Some(&[1.0, 0.3, 0.0]));
    let answer = recommender(&Arc::new(library)).similar(&[seed(1, 1.0)], options(3)).await.unwrap();
    let near = |at: usize| answer.items[at].why.near.clone();
    let energy = Near { number: "energy", seed: 0.9, track: 0.92 };
    let loudness = |track| Near { number: "loudness", seed: -10.0, track };
    assert_eq!(near(0), [energy, loudness(-10.5)], "both are energetic; most music is about as loud");
    assert_eq!(near(1), [loudness(-9.0)]);
    assert_eq!(near(2), [loudness(-10.0)], "what is unknown is near nothing");
}

#[tokio::test]
async fn what_lies_beyond_what_vectors_hold_is_not_near_for_that() {
    let library = Library::default();
    let s = ours();
    let add = |id, seconds, year, x: f32| {
        library.add(id, &[("duration", seconds), ("year", year)], &s, Some(&[1.0, x, 0.0]));
    };
    add(1, "4062", "1968", 0.0);
    add(2, "762", "1901", 0.1);
    add(3, "3900", "1966", 0.2);
    add(4, "750", "1930", 0.3);
    let r = recommender(&Arc::new(library));
    let answer = r.similar(&[seed(1, 1.0)], options(2)).await.unwrap();
    assert_eq!(answer.items[0].why.near, []);
    let mut near: Vec<_> = answer.items[1].why.near.iter().map(|near| near.number).collect();
    near.sort_unstable();
    assert_eq!(near, ["duration", "year"]);
    assert_eq!(answer.items[1].why.closest, ["near year", "same decade"]);
    let two = r.similar(&[seed(1, 1.0), seed(2, 1.0)], options(2)).await.unwrap();
    let lengths =
        |at: usize| two.items[at].why.near.iter().find(|near| near.number == "duration").map(|near| near.seed);
    assert_eq!((lengths(0), lengths(1)), (Some(4062.0), Some(762.0)), "each seed is asked");
}

#[tokio::test]
async fn absent_tracks_vectors_and_spaces_are_told_apart() {
    let library = library();
    let external = Space::external(3).unwrap();
    library.add(7, &[], &external, Some(&[1.0, 0.0, 0.0]));
    let r = recommender(&library);
    let absent = r.similar(&[seed(1, 1.0), seed(99, 1.0)], options(1)).await;
    assert!(matches!(absent, Err(SearchError::NoTrack(who)) if who == id(99)));
    let pending = r.similar(&[seed(5, 1.0)], options(1)).await;
    assert!(matches!(pending, Err(SearchError::Pending { id: who, state: TrackState::Pending }) if who == id(5)));
    let there = SimilarOptions { space: Some(external), ..options(1) };
    assert!(matches!(r.similar(&[seed(5, 1.0)], there.clone()).await, Err(SearchError::NoVector { .. })));
    let answer = r.similar(&[seed(7, 1.0)], there).await.unwrap();
    assert_eq!((ids(&answer), answer.space.to_string()), (vec![], "external/3".to_owned()));
    let nowhere = SimilarOptions { space: Some(Space::new("x", 3, "").unwrap()), ..options(1) };
    assert!(matches!(r.similar(&[seed(1, 1.0)], nowhere).await, Err(SearchError::UnknownSpace(_))));
}

#[tokio::test]
async fn a_vector_of_another_length_hears_where_it_belongs() {
    let library = library();
    library.add(7, &[], &Space::external(2).unwrap(), Some(&[1.0, 0.0]));
    let r = recommender(&library);
    let short = Vector::new(vec![1.0, 0.0]).unwrap();
    let Err(SearchError::WrongLength { found: 2, spaces_with_that_length, .. }) =
        r.search_vector(&short, options(3)).await
    else {
        panic!("a wrong length is refused");
    };
    assert_eq!(spaces_with_that_length, [Space::external(2).unwrap()]);
    let fitting = Vector::new(vec![0.0, 2.0, 0.0]).unwrap();
    assert_eq!(ids(&r.search_vector(&fitting, options(1)).await.unwrap()), [4]);
}

#[tokio::test]
async fn typed_search_finds_names_first_and_meanings_too() {
    let r = recommender(&library());
    let answer = r.search_text("warm!", options(4)).await.unwrap();
    assert_eq!(ids(&answer)[0], 4, "the title, though its vector lies elsewhere");
    assert_eq!(answer.items[0].why.matched, Some(Matched::Both));
    assert!(ids(&answer).contains(&1), "found by meaning alone");
    assert!(answer.items.windows(2).all(|pair| pair[0].score >= pair[1].score));
    let by_artist = r.search_text("bo", options(2)).await.unwrap();
    assert_eq!(
        {
            let mut found = ids(&by_artist);
            found.sort_unstable();
            found
        },
        [3, 6]
    );
}

#[tokio::test]
async fn filters_bind_both_sides_of_a_typed_search() {
    let r = recommender(&library());
    let filter = Filter { genres: vec!["rock".into()], ..Filter::default() };
    let answer = r.search_text("warm", SimilarOptions { filter, ..options(9) }).await.unwrap();
    assert_eq!(ids(&answer), [1, 3]);
    let filter = Filter { max_per_artist: Some(1), ..Filter::default() };
    let answer = r.search_text("warm bo", SimilarOptions { filter, ..options(9) }).await.unwrap();
    assert_eq!(answer.items.len(), 3, "Änne, Bo and Cy once each: {:?}", ids(&answer));
}

#[tokio::test]
async fn without_a_model_typed_search_says_so() {
    let mut r = recommender(&library());
    r.vectorizers = vec![Arc::new(Compass { space: ours(), model_missing: true, away: false })];
    let missing = r.search_text("warm", options(1)).await;
    assert!(matches!(missing, Err(SearchError::Embed(EmbedError::ModelMissing { .. }))));
}

#[tokio::test]
async fn while_the_models_server_is_away_names_are_found() {
    let mut r = recommender(&library());
    r.vectorizers = vec![Arc::new(Compass { space: ours(), model_missing: false, away: true })];
    let answer = r.search_text("warm", options(9)).await.unwrap();
    assert!(answer.names_only && ids(&answer) == [4, 6], "{answer:?}");
    assert!(answer.items.iter().all(|found| found.why.matched == Some(Matched::Text)));
    assert!(!recommender(&library()).search_text("warm", options(9)).await.unwrap().names_only);
}

#[tokio::test]
async fn a_foreign_space_is_searched_by_text_alone() {
    let library = library();
    let external = Space::external(3).unwrap();
    library.add(7, &[("title", "Warm rain")], &external, Some(&[1.0, 0.0, 0.0]));
    let there = SimilarOptions { space: Some(external), ..options(9) };
    let answer = recommender(&library).search_text("warm", there).await.unwrap();
    assert!(answer.items.iter().all(|found| found.why.matched == Some(Matched::Text)));
    assert_eq!(ids(&answer)[0], 4);
}

#[tokio::test]
async fn another_space_stands_in_and_is_named() {
    let library = library();
    let second = Space::new("second", 3, "1").unwrap();
    library.add(5, &[("title", "Late")], &second, Some(&[1.0, 0.0, 0.0]));
    library.add(1, &[("artist", "Änne")], &second, Some(&[0.9, 0.1, 0.0]));
    let compass = |space: Space, model_missing| -> Arc<dyn Vectorizer> {
        Arc::new(Compass { space, model_missing, away: false })
    };
    let mut r = recommender(&library);
    r.serving = Serving::new(library.clone(), ours(), vec![second.clone()]);
    r.vectorizers = vec![compass(ours(), true), compass(second.clone(), false)];

    let answer = r.similar(&[seed(1, 1.0)], options(2)).await.unwrap();
    assert_eq!(answer.space, ours(), "the preferred space covers more");
    let answer = r.similar(&[seed(5, 1.0)], options(2)).await.unwrap();
    assert_eq!((&answer.space, ids(&answer)), (&second, vec![1]), "a seed that only the second one knows");
    let both = r.similar(&[seed(4, 1.0), seed(5, 1.0)], options(2)).await;
    assert!(matches!(both, Err(SearchError::Pending { id: asked, .. }) if asked == id(5)), "spaces are never mixed");
    let answer = r.search_text("warm", options(3)).await.unwrap();
    assert_eq!(answer.space, second, "the preferred space's model is away");
    assert!(ids(&answer).contains(&5));

    let mut asked = options(3);
    asked.space = Some(ours());
    let refused = r.search_text("warm", asked).await;
    assert!(
        matches!(refused, Err(SearchError::Embed(EmbedError::ModelMissing { .. }))),
        "a space asked for is it alone"
    );
    r.vectorizers = vec![compass(ours(), true), compass(second, true)];
    assert!(matches!(r.search_text("warm", options(3)).await, Err(SearchError::Embed(_))));
}
