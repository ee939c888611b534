use serde::Serialize;
use soniquebay_domain::FieldError;
use utoipa::ToSchema;

/// An error as RFC 9457 (`application/problem+json`) describes it.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ProblemView {
    /// A name for the kind of problem; `about:blank` where the code says it all.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind of problem in a few words, the same for all of its kind.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong this time, and what to do.
    pub detail: String,
    /// A stable name for programs: `invalid_track`, `vector_pending`.
    pub code: String,
    /// Every field that is wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldProblem>,
}

/// One field that is wrong.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct FieldProblem {
    /// Name of the field as it was sent.
    pub field: String,
    /// What is wrong and what is allowed.
    pub reason: String,
}

impl ProblemView {
    /// A problem without a page of its own.
    pub fn new(status: u16, title: &str, code: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank".into(),
            title: title.into(),
            status,
            detail: detail.into(),
            code: code.into(),
            errors: Vec::new(),
        }
    }

    /// The same, naming the fields that are wrong.
    pub fn with_errors(mut self, errors: Vec<FieldError>) -> Self {
        self.errors = errors.into_iter().map(FieldProblem::from).collect();
        self
    }
}

impl From<FieldError> for FieldProblem {
    fn from(error: FieldError) -> Self {
        Self { field: error.field, reason: error.reason }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use soniquebay_domain::FieldError;

    use super::ProblemView;

    #[test]
    fn a_problem_names_its_fields() {
        let problem = ProblemView::new(422, "Invalid track", "invalid_track", "The track has a field that is wrong.");
        assert!(serde_json::to_value(&problem).unwrap().get("errors").is_none());
        let problem = problem.with_errors(vec![FieldError::new("bpm", "no number")]);
        let expected = json!({
            "type": "about:blank", "title": "Invalid track", "status": 422, "code": "invalid_track",
            "detail": "The track has a field that is wrong.", "errors": [{"field": "bpm", "reason": "no number"}],
        });
        assert_eq!(serde_json::to_value(&problem).unwrap(), expected);
    }
}
