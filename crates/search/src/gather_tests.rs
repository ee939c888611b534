use std::sync::Arc;

use soniquebay_domain::{Filter, Key, Range, Space, TrackId, Vector};

use crate::fakes::{Compass, Library};
use crate::{Answer, MemoryIndex, Recommender, SearchError, Seed, Serving, SimilarOptions};

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

fn id(id: i64) -> TrackId {
    TrackId::new(id).unwrap()
}

fn ids(answer: &Answer) -> Vec<i64> {
    answer.items.iter().map(|found| found.track.id.get()).collect()
}

/// Track `n` lies `n` degrees from the seed, track 1000.
struct Degrees(Library);

impl Degrees {
    fn new() -> Self {
        let library = Library::default();
        let seed = [("title", "Seed"), ("artist", "Ada"), ("duration", "200")];
        library.add(1000, &seed, &ours(), Some(&[1.0, 0.0, 0.0]));
        Self(library)
    }

    fn with(self, degrees: i64, fields: &[(&str, &str)]) -> Self {
        let (y, x) = (degrees as f32).to_radians().sin_cos();
        self.0.add(degrees, fields, &ours(), Some(&[x, y, 0.0]));
        self
    }

    async fn like_seed(self, options: SimilarOptions) -> Answer {
        let seed = Seed::track(id(1000));
        recommender(&Arc::new(self.0)).similar(&[seed], options).await.unwrap()
    }
}

fn rock_of_the_seventies() -> Filter {
    let years = Range { min: Some(1970.0), max: Some(1979.0) };
    Filter { genres: vec!["rock".into()], years, key: Key::parse("8A"), ..Filter::default() }
}

fn shop() -> Degrees {
    Degrees::new()
        .with(1, &[("artist", "Bo"), ("genre", "Jazz")])
        .with(2, &[("artist", "Bo"), ("genre", "Rock"), ("year", "1990")])
        .with(3, &[("artist", "Cy"), ("genre", "Rock"), ("year", "1975")])
        .with(4, &[("artist", "Cy"), ("genre", "Rock"), ("year", "1976")])
        .with(5, &[("artist", "Cy"), ("genre", "Rock"), ("year", "1977")])
}

#[tokio::test]
async fn conditions_are_given_up_only_where_allowed_and_needed() {
    let options =
        |relax| SimilarOptions { filter: rock_of_the_seventies(), limit: 4, relax, ..SimilarOptions::default() };
    assert_eq!(ids(&shop().like_seed(options(false)).await), [0; 0], "no key is known");
    let answer = shop().like_seed(options(true)).await;
    assert_eq!(ids(&answer), [3, 4, 5, 2], "those that meet more come first");
    let relaxed: Vec<_> = answer.items.iter().map(|found| found.why.relaxed.clone()).collect();
    assert_eq!(relaxed, [vec!["key"], vec!["key"], vec!["key"], vec!["key", "year_range"]]);
    let years_alone = Filter { key: None, ..rock_of_the_seventies() };
    let enough = SimilarOptions { filter: years_alone, limit: 3, relax: true, ..SimilarOptions::default() };
    let answer = shop().like_seed(enough).await;
    assert_eq!(ids(&answer), [3, 4, 5]);
    assert!(answer.items.iter().all(|found| found.why.relaxed.is_empty()), "nothing had to be given up");
}

#[tokio::test]
async fn what_leaves_tracks_out_is_never_given_up() {
    let filter = Filter {
        max_per_artist: Some(2),
        excluded_tracks: [id(3)].into(),
        excluded_artists: ["bo".to_owned()].into(),
        ..rock_of_the_seventies()
    };
    let options = SimilarOptions { filter, limit: 9, relax: true, ..SimilarOptions::default() };
    assert_eq!(ids(&shop().like_seed(options).await), [4, 5]);
    let filter = Filter { max_per_artist: Some(1), ..rock_of_the_seventies() };
    let options = SimilarOptions { filter, limit: 9, relax: true, ..SimilarOptions::default() };
    let answer = shop().like_seed(options).await;
    assert_eq!(ids(&answer), [3, 2], "one of each artist, over all passes");
}

