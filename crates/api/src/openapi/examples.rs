//! What answers look like: an example for each, and for each error.

use serde_json::{Map, Value, json};
use soniquebay_domain::FieldError;

use crate::error::Code;

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
        for response in responses.values_mut() {
            let codes = codes(response["description"].as_str().unwrap_or_default());
            let Some(contents) = response.get_mut("content").and_then(Value::as_object_mut) else { continue };
            for (kind, content) in contents {
                let Some(content) = content.as_object_mut() else { continue };
                let example = match kind.as_str() {
                    "application/problem+json" => {
                        let named =
                            |code: &Code| Some((code.name().to_owned(), json!({"value": problem(*code, &examples)?})));
                        content.insert("examples".to_owned(), codes.iter().filter_map(named).collect());
                        continue;
                    }
                    "application/json" => content.get("schema").and_then(|schema| of_schema(schema, &examples)),
                    _ => examples.get(&id).cloned(),
                };
                if let Some(example) = example {
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

/// The codes that an answer's description names.
fn codes(description: &str) -> Vec<Code> {
    description.split('`').skip(1).step_by(2).filter_map(Code::named).collect()
}

/// A problem of this code: its detail, or the fields that are wrong, are under its name among the examples.
fn problem(code: Code, examples: &Map<String, Value>) -> Option<Value> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let view = match examples.get(code.name())? {
        Value::Array(errors) => {
            let errors = errors.iter().map(|error| FieldError::new(&text(&error["field"]), text(&error["reason"])));
            let errors: Vec<FieldError> = errors.collect();
            code.problem(errors.first()?.to_string(), errors)
        }
        detail => code.problem(text(detail), Vec::new()),
    };
    serde_json::to_value(view).ok()
}
