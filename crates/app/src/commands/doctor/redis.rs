//! Redis, and who listens there.

use soniquebay_broker::RedisStanding;

use super::finding::{Finding, Question, clock};
use super::{PATIENCE, bounded};
use crate::cli::Cli;
use crate::config::masked;

/// The first whose commands we use are all there.
const OLDEST: [u32; 2] = [6, 2];

pub(super) async fn look(cli: &Cli) -> Vec<Finding> {
    let celery = cli.services.of_services().celery().map(|(broker, _)| broker.to_owned());
    let has_messages = cli.services.celery().is_some();
    let mut urls: Vec<String> = cli.services.redis().map(str::to_owned).into_iter().collect();
    urls.extend(celery.filter(|_| has_messages).filter(|broker| !urls.contains(broker)));
    let mut findings = Vec::new();
    for url in urls {
        findings.extend(bounded("Redis", "start it, or look at its log", server(cli, &url, has_messages)).await);
    }
    findings
}

async fn server(cli: &Cli, url: &str, has_messages: bool) -> Vec<Finding> {
    use Question::{CalculationFails, ItIsSlow, NothingIsVectorized};
    let shown = masked("REDIS_URL", url);
    let standing = match RedisStanding::look(url, PATIENCE).await {
        Ok(standing) => standing,
        Err(error) => {
            let fix = format!("is it started, and the address right? redis-cli -u {shown} ping");
            let finding = Finding::fail("Redis", format!("{shown}: {error}"), fix);
            return vec![finding.answering(&[NothingIsVectorized, CalculationFails])];
        }
    };
    let mut findings = Vec::new();
    let numbers: Vec<u32> = standing.version.split('.').map_while(|number| number.parse().ok()).collect();
    findings.push(match numbers.as_slice() >= OLDEST.as_slice() {
        true => Finding::ok("Redis", format!("{shown}: version {}", standing.version)),
        false => {
            Finding::fail("Redis", format!("{shown}: version {} is too old", standing.version), "upgrade it to 6.2")
                .answering(&[NothingIsVectorized])
        }
    });
    let mut note = |is_well: bool, check, well: String, finding: Finding| {
        findings.push(if is_well { Finding::ok(check, well) } else { finding });
    };
    let policy = &standing.eviction;
    let (found, fix) = (
        format!("maxmemory-policy is {policy}: when its memory is full, Redis forgets jobs without a word"),
        "redis-cli config set maxmemory-policy noeviction, and the same in redis.conf",
    );
    let eviction = match has_messages {
        true => Finding::fail("Redis eviction", found, fix).answering(&[NothingIsVectorized, CalculationFails]),
        false => Finding::warn("Redis eviction", found, fix),
    };
    // Where jobs lie elsewhere, Redis keeps nothing that cannot be made again.
    note(policy == "noeviction" || !has_messages, "Redis eviction", policy.clone(), eviction);
    let is_full = standing.most > 0 && standing.used >= standing.most / 10 * 9;
    let memory = match standing.most {
        0 => format!("{} MB, without a limit", standing.used >> 20),
        most => format!("{} of {} MB", standing.used >> 20, most >> 20),
    };
    let fix = "raise maxmemory, or find what fills it: redis-cli --bigkeys";
    let full = Finding::warn("Redis memory", format!("nearly full: {memory}"), fix);
    note(!is_full, "Redis memory", memory, full.answering(&[NothingIsVectorized, CalculationFails, ItIsSlow]));
    if has_messages {
        let found = "nothing is written to disk: with Redis its jobs are gone until the listener compares";
        let fix = "redis-cli config set appendonly yes, and the same in redis.conf";
        note(
            standing.persists,
            "Redis disk",
            "what it holds survives its end".into(),
            Finding::warn("Redis disk", found, fix),
        );
    }
    let by_events = has_messages && cli.services.redis() == Some(url);
    if by_events {
        let found = "nobody listens to events: tracks are written, and no job is made of them";
        let alone = Finding::fail("listener", found, "soniquebay listener").answering(&[NothingIsVectorized]);
        note(standing.listeners > 0, "listener", format!("{} listen to events", standing.listeners), alone);
    }
    if has_messages {
        let is_worked_on = standing.workers > 0 || standing.has_others;
        let found = "no worker takes jobs: they wait";
        let idle = Finding::fail("worker", found, "soniquebay worker").answering(&[NothingIsVectorized]);
        let well = match standing.workers {
            0 => "a worker of Celery's own may be there".to_owned(),
            workers => format!("{workers} work on jobs"),
        };
        note(is_worked_on, "worker", well, idle);
    }
    findings.push(clock("Redis", standing.ahead));
    findings
}
