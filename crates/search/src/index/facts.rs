//! What filters ask of each row, kept small, and filters evaluated over it.

use std::collections::HashSet;
use std::sync::Arc;

use soniquebay_domain::{Facts, Filter, Key, TrackId};

use super::bitmap::Bitmap;
use super::interned::Interned;

/// The facts of all rows. Words and lists of words that rows share are kept once.
pub(super) struct FactTable {
    artists: Interned<str>,
    words: Interned<str>,
    lists: Interned<[u32]>,
    folders: Interned<str>,
    rows: Vec<Option<Row>>,
}

struct Row {
    artist: u32,
    genres: u32,
    tags: u32,
    year: Option<i32>,
    key: Option<Key>,
    /// NaN where unknown.
    bpm: f64,
    /// NaN where unknown.
    duration: f64,
    path: Option<Path>,
}

/// A folder with the slash behind it, which many tracks share, and a name.
struct Path {
    folder: u32,
    name: Box<str>,
}

/// Who may not be answered. Each query has its own, and few rows are left when they are asked.
pub(super) struct Exclusions {
    /// Both ascend.
    artists: Vec<u32>,
    rows: Vec<u32>,
}

impl Exclusions {
    pub(super) fn is_empty(&self) -> bool {
        self.artists.is_empty() && self.rows.is_empty()
    }

    pub(super) fn admits(&self, row: u32, facts: &FactTable) -> bool {
        // A row's facts are a cache miss: they are looked at only where some artist is left out.
        let is_of_them = || facts.artist(row).is_some_and(|artist| self.artists.binary_search(&artist).is_ok());
        self.rows.binary_search(&row).is_err() && (self.artists.is_empty() || !is_of_them())
    }
}

impl FactTable {
    pub(super) fn new() -> Self {
        Self {
            artists: Interned::new(),
            words: Interned::new(),
            lists: Interned::new(),
            folders: Interned::new(),
            rows: Vec::new(),
        }
    }

    /// The part of a filter that many queries have in common, which is worth a bitmap.
    pub(super) fn common(filter: &Filter) -> Filter {
        // Named one by one, so that a new condition is thought of here.
        let Filter { genres, tags, years, bpm, bpm_octaves, duration, key, path_prefix, .. } = filter.clone();
        Filter { genres, tags, years, bpm, bpm_octaves, duration, key, path_prefix, ..Filter::default() }
    }

    /// The part of a filter that is of one query alone. `rows`, which ascend, are those of the excluded tracks.
    pub(super) fn exclusions(&self, filter: &Filter, rows: Vec<u32>) -> Exclusions {
        let mut artists: Vec<u32> =
            filter.excluded_artists.iter().filter_map(|artist| self.artists.code(artist)).collect();
        artists.sort_unstable();
        Exclusions { artists, rows }
    }

    /// The rows among `all` that pass a filter, exclusions aside.
    pub(super) fn passing(&self, filter: &Filter, all: &Bitmap, ids: &[TrackId]) -> Bitmap {
        let mut passing = Bitmap::default();
        let genres: HashSet<u32> = filter.genres.iter().filter_map(|genre| self.words.code(genre)).collect();
        let Some(tags) = filter.tags.iter().map(|tag| self.words.code(tag)).collect::<Option<Vec<u32>>>() else {
            return passing; // A tag that no track has.
        };
        let rest = Filter { genres: Vec::new(), tags: Vec::new(), ..Self::common(filter) };
        let mut facts = Facts::default();
        for number in all.rows() {
            let Some(row) = &self.rows[number as usize] else { continue };
            let list = |code| self.lists.get(code).unwrap_or_default();
            if !filter.genres.is_empty() && !list(row.genres).iter().any(|genre| genres.contains(genre)) {
                continue;
            }
            if !tags.iter().all(|tag| list(row.tags).contains(tag)) {
                continue;
            }
            (facts.year, facts.key) = (row.year, row.key);
            (facts.bpm, facts.duration) = (known(row.bpm), known(row.duration));
            if rest.path_prefix.is_some() {
                facts.path = row.path.as_ref().map(|path| {
                    let mut text = facts.path.take().unwrap_or_default();
                    text.clear();
                    text.push_str(self.folders.get(path.folder).unwrap_or_default());
                    text.push_str(&path.name);
                    text
                });
            }
            if rest.admits(ids[number as usize], &facts) {
                passing.set(number, true);
            }
        }
        passing
    }

