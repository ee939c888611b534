use soniquebay_domain::{Key, TrackFields};

/// How a track becomes the text that is embedded. Part of a space's revision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Template {
    /// A phrase led by the genre: what measures best (docs/quality.md).
    #[default]
    Phrase,
    /// `Title: … | Artist: … | Album: …`, as the Python system writes it.
    Fields,
}

/// Genres that are told; more would drown the names.
const GENRES: usize = 3;

/// Moods that are told.
const MOODS: usize = 5;

impl Template {
    /// The name that TEXT_TEMPLATE spells.
    pub fn name(self) -> &'static str {
        match self {
            Self::Phrase => "phrase",
            Self::Fields => "fields",
        }
    }

    /// The text of a track. Empty where nothing that it tells is known.
    pub fn describe(self, track: &TrackFields) -> String {
        match self {
            Self::Phrase => phrase(track),
            Self::Fields => fields(track),
        }
    }
}

/// "Rock. Rock. Rock music: Artist. Title by Artist. Rock. moods."
///
/// The model averages over its tokens, so a word weighs as often as it stands. Genre thrice before the names and once
/// after them measured best of all repetitions tried; without a genre only the names stand, and the text is a plain one.
fn phrase(track: &TrackFields) -> String {
    let genres = distinct(track.genre.iter().chain(&track.genre_tags), GENRES);
    let moods = distinct(track.mood_tags.iter(), MOODS);
    let (title, artist) = (clean(track.title.as_deref()), clean(track.artist.as_deref()));
    let mut parts = Vec::with_capacity(5);
    if !genres.is_empty() {
        parts.push(format!("{genres}. {genres}. {genres} music:"));
    }
    if !artist.is_empty() {
        parts.push(format!("{artist}."));
    }
    match (title.is_empty(), artist.is_empty()) {
        (false, false) => parts.push(format!("{title} by {artist}.")),
        (false, true) => parts.push(format!("{title}.")),
        (true, _) => {}
    }
    if !genres.is_empty() {
        parts.push(format!("{genres}."));
    }
    if !moods.is_empty() {
        parts.push(format!("{moods}."));
    }
    parts.join(" ")
}

fn fields(track: &TrackFields) -> String {
    let genres = distinct(track.genre.iter().chain(&track.genre_tags), usize::MAX);
    let tags = distinct(track.mood_tags.iter().chain(&track.tags), usize::MAX);
    let key = track.features.key.map(|tonic| Key { tonic, mode: track.features.mode }.to_string());
    let bpm = track.features.bpm.map(|bpm| bpm.round().to_string());
    [
        ("Title", clean(track.title.as_deref())),
        ("Artist", clean(track.artist.as_deref())),
        ("Album", clean(track.album.as_deref())),
        ("Genre", genres),
        ("Key", key.unwrap_or_default()),
        ("BPM", bpm.unwrap_or_default()),
        ("Tags", tags),
    ]
    .iter()
    .filter(|(_, value)| !value.is_empty())
    .map(|(name, value)| format!("{name}: {value}"))
    .collect::<Vec<_>>()
    .join(" | ")
}

fn clean(text: Option<&str>) -> String {
    text.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn distinct<'a>(values: impl Iterator<Item = &'a String>, at_most: usize) -> String {
    let mut seen: Vec<(String, String)> = Vec::new();
    for value in values {
        let value = clean(Some(value));
        let lower = value.to_lowercase();
        if seen.len() < at_most && !value.is_empty() && seen.iter().all(|(_, known)| *known != lower) {
            seen.push((value, lower));
        }
    }
    seen.into_iter().map(|(value, _)| value).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use soniquebay_domain::{Key, TrackFields};

    use super::Template;

    fn track(title: &str, artist: &str, genres: &[&str], moods: &[&str]) -> TrackFields {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        TrackFields {
            title: text(title),
            artist: text(artist),
            genre: genres.first().map(|genre| (*genre).to_owned()),
            genre_tags: genres.iter().skip(1).map(|genre| (*genre).to_owned()).collect(),
            mood_tags: moods.iter().map(|mood| (*mood).to_owned()).collect(),
            ..TrackFields::default()
        }
    }

    #[test]
    fn phrases_read_as_they_were_measured() {
        for (track, text) in [
            (
                track("Blue River", "The Glass Lanterns", &["Indie Rock"], &[]),
                "Indie Rock. Indie Rock. Indie Rock music: The Glass Lanterns. Blue River by The Glass Lanterns. Indie Rock.",
            ),
            (
                track("Blue River", "The Glass Lanterns", &[], &[]),
                "The Glass Lanterns. Blue River by The Glass Lanterns.",
            ),
            (track("Untitled Nocturne", "", &[], &[]), "Untitled Nocturne."),
            (
                track(
                    "Night Drive",
                    "DJ Sato",
                    &["House", "Deep House", "house", " ", "Electronic", "Techno"],
                    &["calm"],
                ),
                "House, Deep House, Electronic. House, Deep House, Electronic. House, Deep House, Electronic music: \
                 DJ Sato. Night Drive by DJ Sato. House, Deep House, Electronic. calm.",
            ),
            (
                track("  Dust \n and  Light ", "", &["Ambient"], &[]),
                "Ambient. Ambient. Ambient music: Dust and Light. Ambient.",
            ),
            (track("", "", &[], &[]), ""),
        ] {
            assert_eq!(Template::Phrase.describe(&track), text);
        }
    }

    #[test]
    fn fields_read_as_the_python_system_writes_them() {
        let mut joga = track("Jóga", "Björk", &["Electronic"], &["dreamy"]);
        joga.album = Some("Homogenic".into());
        joga.features.bpm = Some(86.4);
        let key = Key::parse("C# minor").unwrap();
        (joga.features.key, joga.features.mode) = (Some(key.tonic), key.mode);
        assert_eq!(
            Template::Fields.describe(&joga),
            "Title: Jóga | Artist: Björk | Album: Homogenic | Genre: Electronic | Key: C# minor | BPM: 86 | Tags: dreamy"
        );
        assert_eq!(Template::Fields.describe(&track("A", "", &[], &[])), "Title: A");
    }
}
