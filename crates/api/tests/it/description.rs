use std::collections::HashSet;

use axum::http::StatusCode;
use serde_json::Value;

use crate::app::App;

const ROUTES: [(&str, &str); 29] = [
    ("/api/tracks", "get post"),
    ("/api/tracks/batch", "post"),
    ("/api/tracks/search", "get"),
    ("/api/tracks/{id}", "delete get patch put"),
    ("/api/tracks/{id}/features", "put"),
    ("/api/tracks/{id}/similar", "get"),
    ("/api/tracks/{id}/audio", "get"),
    ("/api/tracks/{id}/analysis", "put"),
    ("/api/analysis", "get"),
    ("/api/analysis/pause", "post"),
    ("/api/analysis/resume", "post"),
    ("/api/analysis/audio/{hash}", "get"),
    ("/api/track-vectors", "get post"),
    ("/api/track-vectors/batch", "post"),
    ("/api/track-vectors/search", "post"),
    ("/api/track-vectors/{track_id}", "delete get"),
    ("/api/similar", "post"),
    ("/api/search", "get"),
    ("/api/spaces", "delete get"),
    ("/api/stats", "get"),
    ("/api/jobs", "get"),
    ("/api/jobs/retry", "post"),
    ("/api/jobs/{id}", "get"),
    ("/api/jobs/{id}/retry", "post"),
    ("/api/jobs/{id}/cancel", "post"),
    ("/api/events", "get"),
    ("/healthz", "get"),
    ("/readyz", "get"),
    ("/metrics", "get"),
];

#[tokio::test]
async fn every_route_is_described() {
    let app = App::new().await;
    let description = app.get("/openapi.json").await.json();
    let paths = description["paths"].as_object().unwrap();
    let mut ids = HashSet::new();
    for (path, methods) in ROUTES {
        let item = paths.get(path).unwrap_or_else(|| panic!("{path} is not described")).as_object().unwrap();
        let mut found: Vec<&str> = item.keys().map(String::as_str).collect();
        found.sort_unstable();
        assert_eq!(found.join(" "), methods, "{path}");
        for (method, operation) in item {
            let id = operation["operationId"].as_str().unwrap();
            assert!(id.contains('_') && ids.insert(id.to_owned()), "{method} {path}: {id}");
            assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{id} has no summary");
            assert!(operation["responses"]["500"].is_object(), "{id} names no errors");
            if operation.get("requestBody").is_some() {
                assert!(operation["responses"]["413"].is_object(), "{id}: too large a body");
            }
        }
    }
    assert_eq!(paths.len(), ROUTES.len());
    assert_eq!(description["info"]["version"], "0.0.0-test");
    let text = description.to_string();
    for reference in text.split("\"#/components/schemas/").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(description["components"]["schemas"][reference].is_object(), "{reference} is not described");
    }
}

/// Whether an example has what its schema asks for and nothing that it does not know.
fn check_example(description: &Value, schema: &Value, example: &Value, place: &str) {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap();
        return check_example(description, &description["components"]["schemas"][name], example, place);
    }
    if let Some(forms) = schema["oneOf"].as_array() {
        let of_kind = |kind: &str| forms.iter().find(|form| form["type"] == kind || form.get("$ref").is_some());
        let kind = if example.is_array() { "array" } else { "object" };
        return of_kind(kind).map_or((), |form| check_example(description, form, example, place));
    }
    if let (Some(items), Some(examples)) = (schema.get("items"), example.as_array()) {
        for (index, example) in examples.iter().enumerate() {
            check_example(description, items, example, &format!("{place}[{index}]"));
        }
    }
    if let (Some(known), Some(members)) = (schema["properties"].as_object(), example.as_object()) {
        for (name, member) in members {
            let of = known.get(name).unwrap_or_else(|| panic!("{place}.{name} is not described"));
            check_example(description, of, member, &format!("{place}.{name}"));
        }
        for name in schema["required"].as_array().into_iter().flatten() {
            assert!(members.contains_key(name.as_str().unwrap()), "{place} lacks {name}");
        }
    }
}

