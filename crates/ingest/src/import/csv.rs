use std::io::{self, BufRead};

use serde_json::{Map, Value};
use soniquebay_wire::TrackRecord;

use super::lines::not_utf8;
use super::source::{Entry, Source, record};
use super::{ImportError, LINE_BYTES};

/// Columns by which a track can be known; a header has one of them.
const KNOWN_BY: [&str; 8] =
    ["title", "id", "track_id", "path", "musicbrainz_id", "mbid", "musicbrainz_track_id", "isrc"];

const BOM: [u8; 3] = [0xef, 0xbb, 0xbf];

/// The separator of a header: whichever of ',', ';' and tab it has most of.
pub(super) fn separator(first_line: &[u8]) -> u8 {
    let header = first_line.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let count = |separator: u8| header.iter().filter(|byte| **byte == separator).count();
    // The last of equals wins, and a header without any has one column.
    [b'\t', b';', b','].into_iter().max_by_key(|separator| count(*separator)).unwrap_or(b',')
}

/// Rows under a header row, quoted as RFC 4180 has it. An empty cell leaves the field as it is.
pub(super) struct Csv<R> {
    rows: Rows<R>,
    columns: Vec<String>,
}

impl<R: BufRead> Csv<R> {
    pub(super) fn new(reader: R, separator: u8) -> Result<Self, ImportError> {
        let mut rows = Rows { reader, separator, line: 1, offset: 0 };
        let cells = match rows.next()? {
            None => return Ok(Self { rows, columns: Vec::new() }),
            Some((_, cells)) => cells.map_err(ImportError::Header)?,
        };
        let columns: Vec<String> = cells.iter().map(|cell| column(cell)).collect();
        if !columns.iter().any(|column| KNOWN_BY.contains(&column.as_str())) {
            return Err(ImportError::Header(cells.join(", ").chars().take(200).collect()));
        }
        Ok(Self { rows, columns })
    }

    fn fields(&self, cells: Vec<String>) -> Result<Map<String, Value>, String> {
        let found = cells.len();
        let is_surplus_blank = cells.iter().skip(self.columns.len()).all(String::is_empty);
        if found < self.columns.len() || !is_surplus_blank {
            return Err(format!("{found} cells, the header names {}: is a quote missing?", self.columns.len()));
        }
        let named =
            self.columns.iter().zip(cells).filter(|(column, cell)| !column.is_empty() && !cell.trim().is_empty());
        Ok(named.map(|(column, cell)| (column.clone(), Value::from(cell))).collect())
    }
}

impl<R: BufRead> Source for Csv<R> {
    fn next(&mut self) -> io::Result<Option<Entry>> {
        let Some((line, cells)) = self.rows.next()? else { return Ok(None) };
        let record: Result<TrackRecord, String> = cells.and_then(|cells| self.fields(cells)).and_then(record);
        Ok(Some(Entry { line, record }))
    }
}

/// "Album Artist" is album_artist.
fn column(cell: &str) -> String {
    cell.trim().to_lowercase().replace([' ', '-'], "_")
}

type Row = (u64, Result<Vec<String>, String>);

struct Rows<R> {
    reader: R,
    separator: u8,
    /// The line that the next byte lies on.
    line: u64,
    offset: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    CellStart,
    Plain,
    Quoted,
    /// A quote within quotes: the end, or the first half of a doubled one.
    Quote,
}

/// A row as far as it was read.
struct Partial {
    state: State,
    cells: Vec<Vec<u8>>,
    cell: Vec<u8>,
    length: usize,
}

impl Partial {
    fn new() -> Self {
        Self { state: State::CellStart, cells: Vec::new(), cell: Vec::new(), length: 0 }
    }

    /// Takes a byte; whether the row ends with it.
    fn take(&mut self, byte: u8, separator: u8) -> bool {
        self.length += 1;
        // A quote that is never closed would swallow the file: such a row ends with the line that bursts the bound.
        let is_burst = self.length > LINE_BYTES;
        match (self.state, byte) {
            (State::Quoted, b'\n') if is_burst => return true,
            (State::Quoted, b'"') => self.state = State::Quote,
            (State::Quoted, _) => self.push(byte, is_burst),
            (State::CellStart, b'"') => self.state = State::Quoted,
            (State::Quote, b'"') => {
                self.state = State::Quoted;
                self.push(byte, is_burst);
            }
            (_, b'\n') => {
                if self.state != State::CellStart && self.cell.last() == Some(&b'\r') {
                    self.cell.pop();
                }
                return true;
            }
            (_, byte) if byte == separator => {
                self.state = State::CellStart;
                self.end_cell(is_burst);
            }
            _ => {
                self.state = State::Plain;
                self.push(byte, is_burst);
            }
        }
        false
    }

