mod analysis;
mod answer;
mod parse;
mod source;
mod value;
mod view;

use serde_json::Value;
use soniquebay_domain::TrackId;

pub use analysis::{AnalysisInput, AnalysisView};
pub(crate) use answer::moment;
pub use answer::{read_track, untitled};
pub use parse::{TrackRecord, parse_track};
pub use value::clean_text;
pub use view::{StateView, TrackView, write_fields};

/// A track's id, as a number or a text of digits.
pub(crate) fn read_id(value: &Value) -> Result<TrackId, String> {
    value::id(value)?.and_then(TrackId::new).ok_or_else(|| "missing: a number above 0".into())
}
