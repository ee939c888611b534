const RATE: u32 = 8_000;

/// 8 kHz, mono, 16 bit.
pub(super) fn wav(seconds: f64) -> Vec<u8> {
    riff(vec![0; 2 * samples(seconds)], RATE)
}

/// A chord on `hz` and a beat `bpm` times a minute: 22.05 kHz, mono, 16 bit.
pub(super) fn music(seconds: f64, hz: f64, bpm: f64) -> Vec<u8> {
    const RATE: u32 = 22_050;
    let mut noise = 1u32;
    let sample = |n: u32| {
        let at = f64::from(n) / f64::from(RATE);
        let since_beat = at % (60.0 / bpm);
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let click = (f64::from(noise) / f64::from(u32::MAX) - 0.5) * (-since_beat * 60.0).exp();
        // A major triad.
        let chord: f64 = [1.0, 1.25, 1.5].iter().map(|ratio| (std::f64::consts::TAU * hz * ratio * at).sin()).sum();
        ((0.12 * chord + 0.8 * click) * f64::from(i16::MAX)) as i16
    };
    riff((0..(seconds * f64::from(RATE)) as u32).map(sample).flat_map(i16::to_le_bytes).collect(), RATE)
}

fn riff(samples: Vec<u8>, rate: u32) -> Vec<u8> {
    let mut format = Vec::new();
    format.extend(1u16.to_le_bytes());
    format.extend(1u16.to_le_bytes());
    format.extend(rate.to_le_bytes());
    format.extend((2 * rate).to_le_bytes());
    format.extend(2u16.to_le_bytes());
    format.extend(16u16.to_le_bytes());
    let mut body = b"WAVE".to_vec();
    for (name, chunk) in [(b"fmt ", format), (b"data", samples)] {
        body.extend(name);
        body.extend((chunk.len() as u32).to_le_bytes());
        body.extend(chunk);
    }
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((body.len() as u32).to_le_bytes());
    bytes.extend(body);
    bytes
}

/// 8 kHz, mono, 16 bit.
pub(super) fn aiff(seconds: f64) -> Vec<u8> {
    let count = samples(seconds);
    let mut common = Vec::new();
    common.extend(1u16.to_be_bytes());
    common.extend((count as u32).to_be_bytes());
    common.extend(16u16.to_be_bytes());
    // 8,000 as an 80-bit float: 1.953125 × 2^12.
    common.extend([0x40, 0x0b, 0xfa, 0, 0, 0, 0, 0, 0, 0]);
    // Offset and block size go before the samples.
    let sound = vec![0; 8 + 2 * count];
    let mut body = b"AIFF".to_vec();
    for (name, chunk) in [(b"COMM", common), (b"SSND", sound)] {
        body.extend(name);
        body.extend((chunk.len() as u32).to_be_bytes());
        body.extend(chunk);
    }
    let mut bytes = b"FORM".to_vec();
    bytes.extend((body.len() as u32).to_be_bytes());
    bytes.extend(body);
    bytes
}

fn samples(seconds: f64) -> usize {
    (seconds * f64::from(RATE)).round() as usize
}
