const RATE: u32 = 44_100;

/// A movie of one AAC track, 44.1 kHz, mono, whose headers say that it lasts `seconds`.
pub(super) fn silence(seconds: f64) -> Vec<u8> {
    let duration = (seconds * f64::from(RATE)).round() as u32;
    let mut bytes = atom(b"ftyp", &[b"M4A \x00\x00\x00\x00M4A isom"]);
    let media = atom(b"mdia", &[&media_header(duration), &handler(), &atom(b"minf", &[&samples(duration)])]);
    let track = atom(b"trak", &[&track_header(duration), &media]);
    bytes.extend(atom(b"moov", &[&movie_header(duration), &track]));
    bytes.extend(atom(b"mdat", &[&[0; 64]]));
    bytes
}

fn atom(name: &[u8; 4], parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut atom = (content.len() as u32 + 8).to_be_bytes().to_vec();
    atom.extend(name);
    atom.extend(content);
    atom
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

const MATRIX: [u32; 9] = [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000];

fn movie_header(duration: u32) -> Vec<u8> {
    let times = words(&[0, 0, 0, RATE, duration, 0x1_0000]);
    // Volume 1, reserved; after the matrix six words of no meaning and the next track's number.
    atom(b"mvhd", &[&times, &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0], &words(&MATRIX), &words(&[0; 6]), &words(&[2])])
}

fn track_header(duration: u32) -> Vec<u8> {
    let times = words(&[7, 0, 0, 1, 0, duration, 0, 0]);
    atom(b"tkhd", &[&times, &[0, 0, 0, 0, 1, 0, 0, 0], &words(&MATRIX), &words(&[0, 0])])
}

fn media_header(duration: u32) -> Vec<u8> {
    // The language is "und".
    atom(b"mdhd", &[&words(&[0, 0, 0, RATE, duration]), &[0x55, 0xc4, 0, 0]])
}

fn handler() -> Vec<u8> {
    atom(b"hdlr", &[&words(&[0, 0]), b"soun", &words(&[0, 0, 0]), &[0]])
}

fn samples(duration: u32) -> Vec<u8> {
    // Decoder configuration: AAC LC, 44.1 kHz, mono.
    let specific = [0x05, 2, 0x12, 0x08];
    let mut decoder = vec![0x04, 13 + specific.len() as u8, 0x40, 0x15, 0, 0, 0];
    decoder.extend(words(&[64_000, 64_000]));
    decoder.extend(specific);
    let mut stream = vec![0x03, 3 + decoder.len() as u8 + 3, 0, 1, 0];
    stream.extend(decoder);
    stream.extend([0x06, 1, 2]);
    let descriptor = atom(b"esds", &[&words(&[0]), &stream]);
    // Six reserved bytes, data reference 1, eight reserved, one channel of 16 bits, the rate as 16.16.
    let mut entry = vec![0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 16, 0, 0, 0, 0];
    entry.extend(words(&[RATE << 16]));
    let mp4a = atom(b"mp4a", &[&entry, &descriptor]);
    let description = atom(b"stsd", &[&words(&[0, 1]), &mp4a]);
    let times = atom(b"stts", &[&words(&[0, 1, duration.div_ceil(1_024), 1_024])]);
    let chunks = atom(b"stsc", &[&words(&[0, 0])]);
    let sizes = atom(b"stsz", &[&words(&[0, 0, 0])]);
    let offsets = atom(b"stco", &[&words(&[0, 0])]);
    atom(b"stbl", &[&description, &times, &chunks, &sizes, &offsets])
}
