//! From lists to leases, and back from those that ran out.

use std::sync::Arc;
use std::time::Duration;

use soniquebay_domain::{Job, Lease, LeaseToken, Space, StoreError, Timestamp};

use super::super::envelope::Envelope;
use super::super::failure::{Failure, State};
use super::super::message::{Message, SPACE, id_at_end};
use super::super::moves::Move;
use super::super::node::Happened;
use super::super::redis::Delivery;
use super::super::task;
use super::Inner;
use super::claims::Claim;
use super::ending::{self, list};

/// Looks into the lists for one claim: each may find only what is put elsewhere.
const LOOKS: usize = 16;

/// Most messages claimed together: Redis does nothing else meanwhile.
const MOST: usize = 1000;

/// What a delivered message is.
enum Admitted {
    /// Something to do now.
    Job(Box<Message>, Job),
    /// Something else, and what becomes of it.
    Turned(Move),
}

impl Inner {
    pub(super) async fn claim(&self, space: &Space, limit: usize, lease: Duration) -> Result<Vec<Lease>, StoreError> {
        self.arrivals.looked();
        let (wanted, default) = (space.to_string(), self.config.default_space.to_string());
        self.arrivals.serve(&wanted);
        let mut leases = Vec::new();
        for _ in 0..LOOKS {
            let now = self.clock.now();
            let end = now.after(lease);
            let found = self.redis.claim((now, end), limit.min(MOST), (&wanted, &default)).await?;
            let mut turned: Vec<Move> =
                found.unreadable.iter().filter_map(|(length, tail)| self.unreadable(*length, tail, now)).collect();
            let is_empty = found.deliveries.is_empty() && found.expired == 0 && turned.is_empty();
            for delivery in found.deliveries {
                match self.admit(&delivery, now) {
                    Admitted::Job(message, job) => leases.push(self.hold(delivery, *message, job, now, end)),
                    Admitted::Turned(step) => turned.push(step),
                }
            }
            if let Err(error) = self.turn(found.expired > 0, turned, now).await {
                // What was claimed is worked on; the rest comes back when its lease ends.
                if leases.is_empty() {
                    return Err(error);
                }
                tracing::warn!(%error, "messages that are no jobs could not be put where they belong");
            }
            if is_empty || !leases.is_empty() || limit == 0 {
                break;
            }
        }
        Ok(leases)
    }

    async fn turn(&self, has_expired: bool, turned: Vec<Move>, now: Timestamp) -> Result<(), StoreError> {
        if has_expired {
            self.restore(now).await?;
        }
        if !turned.is_empty() {
            self.redis.shift(now, turned).await?;
        }
        Ok(())
    }

    fn hold(&self, delivery: Delivery, message: Message, job: Job, since: Timestamp, expires_at: Timestamp) -> Lease {
        let Delivery { tag, token, lost, raw: _ } = delivery;
        let token = LeaseToken(token);
        let claim = Claim { tag, token, message: Arc::new(message), job: job.clone(), lost, since, expires_at };
        self.watch.happened(&claim, Happened::Started);
        self.claims.insert(claim);
        Lease { job, token, expires_at, lost }
    }

