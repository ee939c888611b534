//! Remote control: what `celery inspect` and `celery control` ask for.

use serde_json::{Map, Value, json};
use soniquebay_domain::{StoreError, Timestamp};

use super::super::envelope::Envelope;
use super::super::keys::read_binding;
use super::super::message::{Message, read_id, write_moment};
use super::super::queue::{Claim, Ending, Inner};
use super::super::task::NAMES;
use super::Queues;

/// Exchange that answers go through.
pub(super) const REPLIES: &str = "reply.celery.pidbox";

/// How long an answer waits for whoever asked and went away (s).
const EXPIRY: i64 = 60;

/// Revoked tasks of one request that are looked for where they wait; the others end when they are claimed.
const MOST_WITHDRAWN: usize = 16;

/// Entries of a long answer.
const MOST: usize = 1000;

/// Answers one request, if it is for this node.
pub(super) async fn handle(queues: Queues<'_>, raw: &[u8]) {
    let inner = queues.first;
    let Ok(envelope) = Envelope::parse(raw) else { return };
    inner.watch.witness(envelope.header("clock").as_u64().unwrap_or(0));
    let expires = envelope.header("expires").as_f64().unwrap_or(0.0);
    if expires > 0.0 && expires < inner.clock.now().seconds() {
        return;
    }
    let Ok(request) = envelope.body() else { return };
    if !is_meant(&request, &inner.config.node) {
        return;
    }
    let method = request.get("method").and_then(Value::as_str).unwrap_or_default();
    let no_arguments = Map::new();
    let arguments = request.get("arguments").and_then(Value::as_object).unwrap_or(&no_arguments);
    let answer = match answer(queues, method, arguments).await {
        Ok(answer) => answer,
        Err(error) => json!({"error": error.to_string()}),
    };
    if let Some(to) = request.get("reply_to").and_then(|to| to.get("routing_key")).and_then(Value::as_str)
        && let Err(error) = reply(inner, to, request.get("ticket"), answer).await
    {
        tracing::debug!(%error, method, "an answer to remote control was not sent");
    }
    if method == "revoke" {
        // After the answer: it looks through the lists.
        for id in ids(arguments.get("task_id")).iter().take(MOST_WITHDRAWN) {
            for queue in queues.all() {
                if let Err(error) = queue.revoke_waiting(id).await {
                    tracing::debug!(%error, "a revoked task is ended when it is claimed");
                }
            }
        }
    }
}

/// Whether a request names this node: in a list, by a pattern, or not at all, which means everybody.
fn is_meant(request: &Value, node: &str) -> bool {
    let text = |name: &str| request.get(name).and_then(Value::as_str);
    match request.get("destination") {
        Some(Value::Array(nodes)) => nodes.iter().any(|name| name == node),
        Some(Value::String(name)) => name == node,
        _ => match (text("pattern"), text("matcher")) {
            (Some(pattern), Some("glob")) => is_like(pattern.as_bytes(), node.as_bytes()),
            (Some(_), Some(_)) => false,
            _ => true,
        },
    }
}

/// Whether `text` is like a pattern with `*` and `?`.
fn is_like(pattern: &[u8], text: &[u8]) -> bool {
    // Where to go on after the last `*`, which then takes one more character.
    let (mut at, mut seen, mut star) = (0, 0, None);
    while seen < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at + 1, seen));
                at += 1;
            }
            Some(one) if *one == b'?' || *one == text[seen] => {
                at += 1;
                seen += 1;
            }
            _ => match star {
                Some((after, from)) => {
                    at = after;
                    seen = from + 1;
                    star = Some((after, from + 1));
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|one| *one == b'*')
}

