//! What a worker asks the others when it begins: which tasks nobody wants any more.

use std::time::Duration;

use serde_json::{Map, Value, json};
use soniquebay_domain::StoreError;
use tokio::time::sleep;

use super::super::envelope::Envelope;
use super::super::queue::Inner;
use super::control::{REPLIES, learn};

/// How long the others have for an answer, as Celery's own workers give them.
const PATIENCE: Duration = Duration::from_secs(1);

/// Answers that are read.
const MOST: usize = 256;

/// Asks all workers and takes on what they know.
pub(super) async fn mingle(inner: &Inner) {
    let name = uuid::Uuid::new_v4().to_string();
    let keys = &inner.redis.keys;
    let queue = format!("{name}.{REPLIES}");
    let (binding, list) = (keys.binding(&name, &queue), keys.list_of(&queue, 0));
    let asked = ask(inner, &name, &binding).await;
    sleep(PATIENCE).await;
    let mut commands = redis::pipe();
    commands.lrange(&list, 0, MOST as isize - 1).del(&list).ignore().srem(keys.bindings(REPLIES), &binding).ignore();
    let answers: Result<(Vec<Vec<u8>>,), StoreError> = match asked {
        Ok(()) => inner.redis.ask_all(&commands).await,
        Err(error) => Err(error),
    };
    match answers {
        Ok((answers,)) => answers.iter().for_each(|answer| read(inner, answer)),
        Err(error) => tracing::debug!(%error, "other workers were not asked for what is revoked"),
    }
}

async fn ask(inner: &Inner, name: &str, binding: &str) -> Result<(), StoreError> {
    let keys = &inner.redis.keys;
    let body = json!({
        "method": "hello",
        "arguments": {"from_node": inner.config.node, "revoked": inner.watch.revoked_ids()},
        "destination": null,
        "pattern": null,
        "matcher": null,
        "ticket": uuid::Uuid::new_v4().to_string(),
        "reply_to": {"exchange": REPLIES, "routing_key": name},
    });
    let expires = inner.clock.now().after(2 * PATIENCE).seconds();
    let headers =
        Map::from_iter([("clock".to_owned(), json!(inner.watch.tick())), ("expires".to_owned(), json!(expires))]);
    let properties = Map::from_iter([
        ("delivery_mode".to_owned(), json!(2)),
        ("delivery_info".to_owned(), json!({"exchange": "celery.pidbox", "routing_key": ""})),
        ("priority".to_owned(), json!(0)),
    ]);
    let request = Envelope::new(&body, headers, properties).to_raw();
    let mut commands = redis::pipe();
    commands.sadd(keys.bindings(REPLIES), binding).ignore();
    commands.cmd("PUBLISH").arg(keys.control()).arg(request).ignore();
    inner.redis.ask_all(&commands).await
}

fn read(inner: &Inner, answer: &[u8]) {
    let Ok(envelope) = Envelope::parse(answer) else { return };
    inner.watch.witness(envelope.header("clock").as_u64().unwrap_or(0));
    let Ok(Value::Object(answers)) = envelope.body() else { return };
    for (node, answer) in answers {
        tracing::debug!(node, "a worker told what is revoked");
        learn(inner, answer.get("revoked"));
    }
}
