//! Which tracks are versions of one recording: remastered, on a compilation, live.

use soniquebay_domain::{Track, fold};

/// Seconds that versions of one length may differ by: fades and gaps.
const SAME_LENGTH: f64 = 10.0;

/// The same as a part of the longer one, for long tracks.
const SAME_PART: f64 = 0.05;

/// The part of the longer one that a live version may differ by: applause, and a solo.
const LIVE_PART: f64 = 0.25;

/// Words that say of a version only where it was released, or in what form.
const RELEASE_WORDS: [&str; 24] = [
    "mono",
    "stereo",
    "version",
    "single",
    "album",
    "lp",
    "ep",
    "radio",
    "edit",
    "edition",
    "original",
    "mix",
    "master",
    "bonus",
    "track",
    "deluxe",
    "expanded",
    "anniversary",
    "explicit",
    "clean",
    "digital",
    "hd",
    "th",
    "compilation",
];

/// What follows "live" in a note about a version, and in no title: "Live at Leeds", but "Live Forever".
const AFTER_LIVE: [&str; 11] =
    ["at", "in", "from", "on", "version", "session", "sessions", "recording", "edit", "remastered", "concert"];

/// What of a track tells its recording.
#[derive(Clone, Debug)]
pub(crate) struct Recording {
    artist: String,
    /// Without notes about the version.
    title: String,
    is_live: bool,
    duration: Option<f64>,
    ids: [Option<String>; 2],
}

impl Recording {
    pub(crate) fn of(track: &Track) -> Self {
        let fields = &track.fields;
        let (title, is_live) = base_title(fields.title.as_deref().unwrap_or_default());
        let identity = &fields.identity;
        Self {
            artist: fields.artist.as_deref().map(fold).unwrap_or_default(),
            title,
            is_live,
            duration: fields.duration,
            ids: [&identity.isrc, &identity.musicbrainz_id].map(|id| id.as_deref().map(fold)),
        }
    }

    /// Whether both are versions of one recording: they bear its number, or artist and title are the same and the lengths
    /// are such as versions have. An unknown length contradicts nothing.
    pub(crate) fn is_version_of(&self, other: &Self) -> bool {
        let same = |a: &str, b: &str| !a.is_empty() && a == b;
        let numbered = self.ids.iter().zip(&other.ids);
        if numbered.into_iter().any(|ids| matches!(ids, (Some(a), Some(b)) if same(a, b))) {
            return true;
        }
        if !same(&self.artist, &other.artist) || !same(&self.title, &other.title) {
            return false;
        }
        self.duration.zip(other.duration).is_none_or(|(a, b)| {
            let longer = a.max(b);
            let most = match self.is_live || other.is_live {
                true => LIVE_PART * longer,
                false => SAME_LENGTH.max(SAME_PART * longer),
            };
            (a - b).abs() <= most
        })
    }
}

/// The title without notes about the version at its end, folded and without punctuation; whether one said "live".
fn base_title(title: &str) -> (String, bool) {
    let folded = fold(title);
    let (mut rest, mut is_live) = (folded.as_str(), false);
    while let Some((before, note)) = last_part(rest) {
        let words = words(note);
        let (is_note, says_live) = (is_note(&words), is_live_note(&words));
        if before.trim().is_empty() || !(is_note || says_live) {
            break;
        }
        is_live |= says_live;
        rest = before.trim_end();
    }
    (words(rest).join(" "), is_live)
}

/// What stands before the brackets or the dash at the end of a title, and what in or behind them.
fn last_part(title: &str) -> Option<(&str, &str)> {
    for (open, close) in [('(', ')'), ('[', ']')] {
        if let Some(inner) = title.strip_suffix(close) {
            return inner.rsplit_once(open);
        }
    }
    [" - ", " – ", " — "].iter().filter_map(|dash| title.rsplit_once(dash)).max_by_key(|(before, _)| before.len())
}

fn words(text: &str) -> Vec<&str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect()
}