/// Whether each code that a description names has an example of its own.
fn check_problems(description: &Value, response: &Value, content: &Value, status: &str, place: &str) {
    let examples = content["examples"].as_object().unwrap_or_else(|| panic!("{place}: no examples"));
    assert!(!examples.is_empty(), "{place}: no examples");
    for code in response["description"].as_str().unwrap().split('`').skip(1).step_by(2) {
        // Some are names of an answer's members.
        let is_member = ["state", "spaces", "index"].contains(&code);
        assert!(examples.contains_key(code) || is_member, "{place}: no example of {code}");
    }
    for (code, example) in examples {
        let problem = &example["value"];
        check_example(description, &content["schema"], problem, place);
        assert_eq!((problem["code"].as_str(), problem["status"].to_string().as_str()), (Some(code.as_str()), status));
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{place}: {problem}");
    }
}

#[tokio::test]
async fn every_operation_shows_examples_and_its_errors() {
    let description = App::new().await.get("/openapi.json").await.json();
    for (path, item) in description["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let place = format!("{method} {path}");
            for (kind, content) in operation["requestBody"]["content"].as_object().into_iter().flatten() {
                let schema = &content["schema"];
                let name = schema["$ref"].as_str().or(schema["items"]["$ref"].as_str()).unwrap_or_default();
                let shared = &description["components"]["schemas"][name.rsplit('/').next().unwrap()]["example"];
                assert!(content.get("example").is_some() || !shared.is_null(), "{place}: no example of {kind}");
            }
            let responses = operation["responses"].as_object().unwrap();
            assert!(responses.keys().any(|status| status.starts_with('2')), "{place}: no answer");
            assert!(responses.keys().any(|status| status.starts_with('4')), "{place}: no error");
            for (status, response) in responses {
                assert!(response["description"].as_str().is_some_and(|text| !text.is_empty()), "{place} {status}");
                let contents = response["content"].as_object().into_iter().flatten();
                // Of an audio file there is nothing to show.
                for (kind, content) in contents.filter(|(kind, _)| !kind.starts_with("audio/")) {
                    let place = format!("{place} {status}");
                    if kind == "application/problem+json" {
                        check_problems(&description, response, content, status, &place);
                        continue;
                    }
                    let example = content.get("example").unwrap_or_else(|| panic!("{place}: no example of {kind}"));
                    check_example(&description, &content["schema"], example, &place);
                }
            }
        }
    }
}

#[tokio::test]
async fn bounds_and_both_forms_of_lists_are_described() {
    let description = App::new().await.get("/openapi.json").await.json();
    let schema = |path: &str, name: &str| -> Value {
        let parameters = description["paths"][path]["get"]["parameters"].as_array().unwrap().iter();
        parameters.clone().find(|one| one["name"] == name).unwrap_or_else(|| panic!("{path} {name}"))["schema"].clone()
    };
    for (path, most) in
        [("/api/tracks", 1000), ("/api/track-vectors", 1000), ("/api/search", 1000), ("/api/tracks/search", 1000)]
    {
        let limit = schema(path, "limit");
        assert_eq!((&limit["minimum"], &limit["maximum"]), (&1.into(), &most.into()), "{path}");
    }
    assert_eq!(schema("/api/tracks/{id}", "id")["minimum"], 1);
    assert_eq!(schema("/api/tracks", "after")["minimum"], 0);
    assert!(schema("/api/search", "year_min")["type"].to_string().contains("number"));
    for list in ["TrackList", "VectorList"] {
        let forms = &description["components"]["schemas"][list]["oneOf"];
        assert_eq!((&forms[0]["type"], &forms[1]["type"]), (&"array".into(), &"object".into()), "{list}");
        assert!(forms[0]["items"]["properties"]["content_hash"].is_object() && forms[0]["items"]["required"].is_null());
    }
    for operation in
        description["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values())
    {
        assert!(operation["responses"]["403"].is_object(), "{operation}");
    }
}

#[tokio::test]
async fn the_docs_need_no_internet() {
    let app = App::new().await;
    assert_eq!(app.get("/docs").await.status, StatusCode::SEE_OTHER);
    let page = app.get("/docs/").await;
    assert_eq!(page.status, StatusCode::OK);
    let initializer = app.get("/docs/swagger-initializer.js").await.text();
    assert!(initializer.contains("/openapi.json"), "{initializer}");
    for text in [page.text(), initializer] {
        assert!(!text.contains("http://") && !text.contains("https://"), "{text}");
    }
    assert!(page.header("content-security-policy").starts_with("default-src 'self'"));
    for part in page.text().split("./").skip(1).filter_map(|rest| rest.split('"').next()) {
        let answer = app.get(&format!("/docs/{part}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{part}");
    }
}
