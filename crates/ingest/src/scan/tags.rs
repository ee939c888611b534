use std::any::Any;
use std::cell::Cell;
use std::fs::File;
use std::io::BufReader;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use lofty::config::{GlobalOptions, ParseOptions, ParsingMode, apply_global_options};
use lofty::file::{AudioFile, TaggedFile, TaggedFileExt};
use lofty::probe::Probe;
use lofty::tag::{ItemKey, Tag};
use soniquebay_domain::{Change, Key, TrackPatch, bounds};
use soniquebay_wire::clean_text;

use super::foreign;

/// The most memory that one item of a tag may ask for. Pictures are not read at all.
const ALLOCATION_LIMIT: usize = 4 * 1024 * 1024;
/// What says that it is longer is damaged, or no music.
const MAX_SECONDS: f64 = 24.0 * 3600.0;

/// What a file says of its track, path and file data aside.
#[derive(Debug)]
pub(super) struct Tags {
    pub(super) patch: TrackPatch,
    /// What was cut or left out.
    pub(super) warnings: Vec<String>,
}

/// Reads a file's tags and length. Names that the tags don't bear are cleared; sound features that they don't bear are
/// kept, for those may come from elsewhere.
pub(super) fn read_tags(path: &Path) -> Result<Tags, String> {
    limit_allocations();
    // A tag parser meets every broken file there is. One that makes it panic must not end the scan.
    let tagged = catch_unwind(AssertUnwindSafe(|| open(path)))
        .unwrap_or_else(|panic| Err(format!("the tags made their reader fail: {}", panic_message(panic.as_ref()))));
    let tagged = match tagged {
        Ok(tagged) => tagged,
        Err(reason) => return by_name(path).ok_or(reason),
    };
    let mut reader = Reader { tags: ordered(&tagged), warnings: Vec::new() };
    let patch = reader.patch(path, &tagged);
    Ok(Tags { patch, warnings: reader.warnings })
}

/// The track of a file whose name is all that can be read of it.
fn by_name(path: &Path) -> Option<Tags> {
    let kind = foreign::kind_of(path)?;
    let mut reader = Reader { tags: Vec::new(), warnings: Vec::new() };
    let patch = TrackPatch { title: Change::from_known(reader.name_of(path)), ..TrackPatch::default() };
    Some(Tags { patch, warnings: vec![format!("tags of {kind} are not read: the track is called as its file is")] })
}

/// The limit is a thread's own, and tags are read on threads that come and go.
fn limit_allocations() {
    thread_local! { static IS_SET: Cell<bool> = const { Cell::new(false) } }
    if !IS_SET.replace(true) {
        apply_global_options(GlobalOptions::new().allocation_limit(ALLOCATION_LIMIT));
    }
}

fn open(path: &Path) -> Result<TaggedFile, String> {
    let size = path.metadata().map_err(|error| format!("cannot be read: {error}"))?.len();
    if size == 0 {
        return Err("the file is empty".into());
    }
    let mut options = ParseOptions::new().parsing_mode(ParsingMode::Relaxed).read_cover_art(false);
    match parse(path, options) {
        Ok(tagged) if tagged.properties().duration().is_zero() && !has_items(&tagged) => {
            Err("no audio and no tags were found in it".into())
        }
        // A file cut short may still have its tags whole.
        Err(reason) => match parse(path, options.read_properties(false)) {
            Ok(tagged) if has_items(&tagged) => Ok(tagged),
            _ => Err(reason),
        },
        found => found,
    }
}

fn parse(path: &Path, options: ParseOptions) -> Result<TaggedFile, String> {
    let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
    let probe = Probe::open(path).map_err(|error| format!("cannot be read: {error}"))?;
    let probe: Probe<BufReader<File>> = probe.options(options).guess_file_type().map_err(unreadable)?;
    probe.read().map_err(|error| format!("is no audio file that can be read: {error}"))
}