fn is_note(words: &[&str]) -> bool {
    let is_number = |word: &str| word.trim_end_matches("th").bytes().all(|byte| byte.is_ascii_digit());
    let is_of_release = |word: &&str| RELEASE_WORDS.contains(word) || is_number(word);
    matches!(words.first(), Some(&("feat" | "ft" | "featuring")))
        || words.iter().any(|word| word.starts_with("remaster"))
        || (words.iter().all(is_of_release) && words.iter().any(|word| !is_number(word)))
}

fn is_live_note(words: &[&str]) -> bool {
    let is_year = |word: &str| word.len() == 4 && word.bytes().all(|byte| byte.is_ascii_digit());
    match words {
        ["live"] | [.., "live"] => true,
        ["live", next, ..] => AFTER_LIVE.contains(next) || is_year(next),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use soniquebay_domain::{Change, ContentHash, MetadataHash, Timestamp, Track, TrackFields, TrackId, TrackPatch};

    use super::{Recording, base_title};

    fn recording(artist: &str, title: &str, duration: f64, isrc: &str) -> Recording {
        let set = |text: &str| if text.is_empty() { Change::Keep } else { Change::Set(text.to_owned()) };
        let patch = TrackPatch {
            artist: set(artist),
            title: set(title),
            isrc: set(isrc),
            duration: if duration > 0.0 { Change::Set(duration) } else { Change::Keep },
            ..TrackPatch::default()
        };
        let fields = patch.apply(&TrackFields::default()).unwrap();
        Recording::of(&Track {
            id: TrackId::new(1).unwrap(),
            version: 1,
            analysis: None,
            content_hash: ContentHash::of(&fields),
            metadata_hash: MetadataHash::of(&fields),
            fields,
            created_at: Timestamp(0),
            updated_at: Timestamp(0),
        })
    }

    #[test]
    fn notes_about_the_version_are_no_title() {
        for (title, base, live) in [
            ("Heroes - 2017 Remaster", "heroes", false),
            ("“Heroes” (2017 Remastered Version) [Single Version]", "heroes", false),
            ("Substitute (Live at Leeds)", "substitute", true),
            ("Layla - Live 1992", "layla", true),
            ("One (MTV Live)", "one", true),
            ("Crazy in Love (feat. JAY-Z)", "crazy in love", false),
            ("Paperback Writer (Mono)", "paperback writer", false),
            ("Thriller - 25th Anniversary Edition", "thriller", false),
            ("Blue Monday (Remix)", "blue monday remix", false),
            ("Hurt (Acoustic)", "hurt acoustic", false),
            ("Shine On You Crazy Diamond (Parts 1-5)", "shine on you crazy diamond parts 1 5", false),
            ("Song (Part 2)", "song part 2", false),
            ("Anthem (1999)", "anthem 1999", false),
            ("(Live Forever)", "live forever", false),
            ("Oasis - Live Forever", "oasis live forever", false),
            ("(Remastered)", "remastered", false),
            ("Re-Rewind (", "re rewind", false),
            ("", "", false),
        ] {
            assert_eq!(base_title(title), (base.to_owned(), live), "{title}");
        }
    }

    #[test]
    fn versions_are_told_by_tags_and_length() {
        let original = recording("The Who", "Substitute", 228.0, "GBAKW6600012");
        for (artist, title, duration, isrc, same) in [
            ("THE WHO", "Substitute (Remastered 2002)", 231.0, "", true),
            ("The Who", "Substitute - Live at Leeds", 270.0, "", true),
            ("The Who", "Substitute", 0.0, "", true),
            ("Who, The", "Substitute (US cut)", 400.0, "gbakw6600012", true),
            ("The Who", "Substitute", 270.0, "", false),
            ("The Who", "Substitute - Live at Leeds", 900.0, "", false),
            ("Sex Pistols", "Substitute", 228.0, "", false),
            ("The Who", "Substitute (Remix)", 228.0, "", false),
            ("The Who", "I'm a Boy", 228.0, "", false),
        ] {
            let other = recording(artist, title, duration, isrc);
            assert_eq!(original.is_version_of(&other), same, "{artist} – {title}");
            assert_eq!(other.is_version_of(&original), same, "either way: {artist} – {title}");
        }
        let nameless = recording("", "Intro", 30.0, "");
        assert!(!nameless.is_version_of(&nameless.clone()), "no artist, no recording");
    }
}
