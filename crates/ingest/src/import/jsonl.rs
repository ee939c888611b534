use std::io::{self, BufRead};

use serde_json::Value;
use soniquebay_wire::TrackRecord;

use super::lines::Lines;
use super::source::{Entry, Source, record};

/// One JSON object a line; blank lines are passed over.
pub(super) struct Jsonl<R>(Lines<R>);

impl<R: BufRead> Jsonl<R> {
    pub(super) fn new(reader: R) -> Self {
        Self(Lines::new(reader))
    }
}

impl<R: BufRead> Source for Jsonl<R> {
    fn next(&mut self) -> io::Result<Option<Entry>> {
        while let Some((line, text)) = self.0.next()? {
            if text.as_deref().is_ok_and(str::is_empty) {
                continue;
            }
            return Ok(Some(Entry { line, record: text.and_then(|text| read(&text)) }));
        }
        Ok(None)
    }
}

fn read(text: &str) -> Result<TrackRecord, String> {
    match serde_json::from_str(text) {
        Ok(Value::Object(fields)) => record(fields),
        Ok(_) => Err("is no JSON object: one track is {\"title\": …} on a line of its own".into()),
        // The parser sees one line at a time, so that its own line number is always 1.
        Err(error) => Err(format!("is no JSON: {}", error.to_string().replace("at line 1 column", "at column"))),
    }
}