fn has_items(tagged: &TaggedFile) -> bool {
    tagged.tags().iter().any(|tag| tag.item_count() > 0)
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref().copied()).unwrap_or("no reason")
}

/// A file may bear several tags: its format's own goes first.
fn ordered(tagged: &TaggedFile) -> Vec<&Tag> {
    let own = tagged.primary_tag();
    let others = tagged.tags().iter().filter(|tag| own.is_none_or(|own| own.tag_type() != tag.tag_type()));
    own.into_iter().chain(others).collect()
}

struct Reader<'a> {
    tags: Vec<&'a Tag>,
    warnings: Vec<String>,
}

impl Reader<'_> {
    fn patch(&mut self, path: &Path, tagged: &TaggedFile) -> TrackPatch {
        let seconds = tagged.properties().duration().as_secs_f64();
        let bitrate = tagged.properties().audio_bitrate().or(tagged.properties().overall_bitrate());
        let mut genres = self.list("genre", ItemKey::Genre).into_iter();
        let key = self.first(ItemKey::InitialKey).and_then(|text| Key::parse(&text));
        TrackPatch {
            title: Change::from_known(self.text("title", ItemKey::TrackTitle).or_else(|| self.name_of(path))),
            artist: Change::from_known(self.text("artist", ItemKey::TrackArtist)),
            album: Change::from_known(self.text("album", ItemKey::AlbumTitle)),
            album_artist: Change::from_known(self.text("album artist", ItemKey::AlbumArtist)),
            genre: Change::from_known(genres.next()),
            genre_tags: Change::from_known(Some(genres.collect::<Vec<_>>()).filter(|genres| !genres.is_empty())),
            mood_tags: Change::from_known(Some(self.list("mood", ItemKey::Mood)).filter(|moods| !moods.is_empty())),
            year: Change::from_known(self.year()),
            duration: Change::from_known(Some(seconds).filter(|seconds| (0.001..=MAX_SECONDS).contains(seconds))),
            bpm: self.bpm().map_or(Change::Keep, Change::Set),
            key: key.map_or(Change::Keep, |key| Change::Set(key.tonic)),
            mode: key.and_then(|key| key.mode).map_or(Change::Keep, Change::Set),
            bitrate: Change::from_known(bitrate.filter(|rate| *rate > 0).map(i64::from)),
            musicbrainz_id: Change::from_known(self.musicbrainz_id()),
            isrc: Change::from_known(self.isrc()),
            ..TrackPatch::default()
        }
    }

    /// The values of the first tag that has any. Multiple values are several items, or one with NULs between.
    fn values(&self, key: ItemKey) -> Vec<String> {
        let of = |tag: &&Tag| -> Vec<String> {
            let values = tag.get_strings(key).flat_map(|value| value.split('\0'));
            values.map(clean_text).filter(|value| !value.is_empty()).collect()
        };
        self.tags.iter().map(of).find(|values| !values.is_empty()).unwrap_or_default()
    }

    fn first(&self, key: ItemKey) -> Option<String> {
        self.values(key).into_iter().next()
    }

    fn text(&mut self, name: &str, key: ItemKey) -> Option<String> {
        self.first(key).map(|text| self.cut(name, text))
    }

    fn cut(&mut self, name: &str, text: String) -> String {
        match text.char_indices().nth(bounds::TEXT_CHARS) {
            Some((end, _)) => {
                self.warnings.push(format!("the {name} was cut at {} characters", bounds::TEXT_CHARS));
                text[..end].trim_end().to_owned()
            }
            None => text,
        }
    }

    fn list(&mut self, name: &str, key: ItemKey) -> Vec<String> {
        let mut list: Vec<String> = Vec::new();
        for value in self.values(key) {
            for entry in value.split(';').map(str::trim).filter(|entry| !entry.is_empty()) {
                let entry = self.cut(name, entry.to_owned());
                if list.contains(&entry) {
                    continue;
                }
                if list.len() == bounds::LIST_ENTRIES {
                    self.warnings.push(format!("only the first {} of the {name} tags were kept", list.len()));
                    return list;
                }
                list.push(entry);
            }
        }
        list
    }

    fn year(&self) -> Option<i32> {
        let dates = [ItemKey::RecordingDate, ItemKey::Year, ItemKey::ReleaseDate, ItemKey::OriginalReleaseDate];
        let year = |text: String| text.get(..4)?.parse().ok().filter(|year| (1000..=2200).contains(year));
        dates.into_iter().find_map(|key| self.first(key).and_then(year))
    }

    fn bpm(&mut self) -> Option<f64> {
        let text = self.first(ItemKey::Bpm).or_else(|| self.first(ItemKey::IntegerBpm))?;
        // "128,5" is how half of Europe writes it.
        let bpm: Option<f64> = text.replace(',', ".").parse().ok();
        match bpm {
            Some(bpm) if (20.0..=999.0).contains(&bpm) => Some(bpm),
            Some(0.0) => None,
            _ => {
                let shown: String = text.chars().take(40).collect();
                self.warnings.push(format!("the tempo {shown:?} was left out: 20 to 999 beats a minute are believed"));
                None
            }
        }
    }

    /// Tags bear all sorts of text here. What has not the shape of an id would make strangers the same recording.
    fn musicbrainz_id(&self) -> Option<String> {
        let id = self.first(ItemKey::MusicBrainzRecordingId)?.to_ascii_lowercase();
        let is_uuid = id.len() == 36
            && id.bytes().enumerate().all(|(index, byte)| match index {
                8 | 13 | 18 | 23 => byte == b'-',
                _ => byte.is_ascii_hexdigit(),
            });
        let is_nil = id.bytes().all(|byte| matches!(byte, b'0' | b'-'));
        (is_uuid && !is_nil).then_some(id)
    }

    fn isrc(&self) -> Option<String> {
        let text = self.first(ItemKey::Isrc)?;
        let code: String = text.chars().filter(|c| !matches!(c, '-' | ' ')).collect();
        let is_code = code.len() == 12
            && code.bytes().all(|byte| byte.is_ascii_alphanumeric())
            && code.bytes().take(2).all(|byte| byte.is_ascii_alphabetic());
        is_code.then(|| code.to_ascii_uppercase())
    }

    /// The file's name without extension and track number.
    fn name_of(&mut self, path: &Path) -> Option<String> {
        let stem = clean_text(&path.file_stem()?.to_string_lossy());
        let name = without_number(&stem).to_owned();
        Some(self.cut("file name", name)).filter(|name| !name.is_empty())
    }
}

/// "07 - Jóga" and "07. Jóga" are "Jóga"; "1999" and "99 Luftballons" stay.
fn without_number(stem: &str) -> &str {
    let rest = stem.trim_start_matches(|c: char| c.is_ascii_digit());
    if !(1..=3).contains(&(stem.len() - rest.len())) {
        return stem;
    }
    let name = rest.trim_start().strip_prefix(['-', '.']).and_then(|name| name.strip_prefix(' ')).map(str::trim);
    name.filter(|name| !name.is_empty()).unwrap_or(stem)
}

#[cfg(test)]
mod tests {
    use super::without_number;

    #[test]
    fn track_numbers_are_no_part_of_the_name() {
        for (stem, name) in [
            ("07 - Jóga", "Jóga"),
            ("07. Jóga", "Jóga"),
            ("112. Jóga", "Jóga"),
            ("7- Jóga", "Jóga"),
            ("1999", "1999"),
            ("1999 - Prince", "1999 - Prince"),
            ("99 Luftballons", "99 Luftballons"),
            ("1.5 Degrees", "1.5 Degrees"),
            ("07 - ", "07 - "),
        ] {
            assert_eq!(without_number(stem), name);
        }
    }
}
