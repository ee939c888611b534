//! Whatever lies in the queue is read or refused with a reason, and what was read can be written again.

use soniquebay_domain::{Space, Timestamp};
use soniquebay_testkit::mutate::{cases, inputs};

use super::message::Message;
use super::task;

const MESSAGES: [&str; 4] = [
    r#"{"body":"W1sxMjMsIHsiYXJ0aXN0IjogIkJqXHUwMGY2cmsifV0sIHt9LCB7ImNhbGxiYWNrcyI6IG51bGwsICJlcnJiYWNrcyI6IG51bGwsICJjaGFpbiI6IG51bGwsICJjaG9yZCI6IG51bGx9XQ==","content-encoding":"utf-8","content-type":"application/json","headers":{"lang":"py","task":"calculate_vector","id":"7499f6c4-4ddb-45f1-951b-dfb6007aced8","shadow":null,"eta":null,"expires":null,"group":null,"retries":0,"timelimit":[null,null],"root_id":"7499f6c4","parent_id":null,"argsrepr":"[123]","kwargsrepr":"{}","origin":"gen8846@vm"},"properties":{"correlation_id":"7499f6c4","reply_to":"16599488","delivery_mode":2,"delivery_info":{"exchange":"","routing_key":"vectorization"},"priority":5,"body_encoding":"base64","delivery_tag":"8c584650"}}"#,
    r#"{"body":"[[], {\"track_id\": \"7\", \"metadata\": {\"bpm\": NaN, \"genres\": [\"a\"]}}, {}]","content-encoding":"utf-8","content-type":"application/json","headers":{"task":"vectorization.calculate","id":"a-1","eta":"2026-11-26T12:00:00.5+02:00","expires":"2026-11-27T12:00:00","retries":3,"timelimit":[null,60.5]},"properties":{"delivery_info":{"exchange":"vectorization","routing_key":"vectorization"},"priority":9,"body_encoding":null,"delivery_tag":"b"}}"#,
    r#"{"body":"eyJ0YXNrIjogImNhbGN1bGF0ZV92ZWN0b3JfaWZfbmVlZGVkIiwgImlkIjogIm9uZSIsICJhcmdzIjogWzVdLCAia3dhcmdzIjoge30sICJyZXRyaWVzIjogMX0=","content-encoding":"utf-8","content-type":"application/json","headers":{},"properties":{"correlation_id":"one","delivery_info":{"priority":0},"body_encoding":"base64","delivery_tag":"c"}}"#,
    r#"{"body":"[[1], {}, {\"callbacks\": [{\"task\": \"x\", \"args\": []}], \"chord\": null}]","content-encoding":"utf-8","content-type":"application/json","headers":{"task":"calculate_vector","id":"d","compression":"application/x-gzip","group":"g","ignore_result":true},"properties":{"body_encoding":null,"redelivered":true}}"#,
];

#[test]
fn fuzz_celery_messages() {
    let space = Space::external(3).unwrap();
    let (count, mut accepted) = (cases(5_000), 0);
    for input in inputs(&MESSAGES, count) {
        let message = match Message::read(&input) {
            Ok(message) => message,
            Err(_) => continue,
        };
        let job = task::read(&message, &space, 5);
        accepted += usize::from(job.is_ok());
        // Each way back into the queue: whatever was read can be read again, as the same task.
        for again in [message.waiting_for("x"), message.tried_again(Timestamp(1), "x"), message.afresh()] {
            let again = Message::read(&again).unwrap_or_else(|_| panic!("what was written cannot be read"));
            assert_eq!(again.id, message.id);
        }
    }
    println!("celery messages: {count} cases, {accepted} accepted, no panic");
    assert!(accepted * 50 > count && accepted < count, "{accepted} of {count}");
}
