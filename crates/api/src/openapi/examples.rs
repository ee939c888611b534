//! What answers look like: an example for each, and for each error.

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

/// An example of each view, by the name of its schema; of what is text, by the operation's.
const EXAMPLES: &str = include_str!("examples.json");

/// Adds an example to every answer that has a body.
///
/// # Errors
/// Where the examples are no JSON.
pub(super) fn add(description: &mut Value) -> Result<(), serde_json::Error> {
    let examples: Map<String, Value> = serde_json::from_str(EXAMPLES)?;
    let paths = description["paths"].as_object_mut().into_iter().flat_map(Map::values_mut);
    for operation in paths.filter_map(Value::as_object_mut).flat_map(Map::values_mut) {
        let id = operation["operationId"].as_str().unwrap_or_default().to_owned();
        let Some(responses) = operation["responses"].as_object_mut() else { continue };
        for (status, response) in responses {
            let problem = problem(status, response["description"].as_str().unwrap_or_default());
            let Some(contents) = response.get_mut("content").and_then(Value::as_object_mut) else { continue };
            for (kind, content) in contents {
                let example = match kind.as_str() {
                    "application/problem+json" => Some(problem.clone()),
                    "application/json" => of_schema(&content["schema"], &examples),
                    _ => examples.get(&id).cloned(),
                };
                if let (Some(example), Some(content)) = (example, content.as_object_mut()) {
                    content.entry("example").or_insert(example);
                }
            }
        }
    }
    Ok(())
}

fn of_schema(schema: &Value, examples: &Map<String, Value>) -> Option<Value> {
    if let Some(reference) = schema["$ref"].as_str() {
        return examples.get(reference.rsplit('/').next()?).cloned();
    }
    Some(json!([of_schema(schema.get("items")?, examples)?]))
}

/// A problem of the first code that the answer's description names.
fn problem(status: &str, description: &str) -> Value {
    let code = description.split('`').nth(1).unwrap_or("unavailable");
    let number: u16 = status.parse().unwrap_or(500);
    let title = StatusCode::from_u16(number).ok().and_then(|status| status.canonical_reason()).unwrap_or("Error");
    json!({"type": "about:blank", "title": title, "status": number, "code": code, "detail": "What is wrong, and what to do."})
}
