//! The scripts, and the connections that they run on.

use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, FromRedisValue, RedisError, RedisResult, Script};
use soniquebay_domain::{StoreError, Timestamp};

use super::config::CeleryConfig;
use super::envelope::MAX_MESSAGE;
use super::keys::{Keys, STEPS, suffix};
use super::moves::Move;

/// How long Redis may take to answer. The client's own half a second is short for a script over a full batch beside a busy
/// server; what takes longer is tried again by the worker, and nothing is lost by it.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Moves in one call: Redis does nothing else meanwhile.
const MOVES: usize = 256;

/// Spaces that may have lists of their own.
const MAX_SPACES: usize = 64;

/// Messages that nobody could read, kept for whoever looks for them: 64 MiB at most.
const MAX_UNREADABLE: usize = 256;

/// What lies behind a message in `unacked`.
pub(super) const ROUTE_BEGIN: &str = ", \"\", ";

struct Scripts {
    claim: Script,
    hold: Script,
    shift: Script,
    ready: Script,
}

/// Redis, as the queue uses it.
pub(super) struct Redis {
    scripts: Scripts,
    broker: ConnectionManager,
    /// Where results lie, if elsewhere.
    results: Option<ConnectionManager>,
    pub(super) client: Client,
    pub(super) keys: Keys,
    dead_letters: usize,
    result_expiry: Duration,
    dedup: Duration,
}

/// A message that was claimed.
pub(super) struct Delivery {
    /// Names the claim in `unacked`.
    pub(super) tag: Vec<u8>,
    pub(super) token: i64,
    /// Claims before that ended without a word.
    pub(super) lost: u32,
    pub(super) raw: Vec<u8>,
}

/// What a look into the lists came to.
pub(super) struct Claimed {
    pub(super) deliveries: Vec<Delivery>,
    /// Leases that ran out.
    pub(super) expired: u64,
    /// Length and end of each message that nobody can read.
    pub(super) unreadable: Vec<(usize, Vec<u8>)>,
}

type RawClaim = (Vec<u8>, i64, u32, Vec<u8>);
type RawClaims = (u64, Vec<(usize, Vec<u8>)>, Vec<RawClaim>);

impl Redis {
    pub(super) fn new(config: &CeleryConfig) -> RedisResult<Self> {
        let db = config.broker.redis_settings().db();
        let client = Client::open(config.broker.clone())?;
        let manager = |client: &Client| ConnectionManager::new_lazy_with_config(client.clone(), settings());
        let results = match &config.results {
            None => None,
            Some(results) => Some(manager(&Client::open(results.clone())?)?),
        };
        Ok(Self {
            scripts: Scripts {
                claim: Script::new(include_str!("lua/claim.lua")),
                hold: Script::new(include_str!("lua/hold.lua")),
                shift: Script::new(include_str!("lua/move.lua")),
                ready: Script::new(include_str!("lua/ready.lua")),
            },
            broker: manager(&client)?,
            results,
            keys: Keys::new(&config.key_prefix, &config.result_prefix, &config.queue, db),
            client,
            dead_letters: config.dead_letters,
            result_expiry: config.result_expiry,
            dedup: config.dedup,
        })
    }

    /// One command or pipeline.
    pub(super) fn connection(&self) -> ConnectionManager {
        self.broker.clone()
    }

    /// What follows a message in `unacked`: its exchange and routing key.
    pub(super) fn route(&self) -> String {
        format!("{ROUTE_BEGIN}{}]", serde_json::Value::from(self.keys.queue.as_str()))
    }

    /// Claims up to `most` messages of a space until `end`.
    pub(super) async fn claim(
        &self,
        (now, end): (Timestamp, Timestamp),
        most: usize,
        (wanted, default): (&str, &str),
    ) -> Result<Claimed, StoreError> {
        let keys = &self.keys;
        let mut call = self.scripts.claim.prepare_invoke();
        for key in [keys.unacked(), keys.unacked_index(), keys.leases(), keys.delayed(), keys.token(), keys.spaces()] {
            call.key(key);
        }
        call.key(keys.unreadable());
        for step in STEPS {
            call.key(keys.list(Some(wanted), step)).key(keys.list(None, step));
        }
        call.arg(now.0).arg(end.0).arg(most).arg(wanted).arg(default).arg(MAX_MESSAGE).arg(self.route());
        call.arg(keys.space_lists()).arg(keys.waiting("")).arg(keys.lost("")).arg(MAX_SPACES).arg(MAX_UNREADABLE);
        for step in STEPS {
            call.arg(suffix(step));
        }
        let claimed: RedisResult<RawClaims> = call.invoke_async(&mut self.connection()).await;
        let (expired, unreadable, claims) = claimed.map_err(away)?;
        let delivery = |(tag, token, lost, raw)| Delivery { tag, token, lost, raw };
        Ok(Claimed { deliveries: claims.into_iter().map(delivery).collect(), expired, unreadable })
    }

