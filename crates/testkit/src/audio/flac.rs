/// Samples in a frame.
const BLOCK: u64 = 4_096;
const RATE: u64 = 44_100;

/// 44.1 kHz, mono, 16 bit; frames of one constant subframe each (RFC 9639).
pub(super) fn silence(seconds: f64) -> Vec<u8> {
    let frames = (seconds * RATE as f64 / BLOCK as f64).round().max(1.0) as u64;
    let mut bytes = b"fLaC".to_vec();
    // STREAMINFO, the last metadata block, 34 bytes.
    bytes.extend([0x80, 0, 0, 34]);
    bytes.extend((BLOCK as u16).to_be_bytes());
    bytes.extend((BLOCK as u16).to_be_bytes());
    // Smallest and largest frame unknown.
    bytes.extend([0; 6]);
    // 20 bits rate, 3 bits channels − 1, 5 bits depth − 1, 36 bits samples.
    bytes.extend((RATE << 44 | 15 << 36 | (frames * BLOCK)).to_be_bytes());
    // No MD5.
    bytes.extend([0; 16]);
    for number in 0..frames {
        bytes.extend(frame(number as u32));
    }
    bytes
}

fn frame(number: u32) -> Vec<u8> {
    // Sync; 4,096 samples at 44.1 kHz; one channel, 16 bit.
    let mut frame = vec![0xff, 0xf8, 0xc9, 0x08];
    // The frame's number is coded as UTF-8 codes characters, surrogates and all; tests stay below them.
    let mut coded = [0; 4];
    frame.extend(char::from_u32(number).unwrap_or('\0').encode_utf8(&mut coded).bytes());
    frame.push(crc(&frame, 8, 0x07) as u8);
    // A constant subframe of the value 0.
    frame.extend([0, 0, 0]);
    let check = crc(&frame, 16, 0x8005);
    frame.extend(check.to_be_bytes());
    frame
}

fn crc(bytes: &[u8], width: u32, polynomial: u32) -> u16 {
    let top = 1 << (width - 1);
    let mut crc: u32 = 0;
    for byte in bytes {
        crc ^= u32::from(*byte) << (width - 8);
        for _ in 0..8 {
            crc = if crc & top == 0 { crc << 1 } else { (crc << 1) ^ polynomial };
        }
    }
    (crc & ((1 << width) - 1)) as u16
}