    fn push(&mut self, byte: u8, is_burst: bool) {
        if !is_burst {
            self.cell.push(byte);
        }
    }

    fn end_cell(&mut self, is_burst: bool) {
        if !is_burst {
            self.cells.push(std::mem::take(&mut self.cell));
        }
    }

    fn is_blank(&self) -> bool {
        self.cells.is_empty() && self.cell.trim_ascii().is_empty() && self.state != State::Quote
    }

    fn finish(mut self) -> Result<Vec<String>, String> {
        if self.length > LINE_BYTES {
            let quote = if self.state == State::Quoted { ": a quote is not closed" } else { "" };
            return Err(format!("{} bytes; a row has at most {LINE_BYTES}{quote}", self.length));
        }
        if self.state == State::Quoted {
            return Err("a quote is not closed".into());
        }
        self.cells.push(self.cell);
        let text = |cell| String::from_utf8(cell).map_err(|error| not_utf8(error.utf8_error().valid_up_to()));
        self.cells.into_iter().map(text).collect()
    }
}

impl<R: BufRead> Rows<R> {
    /// The next row that is not blank, with the line it begins on.
    fn next(&mut self) -> io::Result<Option<Row>> {
        loop {
            let line = self.line;
            let Some(row) = self.read_row()? else { return Ok(None) };
            if !row.is_blank() {
                return Ok(Some((line, row.finish())));
            }
        }
    }

    fn read_row(&mut self) -> io::Result<Option<Partial>> {
        let mut row = Partial::new();
        loop {
            let buffer = match self.reader.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                buffer => buffer?,
            };
            if buffer.is_empty() {
                return Ok((row.length > 0).then_some(row));
            }
            let mut used = 0;
            let mut is_ended = false;
            for byte in buffer {
                used += 1;
                self.offset += 1;
                if BOM.get(self.offset - 1) == Some(byte) {
                    continue;
                }
                self.line += u64::from(*byte == b'\n');
                is_ended = row.take(*byte, self.separator);
                if is_ended {
                    break;
                }
            }
            self.reader.consume(used);
            if is_ended {
                return Ok(Some(row));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::{Csv, Entry, Source, separator};
    use crate::ImportError;

    fn rows(text: &str) -> Result<Vec<(u64, String)>, ImportError> {
        let reader = BufReader::with_capacity(5, text.as_bytes());
        let mut csv = Csv::new(reader, separator(text.as_bytes()))?;
        let mut seen = Vec::new();
        while let Some(Entry { line, record }) = csv.next()? {
            let shown =
                |record: soniquebay_wire::TrackRecord| format!("{:?} {:?}", record.patch.title, record.patch.tags);
            seen.push((line, record.map(shown).unwrap_or_else(|reason| reason)));
        }
        Ok(seen)
    }

    #[test]
    fn dialects_are_read_alike() {
        let expected = [(2, "Set(\"A\") Set([\"x\", \"y\"])".to_owned())];
        for text in [
            "title,tags\nA,x;y\n",
            "\u{feff}Title;Tags\r\nA;\"x;y\"\r\n",
            "TITLE\ttags\nA\tx;y",
            "\u{feff}\"title\",\"tags\"\n\"A\",\"x;y\"\n\n",
        ] {
            assert_eq!(rows(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn quotes_hold_anything_and_lines_count_on() {
        let text = "title,tags\n\"a \"\"b\"\",\nc\",\n\n7\" single,x\n\"open,x\n";
        let expected = [
            (2, "Set(\"a \\\"b\\\", c\") Keep"),
            (5, "Set(\"7\\\" single\") Set([\"x\"])"),
            (6, "a quote is not closed"),
        ];
        assert_eq!(rows(text).unwrap(), expected.map(|(line, text)| (line, text.to_owned())));
    }

    #[test]
    fn a_row_must_fit_its_header() {
        let seen = rows("title,tags\nA\nB,x,y\nC,,,\n").unwrap();
        assert!(seen[0].1.starts_with("1 cells, the header names 2"), "{seen:?}");
        assert!(seen[1].1.starts_with("3 cells"), "{seen:?}");
        assert_eq!(seen[2].1, "Set(\"C\") Keep");
    }

    #[test]
    fn an_open_quote_does_not_swallow_the_file() {
        let text = format!("title\n\"open{}\nB\n", "x".repeat(70_000));
        let seen = rows(&text).unwrap();
        assert!(seen[0].1.ends_with("a quote is not closed"), "{:?}", seen[0]);
        assert_eq!(seen[1], (3, "Set(\"B\") Keep".into()));
    }

    #[test]
    fn a_file_without_a_header_is_refused() {
        assert!(matches!(rows("Jóga,Björk\n"), Err(ImportError::Header(_))));
        assert_eq!(rows("").unwrap(), []);
    }
}