    /// Which of these claims are still held; they are refreshed, and given until `end` where one is named.
    pub(super) async fn hold(&self, tags: &[&[u8]], end: Option<Timestamp>) -> Result<Vec<bool>, StoreError> {
        if tags.is_empty() {
            return Ok(Vec::new());
        }
        let keys = &self.keys;
        let mut call = self.scripts.hold.prepare_invoke();
        call.key(keys.unacked()).key(keys.unacked_index()).key(keys.leases());
        call.arg(end.map_or_else(String::new, |end| end.0.to_string()));
        for tag in tags {
            call.arg(*tag);
        }
        call.invoke_async(&mut self.connection()).await.map_err(away)
    }

    /// Does these moves; for each, whether the message was where it should be.
    pub(super) async fn shift(&self, now: Timestamp, mut moves: Vec<Move>) -> Result<Vec<bool>, StoreError> {
        if let Some(results) = &self.results {
            // First the result, then the end of its message: whoever dies in between does it again.
            let elsewhere: Vec<Move> = moves.iter_mut().filter_map(Move::split_results).collect();
            self.shift_on(&mut results.clone(), now, &elsewhere).await?;
        }
        self.shift_on(&mut self.connection(), now, &moves).await
    }

    async fn shift_on(
        &self,
        connection: &mut ConnectionManager,
        now: Timestamp,
        moves: &[Move],
    ) -> Result<Vec<bool>, StoreError> {
        let keys = &self.keys;
        let mut moved = Vec::with_capacity(moves.len());
        for chunk in moves.chunks(MOVES) {
            let mut call = self.scripts.shift.prepare_invoke();
            for key in [keys.unacked(), keys.unacked_index(), keys.leases(), keys.delayed(), keys.dead()] {
                call.key(key);
            }
            call.key(keys.dead_order()).key(keys.dead_tracks()).key(keys.unreadable()).key(keys.spaces());
            call.arg(now.0).arg(self.dead_letters).arg(MAX_UNREADABLE);
            call.arg(self.result_expiry.as_secs().max(1)).arg(self.dedup.as_secs().max(1));
            let mut arguments = Vec::new();
            chunk.iter().for_each(|one| one.write(&mut arguments));
            for argument in arguments {
                call.arg(argument);
            }
            let done: Vec<bool> = call.invoke_async(connection).await.map_err(away)?;
            moved.extend(done);
        }
        Ok(moved)
    }

    /// Whether there may be something to claim in the lists of these spaces.
    pub(super) async fn ready(&self, now: Timestamp, spaces: &[String]) -> Result<bool, StoreError> {
        let keys = &self.keys;
        let mut call = self.scripts.ready.prepare_invoke();
        call.key(keys.leases()).key(keys.delayed());
        for step in STEPS {
            call.key(keys.list(None, step));
            for space in spaces {
                call.key(keys.list(Some(space), step));
            }
        }
        call.arg(now.0).invoke_async(&mut self.connection()).await.map_err(away)
    }

    /// A plain command.
    pub(super) async fn ask<T: FromRedisValue>(&self, command: &redis::Cmd) -> Result<T, StoreError> {
        command.query_async(&mut self.connection()).await.map_err(away)
    }

    /// Several commands at once.
    pub(super) async fn ask_all<T: FromRedisValue>(&self, commands: &redis::Pipeline) -> Result<T, StoreError> {
        commands.query_async(&mut self.connection()).await.map_err(away)
    }
}

/// How a connection behaves.
fn settings() -> ConnectionManagerConfig {
    ConnectionManagerConfig::new()
        .set_connection_timeout(Some(Duration::from_secs(2)))
        .set_response_timeout(Some(PATIENCE))
        .set_number_of_retries(1)
}

#[allow(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn away(error: RedisError) -> StoreError {
    StoreError::Unavailable(format!("Redis: {error}"))
}