    /// The number of a row's artist. "Unknown" has one too: see [`Self::unknown_artist`].
    pub(super) fn artist(&self, row: u32) -> Option<u32> {
        self.rows[row as usize].as_ref().map(|row| row.artist)
    }

    /// The number that rows have whose artist is unknown.
    pub(super) fn unknown_artist(&self) -> Option<u32> {
        self.artists.code("")
    }

    /// Takes a row's facts in, for those that it had.
    pub(super) fn set(&mut self, row: u32, facts: &Facts) {
        let path = facts.path.as_deref().map(|path| {
            let (folder, name) = path.split_at(path.rfind('/').map_or(0, |slash| slash + 1));
            Path { folder: self.folders.take(folder).0, name: name.into() }
        });
        let new = Row {
            artist: self.artists.take(&facts.artist).0,
            genres: self.list(&facts.genres),
            tags: self.list(&facts.tags),
            year: facts.year,
            key: facts.key,
            bpm: facts.bpm.unwrap_or(f64::NAN),
            duration: facts.duration.unwrap_or(f64::NAN),
            path,
        };
        self.clear(row);
        if self.rows.len() <= row as usize {
            if self.rows.len() == self.rows.capacity() {
                self.rows.reserve_exact((self.rows.len() / 8).max(1024));
            }
            self.rows.resize_with(row as usize + 1, || None);
        }
        self.rows[row as usize] = Some(new);
    }

    /// Forgets a row's facts.
    pub(super) fn clear(&mut self, row: u32) {
        let Some(old) = self.rows.get_mut(row as usize).and_then(Option::take) else { return };
        self.artists.give_back(old.artist);
        for list in [old.genres, old.tags] {
            let gone: Option<Arc<[u32]>> = self.lists.give_back(list);
            for word in gone.iter().flat_map(|list| list.iter()) {
                self.words.give_back(*word);
            }
        }
        if let Some(path) = old.path {
            self.folders.give_back(path.folder);
        }
    }

    /// Each list holds one use of each of its words.
    fn list(&mut self, words: &[String]) -> u32 {
        let codes: Vec<u32> = words.iter().map(|word| self.words.take(word).0).collect();
        let (list, is_new) = self.lists.take(&codes);
        if !is_new {
            for code in codes {
                self.words.give_back(code);
            }
        }
        list
    }

    /// Bytes of memory, as far as can be told.
    pub(super) fn bytes(&self) -> usize {
        let names = self.rows.iter().flatten().filter_map(|row| row.path.as_ref());
        self.rows.capacity() * size_of::<Option<Row>>()
            + names.map(|path| 8 + path.name.len().next_multiple_of(16)).sum::<usize>()
            + [&self.artists, &self.words, &self.folders].map(|words| words.bytes(str::len)).iter().sum::<usize>()
            + self.lists.bytes(|list| list.len() * 4)
    }
}

fn known(number: f64) -> Option<f64> {
    (!number.is_nan()).then_some(number)
}

#[cfg(test)]
mod tests {
    use soniquebay_domain::{Facts, Filter, Key, Range, TrackId};

    use super::FactTable;
    use crate::index::bitmap::Bitmap;

