//! Keeps what is held: against Python workers with a short timeout, and no longer than the lease.

use std::sync::Weak;
use std::time::Duration;

use soniquebay_domain::{StoreError, Timestamp};
use tokio::time::{MissedTickBehavior, interval};

use super::super::failure::Failure;
use super::super::node::Happened;
use super::Inner;
use super::claims::Claim;
use super::ending::Ending;

/// Shorter than any timeout that a Python worker may reasonably have.
const INTERVAL: Duration = Duration::from_secs(1);

/// What is held so long after its lease nobody will settle.
const FORGET: Duration = Duration::from_secs(600);

/// Refreshes claims and gives expired ones back, until the queue is gone.
pub(super) async fn keep(inner: Weak<Inner>) {
    let mut tick = interval(INTERVAL);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let Some(queue) = inner.upgrade() else { return };
        if let Err(error) = queue.keep_once().await {
            tracing::debug!(%error, "claims could not be refreshed");
        }
    }
}

impl Inner {
    async fn keep_once(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let mut held = Vec::new();
        for claim in self.claims.all() {
            if is_over_time(&claim, now) {
                let limit = claim.message.time_limit.unwrap_or_default().as_secs_f64();
                self.give_up(&claim, &Ending::Failed(Failure::time_limit(limit))).await?;
            } else if claim.expires_at > now {
                held.push(claim);
            } else if claim.expires_at.after(FORGET) <= now {
                self.claims.remove(claim.token);
            }
        }
        let tags: Vec<&[u8]> = held.iter().map(|claim| &*claim.tag).collect();
        for (claim, is_held) in held.iter().zip(self.redis.hold(&tags, None).await?) {
            if !is_held {
                self.claims.remove(claim.token);
            }
        }
        // Claims nothing; what was to wait until now goes where it is claimed, by Python workers too.
        let default = self.config.default_space.to_string();
        let found = self.redis.claim((now, now), 0, (&default, &default)).await?;
        if found.expired > 0 {
            self.restore(now).await?;
        }
        Ok(())
    }

    /// Ends a claim over the head of whoever works on it; whether it was still held.
    pub(in super::super) async fn give_up(&self, claim: &Claim, ending: &Ending) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let moved = self.redis.shift(now, vec![claim.end(ending, &self.redis.keys, now)]).await?;
        self.claims.remove(claim.token);
        let is_held = moved.contains(&true);
        if is_held {
            self.watch.happened(claim, Happened::Ended(ending, now));
        }
        Ok(is_held)
    }
}

fn is_over_time(claim: &Claim, now: Timestamp) -> bool {
    claim.message.time_limit.is_some_and(|limit| claim.since.after(limit) <= now)
}
