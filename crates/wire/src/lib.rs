//! What crosses a process, as JSON spells it: tracks, vectors, filters, jobs, events, problems.
//!
//! Everything that comes in is bounded and answered with every [`FieldError`](soniquebay_domain::FieldError) at once,
//! so that whoever wrote it repairs it in one go. Nothing here knows HTTP or a database.

mod event;
mod filter;
mod job;
mod problem;
mod shape;
mod time;
mod track;
mod vector;

pub use event::{
    EventError, MAX_EVENT_BYTES, ProgressView, read_fields, read_progress, read_track_event, write_track_event,
};
pub use filter::{FilterInput, MAX_EXCLUDED_ARTISTS, MAX_EXCLUDED_TRACKS, RangeInput};
pub use job::{JobCountsView, JobView};
pub use problem::{FieldProblem, ProblemView};
pub use shape::{Object, read_shape};
pub use time::rfc3339;
pub use track::{
    AnalysisInput, AnalysisView, StateView, TrackRecord, TrackView, clean_text, parse_track, read_track, untitled,
    write_fields,
};
pub use vector::{VectorAnswer, VectorInput, VectorOutput, VectorRecord, VectorView, read_embedding};
