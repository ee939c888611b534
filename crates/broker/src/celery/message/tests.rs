use proptest::prelude::*;
use serde_json::{Map, Value, json};
use soniquebay_domain::Timestamp;

use super::{Draft, Message, REASON, SPACE, id_at_end, read_moment, read_track, write_moment};

/// What `send_task('calculate_vector', args=[123, {'artist': 'Björk'}], queue='vectorization', priority=5)` pushes.
const CAPTURE: &str = r#"{"body":"W1sxMjMsIHsiYXJ0aXN0IjogIkJqXHUwMGY2cmsifV0sIHt9LCB7ImNhbGxiYWNrcyI6IG51bGwsICJlcnJiYWNrcyI6IG51bGwsICJjaGFpbiI6IG51bGwsICJjaG9yZCI6IG51bGx9XQ==",
 "content-encoding":"utf-8","content-type":"application/json",
 "headers":{"lang":"py","task":"calculate_vector","id":"7499f6c4-4ddb-45f1-951b-dfb6007aced8","shadow":null,"eta":null,"expires":null,
  "group":null,"group_index":null,"retries":0,"timelimit":[null,null],"root_id":"7499f6c4-4ddb-45f1-951b-dfb6007aced8","parent_id":null,
  "argsrepr":"[123, {'artist': 'Bj\u00f6rk'}]","kwargsrepr":"{}","origin":"gen8846@vm","ignore_result":null,
  "replaced_task_nesting":0,"stamped_headers":null,"stamps":{}},
 "properties":{"correlation_id":"7499f6c4-4ddb-45f1-951b-dfb6007aced8","reply_to":"16599488-dd9b-4a4e-b4d5-0c1f0f6d9c0e","delivery_mode":2,
  "delivery_info":{"exchange":"","routing_key":"vectorization"},"priority":5,"body_encoding":"base64","delivery_tag":"8c584650-0349-4b53-a3ec-6a3a5ba86c0c"}}"#;

fn capture() -> Value {
    serde_json::from_str(CAPTURE).unwrap()
}

fn read(message: &Value) -> Message {
    Message::read(message.to_string().as_bytes()).unwrap()
}

#[test]
fn a_real_message_is_read() {
    let message = Message::read(CAPTURE.as_bytes()).unwrap();
    assert_eq!((&*message.id, message.task.as_str()), ("7499f6c4-4ddb-45f1-951b-dfb6007aced8", "calculate_vector"));
    assert_eq!(message.args, [json!(123), json!({"artist": "Björk"})]);
    assert_eq!((message.retries, message.eta, message.expires, message.envelope.priority()), (0, None, None, 5));
    assert!(!message.is_in_chord() && !message.ignores_result && message.space().is_none());
}

#[test]
fn bodies_may_be_plain_or_packed() {
    let body = r#"[[], {"track_id": "7", "metadata": {"bpm": NaN}}, {}]"#;
    let mut plain = capture();
    plain["body"] = json!(body);
    for encoding in [json!("utf-8"), Value::Null] {
        plain["properties"]["body_encoding"] = encoding;
        assert_eq!(read(&plain).kwargs["metadata"], json!({"bpm": null}));
    }
    let mut packed = capture();
    let zlib = miniz_oxide::deflate::compress_to_vec_zlib(body.as_bytes(), 6);
    packed["body"] = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, zlib).into();
    packed["headers"]["compression"] = json!("application/x-gzip");
    assert_eq!(read_track(&read(&packed).kwargs["track_id"]).map(|id| id.get()), Some(7));
}

#[test]
fn protocol_1_is_read_and_tried_again_as_2() {
    let body = json!({"task": "calculate_vector_if_needed", "id": "one", "args": [5], "kwargs": {}, "retries": 1,
                      "eta": "2026-11-20T12:08:40", "expires": null, "utc": true, "timelimit": [null, null], "taskset": "g"});
    let mut old = capture();
    old["headers"] = json!({});
    old["body"] = body.to_string().into();
    old["properties"]["body_encoding"] = json!("utf-8");
    let message = read(&old);
    assert_eq!((message.task.as_str(), message.retries), ("calculate_vector_if_needed", 1));
    assert_eq!(message.group_id.as_deref(), Some("g"));
    assert_eq!(message.eta, Some(Timestamp(1_795_176_520_000)));
    let again = Message::read(&message.tried_again(Timestamp(1_795_176_530_500), "busy")).unwrap();
    assert_eq!((&*again.id, again.retries, &again.args), ("one", 2, &message.args));
    assert_eq!(again.eta, Some(Timestamp(1_795_176_530_500)));
    assert_eq!(again.envelope.header(REASON), "busy");
    assert_eq!(again.parent_id.as_deref(), Some("one"));
    assert_ne!(again.envelope.property("delivery_tag"), message.envelope.property("delivery_tag"));
    let fresh = Message::read(&again.afresh()).unwrap();
    assert_eq!((&*fresh.id, fresh.retries, fresh.eta, fresh.envelope.priority()), ("one", 0, None, 5));
}

