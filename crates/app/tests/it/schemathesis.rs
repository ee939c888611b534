//! The description of the API, held against what the API does.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::program::Data;

/// Failures of the server, and answers that the description does not name or does not describe as they are.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance";

/// Tracks for requests to find; `schemathesis.py` knows the number.
const TRACKS: usize = 60;

#[test]
fn the_api_is_as_described() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    let folder = std::env::var_os("SONIQUEBAY_SCHEMATHESIS").map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| project.join(".cache/schemathesis"));
    assert!(folder.is_dir(), "there is no {}: scripts/schemathesis.sh fetches it", folder.display());

    let data = Data::with_model();
    let catalogue = std::fs::read_to_string(project.join("data/demo-tracks.jsonl")).unwrap();
    let server = data.serve();
    let lines: Vec<&str> = catalogue.lines().take(TRACKS).collect();
    data.run_with_input(&["import", "-"], &lines.join("\n")).expect(0);

    let hooks = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/schemathesis.py");
    let mut schemathesis = Command::new("python3");
    schemathesis
        .args(["-B", "-m", "schemathesis.cli", "run", &format!("http://{}/openapi.json", server.address)])
        // Events never end; their test is in crates/api.
        .args(["--checks", CHECKS, "--exclude-path", "/api/events"])
        .args(["--phases", "examples,coverage,fuzzing", "--max-examples", "40", "--generation-deterministic"])
        .args(["--continue-on-failure", "--request-timeout", "20", "--no-color"])
        .env("PYTHONPATH", &folder)
        .env("SCHEMATHESIS_HOOKS", hooks)
        // It keeps what it found out between runs, in the folder where it is started.
        .current_dir(data.path());
    let output = schemathesis.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    println!("{said}");
    assert_eq!(server.get("/healthz").0, 200);
}
