use serde_json::{Map, Value};
use soniquebay_domain::{Change, FieldError};

use super::value::{Bounds, is_unknown};

/// The fields as they were sent, taken one by one; what is left in the end nobody here knows.
pub(super) struct Source {
    fields: Map<String, Value>,
    errors: Vec<FieldError>,
    clamped: Vec<FieldError>,
}

impl Source {
    pub(super) fn new(fields: Map<String, Value>) -> Self {
        Self { fields, errors: Vec::new(), clamped: Vec::new() }
    }

    /// Takes a field that may have several names. The first name that says something wins, so that the canonical name,
    /// which comes first, beats an alias; the others are gone.
    pub(super) fn take(&mut self, names: &[&'static str]) -> Option<(&'static str, Value)> {
        let mut found: Option<(&'static str, Value)> = None;
        for name in names {
            let Some(value) = self.fields.remove(*name) else { continue };
            if found.as_ref().is_none_or(|(_, earlier)| is_unknown(earlier) && !is_unknown(&value)) {
                found = Some((name, value));
            }
        }
        found
    }

    /// Takes a field and reads it; an unreadable one is remembered as an error and left alone.
    pub(super) fn read<T: Clone>(
        &mut self,
        names: &[&'static str],
        read: impl Fn(&Value) -> Result<Option<T>, String>,
    ) -> Change<T> {
        match self.take(names) {
            None => Change::Keep,
            Some((name, value)) => match read(&value) {
                Ok(known) => Change::from_known(known),
                Err(reason) => {
                    self.refuse(name, reason);
                    Change::Keep
                }
            },
        }
    }

    /// The same for a number between bounds; one that was moved to them is remembered.
    pub(super) fn read_within(&mut self, names: &[&'static str], bounds: &Bounds) -> Change<f64> {
        match self.take(names) {
            None => Change::Keep,
            Some((name, value)) => match bounds.read(&value) {
                Ok(None) => Change::Clear,
                Ok(Some((number, moved))) => {
                    self.clamped.extend(moved.map(|reason| FieldError::new(name, reason)));
                    Change::Set(number)
                }
                Err(reason) => {
                    self.refuse(name, reason);
                    Change::Keep
                }
            },
        }
    }

    pub(super) fn refuse(&mut self, field: &str, reason: impl Into<String>) {
        self.errors.push(FieldError::new(field, reason));
    }

    /// What nobody took, what went wrong, and what was moved to its bounds.
    pub(super) fn into_rest(self) -> (Map<String, Value>, Vec<FieldError>, Vec<FieldError>) {
        (self.fields, self.errors, self.clamped)
    }
}
