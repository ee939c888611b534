use std::io::{self, BufRead};

use super::LINE_BYTES;

/// Lines of bounded length, numbered. What is longer is passed over without being held in memory.
pub(super) struct Lines<R> {
    reader: R,
    number: u64,
}

/// A line, or what is wrong with it.
pub(super) type Line = (u64, Result<String, String>);

impl<R: BufRead> Lines<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, number: 0 }
    }

    pub(super) fn next(&mut self) -> io::Result<Option<Line>> {
        let mut bytes = Vec::new();
        let mut length: usize = 0;
        let mut is_ended = false;
        while !is_ended {
            let buffer = match self.reader.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                buffer => buffer?,
            };
            if buffer.is_empty() {
                break;
            }
            let end = buffer.iter().position(|byte| *byte == b'\n');
            is_ended = end.is_some();
            let part = &buffer[..end.unwrap_or(buffer.len())];
            length = length.saturating_add(part.len());
            if length <= LINE_BYTES {
                bytes.extend_from_slice(part);
            }
            let used = part.len() + usize::from(is_ended);
            self.reader.consume(used);
        }
        if length == 0 && !is_ended {
            return Ok(None);
        }
        self.number += 1;
        Ok(Some((self.number, self.text(bytes, length))))
    }

    fn text(&self, bytes: Vec<u8>, length: usize) -> Result<String, String> {
        if length > LINE_BYTES {
            return Err(format!("{length} bytes; a line has at most {LINE_BYTES}"));
        }
        let text = String::from_utf8(bytes).map_err(|error| not_utf8(error.utf8_error().valid_up_to()))?;
        let text = if self.number == 1 { text.trim_start_matches('\u{feff}') } else { &text };
        Ok(text.trim().to_owned())
    }
}

pub(super) fn not_utf8(at: usize) -> String {
    format!("byte {} is no UTF-8: save the file as UTF-8", at + 1)
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::Lines;

    #[test]
    fn lines_are_bounded_and_numbered() {
        let long = "x".repeat(70_000);
        let text = format!("\u{feff}a\r\n\nb\n{long}\nc");
        // A tiny buffer, so that lines lie across its edges.
        let mut lines = Lines::new(BufReader::with_capacity(7, text.as_bytes()));
        let mut seen = Vec::new();
        while let Some((number, line)) = lines.next().unwrap() {
            seen.push((number, line.unwrap_or_else(|reason| reason)));
        }
        let expected = [(1, "a"), (2, ""), (3, "b"), (4, "70000 bytes; a line has at most 65536"), (5, "c")];
        assert_eq!(seen, expected.map(|(number, text)| (number, text.to_owned())));
    }

    #[test]
    fn other_encodings_are_named() {
        let mut lines = Lines::new(&b"ab\xff\nc\n"[..]);
        let (_, line) = lines.next().unwrap().unwrap();
        assert_eq!(line.unwrap_err(), "byte 3 is no UTF-8: save the file as UTF-8");
        assert_eq!(lines.next().unwrap().unwrap(), (2, Ok("c".into())));
        assert!(lines.next().unwrap().is_none());
    }
}
