use soniquebay_domain::{Key, TrackFields};

/// How a track becomes the texts that are embedded. Part of a space's revision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Template {
    /// Artist, title, genres and moods, each embedded on its own: what measures best (docs/quality.md).
    #[default]
    Parts,
    /// `Title: … | Artist: … | Album: …` as one text, as the Python system writes it.
    Fields,
}

/// Something that is known of a track, in words, and how much of the text block it makes.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Beside the other parts; only the proportion counts.
    pub weight: f32,
    /// One text or several that share the weight: two genres are not twice as much genre. Never empty, and none is "".
    pub texts: Vec<String>,
}

// The weights, chosen in docs/quality.md. A genre, where one is known, says most of what a track is like. A title says least,
// and is what people type: at 0.7 its vector alone finds it.
const ARTIST: f32 = 1.0;
const TITLE: f32 = 0.7;
const GENRE: f32 = 2.0;
const MOOD: f32 = 1.0;

/// Genres that are told; what is named fourth says little.
const GENRES: usize = 3;

/// Moods that are told.
const MOODS: usize = 5;

impl Template {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Parts, Self::Fields];

    /// The name that TEXT_TEMPLATE spells.
    pub fn name(self) -> &'static str {
        match self {
            Self::Parts => "parts",
            Self::Fields => "fields",
        }
    }

    /// What there is to say of a track. Empty where nothing that is told is known.
    pub fn describe(self, track: &TrackFields) -> Vec<Part> {
        let parts = match self {
            Self::Parts => vec![
                Part { weight: ARTIST, texts: distinct(&track.artist, 1) },
                Part { weight: TITLE, texts: distinct(&track.title, 1) },
                Part { weight: GENRE, texts: distinct(track.genre.iter().chain(&track.genre_tags), GENRES) },
                Part { weight: MOOD, texts: distinct(&track.mood_tags, MOODS) },
            ],
            Self::Fields => vec![Part { weight: 1.0, texts: distinct(&[fields(track)], 1) }],
        };
        parts.into_iter().filter(|part| !part.texts.is_empty()).collect()
    }
}

fn fields(track: &TrackFields) -> String {
    let joined = |values: Vec<String>| values.join(", ");
    let genres = distinct(track.genre.iter().chain(&track.genre_tags), usize::MAX);
    let tags = distinct(track.mood_tags.iter().chain(&track.tags), usize::MAX);
    let key = track.features.key.map(|tonic| Key { tonic, mode: track.features.mode }.to_string());
    let bpm = track.features.bpm.map(|bpm| bpm.round().to_string());
    [
        ("Title", joined(distinct(&track.title, 1))),
        ("Artist", joined(distinct(&track.artist, 1))),
        ("Album", joined(distinct(&track.album, 1))),
        ("Genre", joined(genres)),
        ("Key", key.unwrap_or_default()),
        ("BPM", bpm.unwrap_or_default()),
        ("Tags", joined(tags)),
    ]
    .iter()
    .filter(|(_, value)| !value.is_empty())
    .map(|(name, value)| format!("{name}: {value}"))
    .collect::<Vec<_>>()
    .join(" | ")
}

/// The first of these texts with plain white space, without the empty ones and those that were there before in any case.
fn distinct<'a>(values: impl IntoIterator<Item = &'a String>, at_most: usize) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    let mut told = Vec::new();
    for value in values {
        let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
        let lower = value.to_lowercase();
        if told.len() < at_most && !value.is_empty() && !seen.contains(&lower) {
            told.push(value);
            seen.push(lower);
        }
    }
    told
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

    fn told(track: &TrackFields, template: Template) -> Vec<(f32, String)> {
        template.describe(track).into_iter().map(|part| (part.weight, part.texts.join(" + "))).collect()
    }

    #[test]
    fn parts_are_told_as_they_were_measured() {
        let parts = |track: &TrackFields| told(track, Template::Parts);
        let owned = |parts: &[(f32, &str)]| {
            parts.iter().map(|(weight, text)| (*weight, (*text).to_owned())).collect::<Vec<_>>()
        };
        for (track, expected) in [
            (
                track("Blue River", "The Glass Lanterns", &["Indie Rock"], &[]),
                &[(1.0, "The Glass Lanterns"), (0.7, "Blue River"), (2.0, "Indie Rock")][..],
            ),
            (track("Untitled Nocturne", "", &[], &[]), &[(0.7, "Untitled Nocturne")]),
            (
                track(
                    "Night Drive",
                    "DJ Sato",
                    &["House", "Deep House", "house", " ", "Dub", "Techno"],
                    &["calm", "dark"],
                ),
                &[(1.0, "DJ Sato"), (0.7, "Night Drive"), (2.0, "House + Deep House + Dub"), (1.0, "calm + dark")],
            ),
            (track("  Dust \n and  Light ", " ", &["Ambient"], &[]), &[(0.7, "Dust and Light"), (2.0, "Ambient")]),
            (track("", "", &[], &[]), &[]),
        ] {
            assert_eq!(parts(&track), owned(expected));
        }
    }

    #[test]
    fn fields_read_as_the_python_system_writes_them() {
        let mut joga = track("Jóga", "Björk", &["Electronic"], &["dreamy"]);
        joga.album = Some("Homogenic".into());
        joga.features.bpm = Some(86.4);
        let key = Key::parse("C# minor").unwrap();
        (joga.features.key, joga.features.mode) = (Some(key.tonic), key.mode);
        let text = "Title: Jóga | Artist: Björk | Album: Homogenic | Genre: Electronic | Key: C# minor | BPM: 86 | Tags: dreamy";
        assert_eq!(told(&joga, Template::Fields), [(1.0, text.to_owned())]);
        assert_eq!(told(&track("A", "", &[], &[]), Template::Fields), [(1.0, "Title: A".to_owned())]);
        assert!(Template::Fields.describe(&track("", "", &[], &[])).is_empty());
    }
}
