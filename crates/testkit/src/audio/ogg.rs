const FIRST: u8 = 2;
const LAST: u8 = 4;

/// Headers of Vorbis at 44.1 kHz, mono, and one packet that ends after `seconds`. The setup header is hollow.
pub(super) fn vorbis(seconds: f64) -> Vec<u8> {
    let mut identification = b"\x01vorbis".to_vec();
    identification.extend(0u32.to_le_bytes());
    identification.push(1);
    identification.extend(44_100u32.to_le_bytes());
    // Highest, nominal and lowest bit rate.
    for rate in [0u32, 64_000, 0] {
        identification.extend(rate.to_le_bytes());
    }
    // Block sizes 2^8 and 2^11, framing bit.
    identification.extend([0xb8, 1]);
    let mut comment = b"\x03vorbis".to_vec();
    comment.extend(no_comments());
    comment.push(1);
    let setup = b"\x05vorbis\x00\x00\x00\x00\x00\x01".to_vec();
    let samples = (seconds * 44_100.0).round() as u64;
    let mut bytes = page(FIRST, 0, 0, &[&identification]);
    bytes.extend(page(0, 0, 1, &[&comment, &setup]));
    bytes.extend(page(LAST, samples, 2, &[&[0; 16]]));
    bytes
}

/// Headers of Opus, mono, and one silent packet that ends after `seconds`.
pub(super) fn opus(seconds: f64) -> Vec<u8> {
    let mut head = b"OpusHead\x01\x01".to_vec();
    // No samples to skip, made from 48 kHz, no gain, mapping family 0.
    head.extend(0u16.to_le_bytes());
    head.extend(48_000u32.to_le_bytes());
    head.extend([0, 0, 0]);
    let mut tags = b"OpusTags".to_vec();
    tags.extend(no_comments());
    // Granules are counted at 48 kHz always.
    let samples = (seconds * 48_000.0).round() as u64;
    let mut bytes = page(FIRST, 0, 0, &[&head]);
    bytes.extend(page(0, 0, 1, &[&tags]));
    bytes.extend(page(LAST, samples, 2, &[&[0xf8, 0xff, 0xfe]]));
    bytes
}

fn no_comments() -> Vec<u8> {
    let vendor = b"soniquebay-testkit";
    let mut comments = (vendor.len() as u32).to_le_bytes().to_vec();
    comments.extend(vendor);
    comments.extend(0u32.to_le_bytes());
    comments
}

/// A page of whole packets, each shorter than 255 bytes.
fn page(kind: u8, granule: u64, sequence: u32, packets: &[&[u8]]) -> Vec<u8> {
    let mut page = b"OggS\x00".to_vec();
    page.push(kind);
    page.extend(granule.to_le_bytes());
    page.extend(1u32.to_le_bytes());
    page.extend(sequence.to_le_bytes());
    // Place of the checksum.
    page.extend([0; 4]);
    page.push(packets.len() as u8);
    page.extend(packets.iter().map(|packet| packet.len() as u8));
    page.extend(packets.concat());
    let sum = checksum(&page).to_le_bytes();
    page[22..26].copy_from_slice(&sum);
    page
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut crc: u32 = 0;
    for byte in bytes {
        crc ^= u32::from(*byte) << 24;
        for _ in 0..8 {
            crc = if crc >> 31 == 0 { crc << 1 } else { (crc << 1) ^ 0x04c1_1db7 };
        }
    }
    crc
}
