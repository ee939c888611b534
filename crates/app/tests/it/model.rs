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
    assert!(refused.err.contains("soniquebay model pull"), "{}", refused.err);

    data.install_model();
    server.wait_until_vectorized();
    assert_eq!(server.get("/readyz").0, 200);
    assert_eq!(server.get("/api/tracks/1/similar").0, 200);
    assert_eq!(server.get("/api/search?q=icelandic").1["items"][0]["track"]["title"], "Jóga");
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