async fn answer(queues: Queues<'_>, method: &str, arguments: &Map<String, Value>) -> Result<Value, StoreError> {
    let inner = queues.first;
    let watch = &inner.watch;
    Ok(match method {
        "ping" => json!({"ok": "pong"}),
        "registered" | "dump_tasks" => json!(NAMES),
        "active" | "dump_active" => queues
            .all()
            .flat_map(|queue| queue.claims.all().into_iter().map(move |claim| running(queue, &claim)))
            .collect(),
        // What is claimed is at work: nothing is held in reserve.
        "reserved" | "dump_reserved" => json!([]),
        "scheduled" | "dump_schedule" => {
            let mut all = Vec::new();
            for queue in queues.all() {
                let scheduled = queue.scheduled(MOST).await?;
                all.extend(scheduled.iter().map(|(due, message)| waiting(queue, *due, message)));
            }
            Value::Array(all)
        }
        "stats" => stats(queues),
        "active_queues" => queues.all().map(|one| queue(&one.config.queue)).collect(),
        "revoked" | "dump_revoked" => json!(watch.revoked_ids()),
        "clock" => json!({"clock": watch.tick()}),
        "conf" | "dump_conf" => json!({
            "task_default_queue": inner.config.queue,
            "task_acks_late": true,
            "result_expires": inner.config.result_expiry.as_secs(),
        }),
        "report" => json!({"ok": format!("soniquebay {}", env!("CARGO_PKG_VERSION"))}),
        "query_task" => query(queues, &ids(arguments.get("ids"))).await?,
        "revoke" => revoke(queues, arguments).await?,
        "hello" => hello(inner, arguments),
        "enable_events" => {
            let done = if watch.tell_tasks(true) { "task events enabled" } else { "task events already enabled" };
            json!({"ok": done})
        }
        "disable_events" => {
            let done = if watch.tell_tasks(false) { "task events disabled" } else { "task events already disabled" };
            json!({"ok": done})
        }
        "heartbeat" => Value::Null,
        "add_consumer" | "cancel_consumer" | "pool_grow" | "pool_shrink" | "pool_restart" | "autoscale"
        | "rate_limit" | "time_limit" | "shutdown" => {
            json!({"error": format!("{method}: this worker is set up where it was started, not from here")})
        }
        unknown => json!({"error": format!("KeyError('{}')", unknown.chars().take(64).collect::<String>())}),
    })
}

fn ids(given: Option<&Value>) -> Vec<String> {
    match given {
        Some(Value::Array(ids)) => ids.iter().filter_map(read_id).take(MOST).collect(),
        Some(id) => read_id(id).into_iter().collect(),
        None => Vec::new(),
    }
}

fn request(inner: &Inner, message: &Message, since: Option<Timestamp>) -> Value {
    json!({
        "id": &*message.id,
        "name": message.task,
        "type": message.task,
        "args": message.args,
        "kwargs": message.kwargs,
        "hostname": inner.config.node,
        "time_start": since.map(Timestamp::seconds),
        "acknowledged": false,
        "delivery_info": {
            "exchange": "",
            "routing_key": inner.config.queue,
            "priority": message.envelope.priority(),
            "redelivered": message.envelope.is_redelivered(),
        },
        "worker_pid": std::process::id(),
    })
}

fn running(inner: &Inner, claim: &Claim) -> Value {
    request(inner, &claim.message, Some(claim.since))
}

fn waiting(inner: &Inner, due: Timestamp, message: &Message) -> Value {
    json!({
        "eta": write_moment(due),
        "priority": message.envelope.priority(),
        "request": request(inner, message, None),
    })
}

fn queue(name: &str) -> Value {
    json!({
        "name": name,
        "exchange": {"name": name, "type": "direct", "durable": true, "auto_delete": false},
        "routing_key": name,
        "durable": true,
        "exclusive": false,
        "auto_delete": false,
        "no_ack": false,
    })
}

fn stats(queues: Queues<'_>) -> Value {
    let inner = queues.first;
    let pid = std::process::id();
    let (host, port) = match inner.config.broker.addr() {
        redis::ConnectionAddr::Tcp(host, port) => (host.clone(), *port),
        redis::ConnectionAddr::TcpTls { host, port, .. } => (host.clone(), *port),
        _ => (String::new(), 0),
    };
    json!({
        "total": inner.watch.totals(),
        "pid": pid,
        "clock": inner.watch.tick().to_string(),
        "uptime": (inner.clock.now().0 - inner.watch.since.0).max(0) / 1000,
        "pool": {
            "implementation": "soniquebay",
            "max-concurrency": inner.config.concurrency,
            "processes": [pid],
            "max-tasks-per-child": "N/A",
            "put-guarded-by-semaphore": false,
            "timeouts": [0, 0],
            "writes": {},
        },
        "broker": {
            "hostname": host,
            "port": port,
            "transport": "redis",
            "virtual_host": inner.config.broker.redis_settings().db().to_string(),
            "ssl": matches!(inner.config.broker.addr(), redis::ConnectionAddr::TcpTls { .. }),
        },
        "prefetch_count": queues.active(),
        "rusage": {},
    })
}