#[test]
fn what_is_written_is_what_kombu_needs() {
    let headers = Map::from_iter([(SPACE.to_owned(), json!("m/4"))]);
    let draft = Draft {
        id: "a",
        task: "calculate_vector",
        args: json!([1, {"title": "Jóga"}]),
        kwargs: json!({}),
        embed: json!({}),
        retries: 0,
        eta: None,
        expires: None,
        priority: 3,
        queue: "vectorization",
        root_id: None,
        headers,
    };
    let raw = draft.envelope().to_raw();
    let written: Value = serde_json::from_slice(&raw).unwrap();
    for (part, name) in
        [("properties", "delivery_tag"), ("properties", "delivery_info"), ("headers", "task"), ("headers", "id")]
    {
        assert!(!written[part][name].is_null(), "{part} {name}");
    }
    assert_eq!(written["properties"]["delivery_info"], json!({"exchange": "", "routing_key": "vectorization"}));
    assert_eq!((&written["content-type"], &written["content-encoding"]), (&json!("application/json"), &json!("utf-8")));
    assert_eq!(written["headers"]["argsrepr"], "[1, {'title': 'Jóga'}]");
    let message = Message::read(&raw).unwrap();
    assert_eq!((message.space(), message.root_id.as_deref()), (Some("m/4"), Some("a")));
    let snoozed = Message::read(&message.waiting_for("Ollama is away")).unwrap();
    assert_eq!((snoozed.retries, snoozed.envelope.header(REASON)), (0, &json!("Ollama is away")));
    assert_eq!(snoozed.envelope.property("delivery_tag"), message.envelope.property("delivery_tag"));
}

#[test]
fn what_cannot_be_done_is_refused_with_its_reason() {
    let cases: [(&str, Value, &str); 9] = [
        ("/content-type", json!("application/x-python-serialize"), "ContentDisallowed"),
        ("/content-type", Value::Null, "ContentDisallowed"),
        ("/body", json!("!"), "DecodeError"),
        ("/body", json!("bm90IGpzb24="), "DecodeError"),
        ("/body", json!("e30="), "InvalidTaskError"),
        ("/body", json!("W1s="), "DecodeError"),
        ("/body", Value::Null, "DecodeError"),
        ("/headers/task", json!(7), "InvalidTaskError"),
        ("/headers/eta", json!("tomorrow"), "InvalidTaskError"),
    ];
    for (pointer, value, kind) in cases {
        let mut message = capture();
        *message.pointer_mut(pointer).unwrap() = value;
        let refusal = Message::read(message.to_string().as_bytes()).unwrap_err();
        assert_eq!((refusal.failure.kind, refusal.id.is_some()), (kind, true), "{pointer}");
    }
    for raw in ["not json", "{}", "[]", "\"x\"", "{\"headers\": 3}", "{\"body\": []}"] {
        assert_eq!(Message::read(raw.as_bytes()).unwrap_err().id, None, "{raw}");
    }
    let mut nameless = capture();
    nameless["headers"]["id"] = json!("x".repeat(300));
    assert!(Message::read(nameless.to_string().as_bytes()).is_err());
}

#[test]
fn a_message_that_is_too_long_still_tells_whose_it_is() {
    let long = CAPTURE.replace("W1sx", &"A".repeat(5_000_000));
    let refusal = Message::read(long.as_bytes()).unwrap_err();
    assert_eq!(refusal.id.as_deref(), Some("7499f6c4-4ddb-45f1-951b-dfb6007aced8"));
    assert!(refusal.failure.text().contains("at most 262144"), "{refusal:?}");
    assert_eq!(id_at_end(b"x"), None);
}

#[test]
fn moments_are_pythons() {
    let moment = Timestamp(1_795_176_520_468);
    assert_eq!(write_moment(moment), "2026-11-20T12:08:40.468000+00:00");
    for text in ["2026-11-20T12:08:40.468222+00:00", "2026-11-20T12:08:40.468222", "2026-11-20T13:08:40.468222+01:00"] {
        assert_eq!(read_moment(&json!(text)), Some(moment), "{text}");
    }
    for value in [json!("soon"), json!(12), json!(""), json!("2026-99-20T12:08:40")] {
        assert_eq!(read_moment(&value), None);
    }
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(at in 0..CAPTURE.len(), to in prop::collection::vec(any::<u8>(), 0..4), raw in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Message::read(&raw);
        let mut spoilt = CAPTURE.as_bytes().to_vec();
        spoilt.splice(at..(at + to.len()).min(CAPTURE.len()), to);
        let _ = Message::read(&spoilt);
    }

    #[test]
    fn any_body_is_answered(body in "[\\[\\]{}\",:a-z0-9 ]{0,60}", header in "\\PC{0,20}") {
        let mut message = capture();
        message["body"] = body.into();
        message["properties"]["body_encoding"] = json!("utf-8");
        for name in ["retries", "timelimit", "eta", "ignore_result", "root_id"] {
            message["headers"][name] = json!([header, {"x": header}]);
            let _ = Message::read(message.to_string().as_bytes());
        }
    }
}
