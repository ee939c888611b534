/// MPEG-1 layer III, 44.1 kHz, mono, 128 kbit/s, no padding: such a frame has 417 bytes and 1,152 samples.
const HEADER: [u8; 4] = [0xff, 0xfb, 0x90, 0xc0];
const FRAME: usize = 417;

/// Zero side information means no data for any granule, which decodes to silence.
pub(super) fn silence(seconds: f64) -> Vec<u8> {
    let frames = (seconds * 44_100.0 / 1_152.0).ceil() as usize;
    let mut bytes = Vec::with_capacity(frames * FRAME);
    for _ in 0..frames {
        bytes.extend(HEADER);
        bytes.resize(bytes.len() + FRAME - HEADER.len(), 0);
    }
    bytes
}
