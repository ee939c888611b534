//! With no model, and with one that comes later.

use crate::program::Data;

#[test]
fn without_a_model_everything_else_works_and_the_model_is_found_when_it_comes() {
    let data = Data::without_model();
    let server = data.serve();
    assert_eq!(server.post("/api/tracks/", r#"{"title":"Jóga","artist":"Björk"}"#).0, 201);
    assert_eq!(server.get("/healthz").0, 200);
    let (status, ready) = server.get("/readyz");
    assert_eq!((status, &ready["checks"]["model"]["status"]), (503, &"model_missing".into()), "{ready}");
    let (status, problem) = server.get("/api/search?q=slow");
    assert_eq!((status, &problem["code"]), (503, &"model_missing".into()), "{problem}");
    let (status, problem) = server.get("/api/tracks/1/similar");
    assert_eq!((status, &problem["code"]), (409, &"vector_pending".into()), "{problem}");
    assert_eq!(server.get("/api/tracks/search?q=bjork").1[0]["title"], "Jóga", "names are found without a model");
    let refused = data.run(&["search", "slow"]).expect(5);
    let hint = format!("soniquebay --data {} model pull", data.path().display());
    assert!(refused.err.contains(&hint), "the hint names the folder that was asked for: {}", refused.err);

    data.install_model();
    server.wait_until_vectorized();
    assert_eq!(server.get("/readyz").0, 200);
    assert_eq!(server.get("/api/tracks/1/similar").0, 200);
    assert_eq!(server.get("/api/search?q=icelandic").1["items"][0]["track"]["title"], "Jóga");
}

#[test]
fn a_damaged_model_makes_no_vectors() {
    let data = Data::without_model();
    let sound = std::env::var_os("SONIQUEBAY_TEST_MODEL").expect("./check sets SONIQUEBAY_TEST_MODEL");
    let folder = data.path().join("models/all-MiniLM-L6-v2");
    std::fs::create_dir_all(&folder).unwrap();
    for file in ["model.safetensors", "tokenizer.json"] {
        std::fs::copy(std::path::Path::new(&sound).join(file), folder.join(file)).unwrap();
    }
    let import = |title: &str| data.run_with_input(&["import", "-"], &format!("{{\"title\":\"{title}\"}}\n"));
    import("before").expect(0);
    // A few zeros in the middle of the weights: the same length, another model.
    let weights = folder.join("model.safetensors");
    let mut bytes = std::fs::read(&weights).unwrap();
    bytes[60_000_000..60_100_000].fill(0);
    std::fs::write(&weights, bytes).unwrap();
    let refused = import("after").expect(1);
    assert!(refused.err.contains("not the published file") && refused.err.contains("model pull"), "{}", refused.err);
    assert_eq!(data.run(&["model", "list", "--json"]).expect(0).json()[0]["status"], "damaged");
    std::fs::copy(std::path::Path::new(&sound).join("model.safetensors"), &weights).unwrap();
    import("after").expect(0);
    data.run(&["similar", "after"]).expect(0);
}

#[test]
fn an_import_without_a_model_keeps_the_tracks_and_says_what_to_do() {
    let data = Data::without_model();
    let ran = data.run_with_input(&["import", "-"], "{\"title\":\"A\"}\n").expect(5);
    assert!(ran.err.contains("1 created") && ran.err.contains("model pull"), "{}", ran.err);
    data.install_model();
    data.run_with_input(&["import", "-"], "{\"title\":\"A\"}\n").expect(0);
    data.run(&["similar", "A"]).expect(0);
}