fn versions() -> Degrees {
    let song = |title, duration| [("title", title), ("artist", "Bo"), ("duration", duration)];
    Degrees::new()
        .with(1, &[("title", "Seed (2011 Remaster)"), ("artist", "ADA"), ("duration", "203")])
        .with(2, &song("Song", "180"))
        .with(3, &song("Song - Live at Home", "210"))
        .with(4, &song("Song (Remastered)", "181"))
        .with(5, &song("Song (Remix)", "180"))
        .with(6, &[("title", "Song"), ("artist", "Cy"), ("duration", "180")])
        .with(7, &song("Other song", "180"))
}

#[tokio::test]
async fn versions_of_one_recording_are_answered_once() {
    let options = |limit, fold, max_per_artist| SimilarOptions {
        limit,
        fold,
        filter: Filter { max_per_artist, ..Filter::default() },
        ..SimilarOptions::default()
    };
    assert_eq!(ids(&versions().like_seed(options(9, false, None)).await), [1, 2, 3, 4, 5, 6, 7]);
    let answer = versions().like_seed(options(9, true, None)).await;
    assert_eq!(ids(&answer), [2, 5, 6, 7], "versions of the seed are left out too");
    assert_eq!(answer.items[0].versions, [id(3), id(4)]);
    let answer = versions().like_seed(options(3, true, None)).await;
    assert_eq!(ids(&answer), [2, 5, 6], "as many as were asked for, though the first of them fold");
    let answer = versions().like_seed(options(9, true, Some(2))).await;
    assert_eq!(ids(&answer), [2, 5, 6], "folded ones take no place of their artist");
    let answer = versions().like_seed(options(2, true, Some(1))).await;
    assert_eq!(ids(&answer), [2, 6]);
}

#[tokio::test]
async fn numbers_weigh_as_much_as_is_wished() {
    let library = Arc::new(Library::default());
    let (words, numbers) = ([0.9, 0.0, 0.1], [0.3, 0.2, 0.9]);
    library.add(1, &[], &ours(), Some(&[0.7, 0.0, 0.7]));
    library.add(2, &[], &ours(), Some(&words));
    library.add(3, &[], &ours(), Some(&numbers));
    library.add(4, &[], &ours(), Some(&[0.0, 0.0, 1.0]));
    let external = Space::external(3).unwrap();
    library.add(1, &[], &external, Some(&words));
    let r = recommender(&library);
    let options = |numbers| SimilarOptions { limit: 9, numbers, ..SimilarOptions::default() };
    let like = async |of, numbers| r.similar(&[Seed::track(id(of))], options(numbers)).await;
    assert_eq!(ids(&like(1, None).await.unwrap())[0], 3);
    assert_eq!(like(1, Some(1.0)).await.unwrap(), like(1, None).await.unwrap());
    let by_words = like(1, Some(0.0)).await.unwrap();
    assert_eq!(ids(&by_words)[..2], [2, 3]);
    for found in &by_words.items {
        assert_eq!(found.why.numbers, Some(0.0));
        assert!((found.why.words.unwrap() - found.score).abs() < 1e-6, "the shares make the score");
    }
    assert!(matches!(like(4, Some(0.0)).await, Err(SearchError::NoDirection)), "it has no words");
    let vector = Vector::new(vec![0.7, 0.0, 0.7]).unwrap();
    assert_eq!(ids(&r.search_vector(&vector, options(Some(0.0))).await.unwrap())[0], 2);
    let there = SimilarOptions { space: Some(external), ..options(Some(0.5)) };
    assert!(matches!(r.search_vector(&vector, there).await, Err(SearchError::UnknownBlocks(_))));
}

#[tokio::test]
async fn typed_search_relaxes_and_folds_too() {
    let library = Library::default();
    let add = |id, title, year| {
        let fields = [("title", title), ("artist", "Bo"), ("year", year), ("duration", "180")];
        library.add(id, &fields, &ours(), Some(&[0.5, 0.5, 0.0]));
    };
    add(1, "Warm", "1970");
    add(2, "Warm (Mono)", "1970");
    add(3, "Warm rain", "1990");
    let r = recommender(&Arc::new(library));
    let years = Range { min: Some(1970.0), max: Some(1979.0) };
    let filter = Filter { years, ..Filter::default() };
    let asked = SimilarOptions { filter, limit: 5, fold: true, relax: true, ..SimilarOptions::default() };
    let answer = r.search_text("warm", asked).await.unwrap();
    assert_eq!(ids(&answer), [1, 3]);
    assert_eq!((&answer.items[0].versions, &answer.items[1].why.relaxed), (&vec![id(2)], &vec!["year_range"]));
}
