use std::time::{Duration, Instant};

use serde_json::Value;
use soniquebay_testkit::celery;

/// Longest wait for what must come.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Runs a snippet of Python beside the runtime.
pub async fn python(url: &str, snippet: &str) -> String {
    let (url, snippet) = (url.to_owned(), snippet.to_owned());
    tokio::task::spawn_blocking(move || celery::run(&url, &snippet)).await.unwrap()
}

/// The last line that a snippet prints, as JSON.
pub async fn python_json(url: &str, snippet: &str) -> Value {
    let said = python(url, snippet).await;
    serde_json::from_str(said.lines().last().unwrap()).unwrap_or_else(|error| panic!("{error}: {said}"))
}

/// The `celery` command's answer as JSON.
pub async fn inspect(url: &str, arguments: &[&str]) -> Value {
    let url = url.to_owned();
    let arguments: Vec<String> =
        ["inspect", "-j", "-t", "2"].iter().chain(arguments).map(ToString::to_string).collect();
    let output = tokio::task::spawn_blocking(move || {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        celery::command(&url, &arguments)
    });
    let output = output.await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    serde_json::from_str(said.trim())
        .unwrap_or_else(|error| panic!("{error}: {said}{}", String::from_utf8_lossy(&output.stderr)))
}

/// Waits until `is_so`, which is asked every few milliseconds.
pub async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "{what} does not come");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
