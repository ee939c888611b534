const RATE: u32 = 8_000;

/// 8 kHz, mono, 16 bit.
pub(super) fn wav(seconds: f64) -> Vec<u8> {
    let samples = vec![0; 2 * samples(seconds)];
    let mut format = Vec::new();
    format.extend(1u16.to_le_bytes());
    format.extend(1u16.to_le_bytes());
    format.extend(RATE.to_le_bytes());
    format.extend((2 * RATE).to_le_bytes());
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