    fn admit(&self, delivery: &Delivery, now: Timestamp) -> Admitted {
        let keys = &self.redis.keys;
        let step = Move::lease(&delivery.tag);
        let message = match Message::read(&delivery.raw) {
            Ok(message) => message,
            Err(refusal) => {
                let (id, reason) = (refusal.id.as_deref(), refusal.failure.text());
                tracing::warn!(task.id = id, reason, "a message was put aside");
                return Admitted::Turned(ending::refuse(step, id, &delivery.raw, &refusal.failure, keys, now));
            }
        };
        let job = match task::read(&message, &self.config.default_space, self.config.attempts) {
            Ok(job) => job,
            Err(failure) => {
                tracing::warn!(
                    task.id = &*message.id,
                    task = message.task,
                    reason = failure.text(),
                    "a message was put aside"
                );
                self.watch.refused(&message, &failure);
                let id = Some(&*message.id).filter(|_| !message.ignores_result);
                return Admitted::Turned(ending::refuse(step, id, &delivery.raw, &failure, keys, now));
            }
        };
        if self.watch.is_revoked(&message.id, now) {
            self.watch.revoked(&message, false);
            return Admitted::Turned(ending::revoke(step, &message, &job, "revoked", keys, now));
        }
        if message.expires.is_some_and(|expires| expires <= now) {
            self.watch.revoked(&message, true);
            return Admitted::Turned(ending::tell(step, &message, &State::Revoked("expired"), keys, now));
        }
        match message.eta {
            Some(eta) if eta > now => Admitted::Turned(step.later(eta.0, &list(&message, keys), &delivery.raw)),
            _ => Admitted::Job(Box::new(message), job),
        }
    }

    /// What was put aside because it is no message, or too long a one: whoever waits for it is told.
    fn unreadable(&self, length: usize, tail: &[u8], now: Timestamp) -> Option<Move> {
        tracing::warn!(
            bytes = length,
            list = self.redis.keys.unreadable(),
            "a message cannot be read: it was put aside"
        );
        let id = id_at_end(tail)?;
        let failure = Failure::undecodable(format!(
            "a message of {length} bytes; at most {} are read",
            super::super::envelope::MAX_MESSAGE
        ));
        let meta = State::Failure(failure).meta(&id, None, None, now);
        Some(Move::anyway().result(&self.redis.keys.result(&id), &meta))
    }

    /// Gives messages back whose leases ran out. Only our own claims, and only after they were read.
    pub(super) async fn restore(&self, now: Timestamp) -> Result<usize, StoreError> {
        let keys = &self.redis.keys;
        let mut command = redis::cmd("ZRANGEBYSCORE");
        command.arg(keys.leases()).arg("-inf").arg(now.0).arg("LIMIT").arg(0).arg(256);
        let tags: Vec<Vec<u8>> = self.redis.ask(&command).await?;
        if tags.is_empty() {
            return Ok(0);
        }
        let entries: Vec<Option<Vec<u8>>> = self.redis.ask(redis::cmd("HMGET").arg(keys.unacked()).arg(&tags)).await?;
        let moves = tags.iter().zip(entries).map(|(tag, entry)| {
            let lost = keys.lost(&task_of(tag));
            let Some(entry) = entry else {
                // A Python worker with a shorter timeout restored it.
                return Move::lapsed(tag).lose(&lost);
            };
            match self.message_in(&entry).map(Envelope::parse) {
                Some(Ok(mut envelope)) => {
                    envelope.mark_redelivered();
                    let space = envelope.header(SPACE).as_str().filter(|space| Space::parse(space).is_ok());
                    let list = keys.list(space, envelope.priority());
                    Move::expired(tag).lose(&lost).back(&list, &envelope.to_raw())
                }
                _ => Move::expired(tag).aside(&entry),
            }
        });
        let moves = moves.collect();
        let moved = self.redis.shift(now, moves).await?;
        let restored = moved.into_iter().filter(|moved| *moved).count();
        if restored > 0 {
            tracing::warn!(restored, "leases ran out: their jobs can be claimed again");
        }
        Ok(restored)
    }

    /// The message of an entry of `unacked` that we wrote.
    pub(super) fn message_in<'a>(&self, entry: &'a [u8]) -> Option<&'a [u8]> {
        entry.strip_prefix(b"[")?.strip_suffix(self.redis.route().as_bytes())
    }
}

/// The task that a tag was given for: `soniquebay.<token>.<task id>`.
fn task_of(tag: &[u8]) -> String {
    let tag = String::from_utf8_lossy(tag);
    tag.splitn(3, '.').nth(2).unwrap_or_default().to_owned()
}