    fn facts(n: usize) -> Facts {
        let words = |all: &[&str], bits: usize| {
            all.iter().enumerate().filter(|(i, _)| bits >> i & 1 == 1).map(|(_, word)| (*word).to_owned()).collect()
        };
        Facts {
            artist: ["", "a", "b", "c"][n % 4].into(),
            genres: words(&["rock", "jazz", "pop"], n % 7),
            tags: words(&["live", "slow", "rock"], n % 5),
            year: [None, Some(1970), Some(1980)][n % 3],
            bpm: (!n.is_multiple_of(4)).then_some(60.0 + n as f64),
            key: [None, Key::parse("8A"), Key::parse("C")][n % 3],
            duration: (!n.is_multiple_of(5)).then_some(100.0 + n as f64),
            path: [None, Some("/a/b/c.flac"), Some("/a/bc.mp3"), Some("x.mp3"), Some("/y.mp3"), Some("/a/b/")][n % 6]
                .map(Into::into),
        }
    }

    fn filters() -> Vec<Filter> {
        let none = Filter::default;
        let mut all = vec![
            none(),
            Filter { genres: vec!["rock".into(), "unheard".into()], ..none() },
            Filter { genres: vec!["unheard".into()], ..none() },
            Filter { tags: vec!["live".into(), "slow".into()], ..none() },
            Filter { tags: vec!["live".into(), "unheard".into()], ..none() },
            Filter { years: Range { min: Some(1975.0), max: None }, ..none() },
            Filter { bpm: Range { min: None, max: Some(80.0) }, ..none() },
            Filter { bpm: Range { min: Some(140.0), max: Some(170.0) }, bpm_octaves: true, ..none() },
            Filter { duration: Range { min: Some(110.0), max: Some(130.0) }, ..none() },
            Filter { key: Key::parse("8A"), ..none() },
            Filter { excluded_artists: ["a".into(), "".into(), "unheard".into()].into(), ..none() },
            Filter { excluded_tracks: (1..9).map(|id| TrackId::new(id).unwrap()).collect(), ..none() },
            Filter { genres: vec!["jazz".into()], tags: vec!["rock".into()], key: Key::parse("C"), ..none() },
        ];
        all.extend(
            ["/a/b", "/a/b/c.flac", "/", "", "/a/", "x.mp3", "/y.mp3"]
                .map(|prefix| Filter { path_prefix: Some(prefix.into()), ..none() }),
        );
        all
    }

    /// `Filter::admits` is the one definition: what is kept small must mean the same.
    #[test]
    fn small_facts_pass_the_filters_that_facts_pass() {
        let mut table = FactTable::new();
        let (mut all, mut ids) = (Bitmap::default(), Vec::new());
        for n in 0..840u32 {
            all.set(n, true);
            ids.push(TrackId::new(i64::from(n) + 1).unwrap());
            // Each row had other facts before.
            table.set(n, &facts(n as usize * 13 + 5));
        }
        for n in 0..840 {
            table.set(n, &facts(n as usize));
        }
        for filter in filters() {
            let passing = table.passing(&filter, &all, &ids);
            let rows = ids.iter().zip(0..).filter(|(id, _)| filter.excluded_tracks.contains(id));
            let exclusions = table.exclusions(&filter, rows.map(|(_, row)| row).collect());
            for n in 0..840u32 {
                let expected = filter.admits(ids[n as usize], &facts(n as usize));
                let found = passing.word(n as usize / 64) >> (n % 64) & 1 == 1 && exclusions.admits(n, &table);
                assert_eq!(found, expected, "{filter:?} {:?}", facts(n as usize));
            }
        }
    }

    #[test]
    fn cleared_rows_leave_nothing() {
        let mut table = FactTable::new();
        (0..60).for_each(|n| table.set(n, &facts(n as usize)));
        (0..60).for_each(|n| table.clear(n));
        (0..60).for_each(|n| table.clear(n));
        assert!(table.words.code("rock").is_none() && table.artists.code("a").is_none());
        assert!(table.folders.code("/a/b/").is_none() && table.lists.code(&[]).is_none());
    }
}
