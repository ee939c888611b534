//! What comes after a task: callbacks, errbacks, the rest of a chain.

use serde_json::{Map, Value, json};

use super::keys::Keys;
use super::message::{Draft, Message, read_id};

/// Queue of signatures that name none, as Celery has it.
const DEFAULT_QUEUE: &str = "celery";

/// Most signatures that one task may bring along.
const MOST: usize = 64;

/// What is sent when a task succeeded: list and message of each.
pub(super) fn after_success(message: &Message, result: &Value, keys: &Keys) -> Vec<(String, Vec<u8>)> {
    let callbacks = message.signatures("callbacks").iter().map(|signature| (signature, &[][..]));
    // The chain is written backwards: its last link comes next and takes the others along.
    let next = message.signatures("chain").split_last();
    let all = callbacks.chain(next).take(MOST);
    all.filter_map(|(signature, rest)| send(signature, std::slice::from_ref(result), rest, message, keys)).collect()
}

/// What is sent when a task failed: an errback that is run elsewhere gets the task's id.
pub(super) fn after_failure(message: &Message, keys: &Keys) -> Vec<(String, Vec<u8>)> {
    let id = json!(&*message.id);
    let errbacks = message.signatures("errbacks").iter().take(MOST);
    errbacks.filter_map(|signature| send(signature, std::slice::from_ref(&id), &[], message, keys)).collect()
}

/// Tasks that will never run because one before them failed.
pub(super) fn never_run(message: &Message) -> Vec<String> {
    let links = message.signatures("chain").iter().take(MOST);
    links.filter_map(|link| read_id(link.get("options")?.get("task_id")?)).collect()
}

fn send(signature: &Value, given: &[Value], rest: &[Value], from: &Message, keys: &Keys) -> Option<(String, Vec<u8>)> {
    let task = signature.get("task")?.as_str()?;
    let options = signature.get("options").and_then(Value::as_object).cloned().unwrap_or_default();
    let option = |name: &str| options.get(name).filter(|value| !value.is_null());
    let mut args = signature.get("args").and_then(Value::as_array).cloned().unwrap_or_default();
    if signature.get("immutable") != Some(&Value::Bool(true)) {
        args.splice(0..0, given.iter().cloned());
    }
    let id = option("task_id").and_then(read_id).unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    let queue = option("queue").or_else(|| option("routing_key")).and_then(Value::as_str).unwrap_or(DEFAULT_QUEUE);
    let priority = option("priority").and_then(Value::as_i64).unwrap_or(0);
    let listed = |name: &str| option(name).cloned().unwrap_or_default();
    let chain = if rest.is_empty() { listed("chain") } else { json!(rest) };
    let draft = Draft {
        id: &id,
        task,
        args: Value::Array(args),
        kwargs: signature.get("kwargs").filter(|kwargs| kwargs.is_object()).cloned().unwrap_or_else(|| json!({})),
        embed: json!({
            "callbacks": listed("link"), "errbacks": listed("link_error"), "chain": chain, "chord": listed("chord"),
        }),
        retries: 0,
        eta: None,
        expires: None,
        priority,
        queue,
        root_id: from.root_id.as_deref().or(Some(&from.id)),
        headers: Map::from_iter([("parent_id".to_owned(), json!(&*from.id))]),
    };
    Some((keys.list_of(queue, priority), draft.envelope().to_raw()))
}
