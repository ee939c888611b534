use std::path::Path;

/// Extensions of files that are taken for audio, with their media types.
const KINDS: [(&str, &str); 26] = [
    ("mp3", "audio/mpeg"),
    ("mp2", "audio/mpeg"),
    ("flac", "audio/flac"),
    ("ogg", "audio/ogg"),
    ("oga", "audio/ogg"),
    ("opus", "audio/ogg"),
    ("m4a", "audio/mp4"),
    ("m4b", "audio/mp4"),
    ("mp4", "audio/mp4"),
    ("aac", "audio/aac"),
    ("wav", "audio/wav"),
    ("aif", "audio/aiff"),
    ("aiff", "audio/aiff"),
    ("aifc", "audio/aiff"),
    ("caf", "audio/x-caf"),
    // Not decoded: their tracks have what their tags and names say.
    ("wma", "audio/x-ms-wma"),
    ("wv", "audio/x-wavpack"),
    ("ape", "audio/x-ape"),
    ("mpc", "audio/x-musepack"),
    ("mp+", "audio/x-musepack"),
    ("tta", "audio/x-tta"),
    ("dsf", "audio/x-dsf"),
    ("dff", "audio/x-dff"),
    ("ac3", "audio/ac3"),
    ("spx", "audio/ogg"),
    ("mka", "audio/x-matroska"),
];

/// The media type of a file of this name; nothing where it is not taken for audio.
pub fn audio_type(path: &Path) -> Option<&'static str> {
    let extension = path.extension()?.to_str()?;
    KINDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(extension)).map(|(_, kind)| *kind)
}