async fn query(queues: Queues<'_>, ids: &[String]) -> Result<Value, StoreError> {
    let mut states = Map::new();
    for queue in queues.all() {
        let scheduled = queue.scheduled(MOST).await?;
        let state = |id: &String| {
            if let Some(claim) = queue.claims.of_task(id) {
                return Some((id.clone(), json!(["active", running(queue, &claim)])));
            }
            let (_, message) = scheduled.iter().find(|(_, message)| *message.id == **id)?;
            Some((id.clone(), json!(["scheduled", request(queue, message, None)])))
        };
        states.extend(ids.iter().filter_map(state));
    }
    Ok(Value::Object(states))
}

/// What waits is ended when it is claimed; what runs, only if that is asked for.
async fn revoke(queues: Queues<'_>, arguments: &Map<String, Value>) -> Result<Value, StoreError> {
    let ids = ids(arguments.get("task_id"));
    queues.first.watch.revoke(ids.iter().cloned());
    if arguments.get("terminate") == Some(&Value::Bool(true)) {
        for queue in queues.all() {
            for claim in ids.iter().filter_map(|id| queue.claims.of_task(id)) {
                queue.give_up(&claim, &Ending::Revoked("terminated")).await?;
            }
        }
    }
    Ok(json!({"ok": format!("tasks {} flagged as revoked", ids.join(", "))}))
}

/// A worker that begins tells what it knows to be revoked, and is told the same.
fn hello(inner: &Inner, arguments: &Map<String, Value>) -> Value {
    if arguments.get("from_node").and_then(Value::as_str) == Some(&inner.config.node) {
        return Value::Null;
    }
    let known = inner.watch.revoked_ids();
    learn(inner, arguments.get("revoked"));
    json!({"revoked": known, "clock": inner.watch.tick()})
}

/// Takes on what another worker knows to be revoked: a list, or an object by id.
pub(super) fn learn(inner: &Inner, revoked: Option<&Value>) {
    match revoked {
        Some(Value::Object(theirs)) => inner.watch.revoke(theirs.keys().cloned()),
        theirs => inner.watch.revoke(ids(theirs)),
    }
}

async fn reply(inner: &Inner, to: &str, ticket: Option<&Value>, answer: Value) -> Result<(), StoreError> {
    if answer.is_null() {
        return Ok(());
    }
    let keys = &inner.redis.keys;
    let bindings: Vec<String> = inner.redis.ask(redis::cmd("SMEMBERS").arg(keys.bindings(REPLIES))).await?;
    let Some(queue) = bindings.iter().filter_map(|one| read_binding(one)).find(|(key, _)| *key == to) else {
        return Ok(());
    };
    let headers = Map::from_iter([
        ("ticket".to_owned(), ticket.cloned().unwrap_or_default()),
        ("clock".to_owned(), json!(inner.watch.tick())),
    ]);
    let properties = Map::from_iter([
        ("delivery_mode".to_owned(), json!(1)),
        ("delivery_info".to_owned(), json!({"exchange": REPLIES, "routing_key": to})),
        ("priority".to_owned(), json!(0)),
    ]);
    let body = Value::Object(Map::from_iter([(inner.config.node.clone(), answer)]));
    let list = keys.list_of(queue.1, 0);
    let mut commands = redis::pipe();
    commands.atomic().lpush(&list, Envelope::new(&body, headers, properties).to_raw()).ignore();
    commands.expire(&list, EXPIRY).ignore();
    inner.redis.ask_all(&commands).await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{is_like, is_meant};

    #[test]
    fn a_request_is_for_all_or_for_those_it_names() {
        for (request, meant) in [
            (json!({"destination": null}), true),
            (json!({}), true),
            (json!({"destination": ["a@b", "me@here"]}), true),
            (json!({"destination": ["a@b"]}), false),
            (json!({"destination": []}), false),
            (json!({"pattern": "me@*", "matcher": "glob"}), true),
            (json!({"pattern": "*@there", "matcher": "glob"}), false),
        ] {
            assert_eq!(is_meant(&request, "me@here"), meant, "{request}");
        }
        assert!(is_like(b"*e@h?r*", b"me@here") && is_like(b"me@here", b"me@here") && is_like(b"*", b""));
        assert!(!is_like(b"me", b"me@here") && !is_like(b"", b"x") && !is_like(b"a*b", b"ac"));
    }
}
