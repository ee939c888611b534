//! Looks at jobs wherever they are, for a person: each look goes through the lists.

use std::ops::ControlFlow;

use soniquebay_domain::{
    Discarded, Job, JobCounts, JobId, JobState, JobSummary, Space, StoreError, Timestamp, TrackId,
};

use super::super::keys::{STEPS, track_subject};
use super::super::message::{Message, REASON};
use super::super::moves::Move;
use super::super::task;
use super::Inner;
use super::ending::{self, DeadLetter, Ending, list};

/// Messages read at once.
const CHUNK: isize = 500;

/// Messages looked at in one place: what lies deeper is not seen.
const DEEPEST: isize = 50_000;

/// Looks for a job that moves meanwhile.
const LOOKS: usize = 3;

/// Where a message was found.
enum Place {
    Lease(Vec<u8>),
    List(String),
    Delayed(Vec<u8>),
    Dead,
}

struct Found {
    place: Place,
    raw: Vec<u8>,
    /// When it may be claimed, or was given up.
    at: Timestamp,
    /// Why it was given up.
    reason: Option<String>,
}

impl Found {
    fn state(&self) -> JobState {
        match self.place {
            Place::Lease(_) => JobState::Running,
            Place::List(_) | Place::Delayed(_) => JobState::Available,
            Place::Dead => JobState::Discarded,
        }
    }
}

type Visit<'a> = &'a mut (dyn FnMut(Found) -> ControlFlow<()> + Send);

impl Inner {
    pub(super) async fn job_counts(&self) -> Result<JobCounts, StoreError> {
        let (keys, now) = (&self.redis.keys, self.clock.now().0);
        let mut commands = redis::pipe();
        commands.zcard(keys.leases()).hlen(keys.dead());
        commands.zcount(keys.delayed(), "-inf", now).zcount(keys.delayed(), format!("({now}"), "+inf");
        for list in self.lists().await? {
            commands.llen(list);
        }
        let counts: Vec<u64> = self.redis.ask_all(&commands).await?;
        let (fixed, lists) = counts.split_at(4.min(counts.len()));
        let &[running, discarded, due, scheduled] = fixed else { return Ok(JobCounts::default()) };
        Ok(JobCounts { available: due + lists.iter().sum::<u64>(), scheduled, running, discarded })
    }

    pub(super) async fn jobs(
        &self,
        state: Option<JobState>,
        mut after: Option<JobId>,
        limit: usize,
    ) -> Result<Vec<JobSummary>, StoreError> {
        let mut jobs = Vec::new();
        let mut visit = |found: Found| {
            let Some((_, summary)) = self.summary(&found) else { return ControlFlow::Continue(()) };
            if let Some(last) = &after {
                if *last == summary.job.id {
                    after = None;
                }
            } else if jobs.len() < limit {
                jobs.push(summary);
            }
            if jobs.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        self.each(state, &mut visit).await?;
        Ok(jobs)
    }

    pub(super) async fn job(&self, id: &JobId) -> Result<Option<JobSummary>, StoreError> {
        Ok(self.find(None, id).await?.map(|(_, _, summary)| summary))
    }

    pub(super) async fn cancel(&self, id: &JobId) -> Result<bool, StoreError> {
        for _ in 0..LOOKS {
            if let Some(claim) = self.claims.of_task(id.as_str())
                && self.give_up(&claim, &Ending::Revoked("cancelled")).await?
            {
                return Ok(true);
            }
            let Some((found, message, summary)) = self.find(None, id).await? else { return Ok(false) };
            if summary.state == JobState::Discarded {
                return Ok(false);
            }
            if self.withdraw(&found, &message, &summary, "cancelled").await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Ends a job that still waits, because its task was revoked.
    pub(in super::super) async fn revoke_waiting(&self, id: &str) -> Result<bool, StoreError> {
        match self.find(Some(JobState::Available), &JobId::new(id)).await? {
            Some((found, message, summary)) => self.withdraw(&found, &message, &summary, "revoked").await,
            None => Ok(false),
        }
    }

    async fn withdraw(
        &self,
        found: &Found,
        message: &Message,
        summary: &JobSummary,
        how: &'static str,
    ) -> Result<bool, StoreError> {
        let step = match &found.place {
            Place::Lease(tag) => Move::lease(tag),
            Place::List(list) => Move::list(list, &found.raw),
            Place::Delayed(member) => Move::delayed(member),
            Place::Dead => return Ok(false),
        };
        let now = self.clock.now();
        let step = ending::revoke(step, message, &summary.job, how, &self.redis.keys, now);
        let is_done = self.redis.shift(now, vec![step]).await?.contains(&true);
        if is_done {
            self.watch.revoked(message, false);
        }
        Ok(is_done)
    }

    pub(super) async fn retry(&self, which: Discarded) -> Result<usize, StoreError> {
        let keys = &self.redis.keys;
        let ids: Vec<String> = match &which {
            Discarded::One(id) => vec![id.as_str().to_owned()],
            Discarded::Kind(_) | Discarded::All => {
                self.redis.ask(redis::cmd("ZRANGE").arg(keys.dead_order()).arg(0).arg(-1)).await?
            }
        };
        let mut retried = 0;
        for ids in ids.chunks(CHUNK as usize) {
            let letters: Vec<Option<String>> = self.redis.ask(redis::cmd("HMGET").arg(keys.dead()).arg(ids)).await?;
            let again = |(id, letter): (&String, Option<String>)| {
                let letter = DeadLetter::read(&letter?)?;
                if matches!(which, Discarded::Kind(kind) if letter.kind != Some(kind)) {
                    return None;
                }
                let message = Message::read(&letter.raw).ok()?;
                self.watch.pardon(id);
                let step = Move::dead(id, &letter.subject).forget(&keys.lost(id));
                Some(step.push(&list(&message, keys), &message.afresh()))
            };
            let moves = ids.iter().zip(letters).filter_map(again).collect();
            retried += self.redis.shift(self.clock.now(), moves).await?.into_iter().filter(|moved| *moved).count();
        }
        self.arrivals.tell();
        Ok(retried)
    }

    pub(super) async fn failures(
        &self,
        space: &Space,
        tracks: Vec<TrackId>,
    ) -> Result<Vec<(TrackId, String)>, StoreError> {
        let keys = &self.redis.keys;
        let mut failures = Vec::new();
        for tracks in tracks.chunks(CHUNK as usize) {
            let subjects: Vec<String> = tracks.iter().map(|track| track_subject(*track, space)).collect();
            let ids: Vec<Option<String>> =
                self.redis.ask(redis::cmd("HMGET").arg(keys.dead_tracks()).arg(subjects)).await?;
            let known: Vec<(TrackId, String)> =
                tracks.iter().zip(ids).filter_map(|(track, id)| Some((*track, id?))).collect();
            if known.is_empty() {
                continue;
            }
            let mut command = redis::cmd("HMGET");
            command.arg(keys.dead());
            for (_, id) in &known {
                command.arg(id);
            }
            let letters: Vec<Option<String>> = self.redis.ask(&command).await?;
            failures.extend(
                known
                    .into_iter()
                    .zip(letters)
                    .filter_map(|((track, _), letter)| Some((track, DeadLetter::read(&letter?)?.reason))),
            );
        }
        Ok(failures)
    }

    /// Messages that wait for their moment, soonest first, with that moment.
    pub(in super::super) async fn scheduled(&self, limit: usize) -> Result<Vec<(Timestamp, Message)>, StoreError> {
        let mut scheduled = Vec::new();
        let mut visit = |found: Found| {
            if let Ok(message) = Message::read(&found.raw) {
                scheduled.push((found.at, message));
            }
            if scheduled.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        self.each_delayed(&mut visit).await.map(drop)?;
        Ok(scheduled)
    }

    /// All lists that messages of ours may lie in, first those that go first.
    async fn lists(&self) -> Result<Vec<String>, StoreError> {
        let keys = &self.redis.keys;
        let mut spaces: Vec<String> = self.redis.ask(redis::cmd("SMEMBERS").arg(keys.spaces())).await?;
        let default = self.config.default_space.to_string();
        if !spaces.contains(&default) {
            spaces.push(default);
        }
        let of_step = |step| {
            let of_spaces = spaces.iter().map(move |space| keys.list(Some(space), step));
            std::iter::once(keys.list(None, step)).chain(of_spaces)
        };
        Ok(STEPS.into_iter().flat_map(of_step).collect())
    }

    async fn find(
        &self,
        state: Option<JobState>,
        id: &JobId,
    ) -> Result<Option<(Found, Message, JobSummary)>, StoreError> {
        let mut hit = None;
        let mut visit = |found: Found| {
            if !String::from_utf8_lossy(&found.raw).contains(id.as_str()) {
                return ControlFlow::Continue(());
            }
            match self.summary(&found) {
                Some((message, summary)) if summary.job.id == *id => {
                    hit = Some((found, message, summary));
                    ControlFlow::Break(())
                }
                _ => ControlFlow::Continue(()),
            }
        };
        self.each(state, &mut visit).await?;
        Ok(hit)
    }

    fn summary(&self, found: &Found) -> Option<(Message, JobSummary)> {
        let message = Message::read(&found.raw).ok()?;
        let job: Job = task::read(&message, &self.config.default_space, self.config.attempts).ok()?;
        let waits = || message.envelope.header(REASON).as_str().map(str::to_owned);
        let summary = JobSummary {
            state: found.state(),
            priority: message.envelope.priority(),
            run_at: found.at,
            reason: found.reason.clone().or_else(waits),
            job,
        };
        Some((message, summary))
    }

    /// Shows the messages of one state or of all, in the queue's order, until told to stop.
    async fn each(&self, state: Option<JobState>, visit: Visit<'_>) -> Result<(), StoreError> {
        let wanted = |one| state.is_none_or(|state| state == one);
        if wanted(JobState::Running) && self.each_lease(visit).await?.is_break() {
            return Ok(());
        }
        if wanted(JobState::Available)
            && (self.each_listed(visit).await?.is_break() || self.each_delayed(visit).await?.is_break())
        {
            return Ok(());
        }
        if wanted(JobState::Discarded) {
            return self.each_dead(visit).await.map(drop);
        }
        Ok(())
    }

    async fn each_lease(&self, visit: Visit<'_>) -> Result<ControlFlow<()>, StoreError> {
        let keys = &self.redis.keys;
        let now = self.clock.now();
        let mut begin = 0;
        while begin < DEEPEST {
            let tags: Vec<Vec<u8>> =
                self.redis.ask(redis::cmd("ZRANGE").arg(keys.leases()).arg(begin).arg(begin + CHUNK - 1)).await?;
            if tags.is_empty() {
                break;
            }
            let entries: Vec<Option<Vec<u8>>> =
                self.redis.ask(redis::cmd("HMGET").arg(keys.unacked()).arg(&tags)).await?;
            for (tag, entry) in tags.into_iter().zip(entries) {
                let Some(raw) = entry.as_deref().and_then(|entry| self.message_in(entry)) else { continue };
                if visit(Found { raw: raw.to_vec(), place: Place::Lease(tag), at: now, reason: None }).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            begin += CHUNK;
        }
        Ok(ControlFlow::Continue(()))
    }

    async fn each_listed(&self, visit: Visit<'_>) -> Result<ControlFlow<()>, StoreError> {
        let now = self.clock.now();
        for list in self.lists().await? {
            let mut end = -1;
            while end > -DEEPEST {
                // The right end is claimed first.
                let raws: Vec<Vec<u8>> =
                    self.redis.ask(redis::cmd("LRANGE").arg(&list).arg(end - CHUNK + 1).arg(end)).await?;
                if raws.is_empty() {
                    break;
                }
                for raw in raws.into_iter().rev() {
                    let found = Found { place: Place::List(list.clone()), raw, at: now, reason: None };
                    if visit(found).is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                }
                end -= CHUNK;
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    async fn each_delayed(&self, visit: Visit<'_>) -> Result<ControlFlow<()>, StoreError> {
        let mut begin = 0;
        while begin < DEEPEST {
            let mut command = redis::cmd("ZRANGE");
            command.arg(self.redis.keys.delayed()).arg(begin).arg(begin + CHUNK - 1).arg("WITHSCORES");
            let members: Vec<(Vec<u8>, f64)> = self.redis.ask(&command).await?;
            if members.is_empty() {
                break;
            }
            for (member, due) in members {
                let raw = match member.iter().position(|byte| *byte == 0) {
                    Some(cut) => member[cut + 1..].to_vec(),
                    None => continue,
                };
                let found = Found { place: Place::Delayed(member), raw, at: Timestamp(due as i64), reason: None };
                if visit(found).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            begin += CHUNK;
        }
        Ok(ControlFlow::Continue(()))
    }

    async fn each_dead(&self, visit: Visit<'_>) -> Result<ControlFlow<()>, StoreError> {
        let keys = &self.redis.keys;
        let mut begin = 0;
        loop {
            let ids: Vec<String> =
                self.redis.ask(redis::cmd("ZRANGE").arg(keys.dead_order()).arg(begin).arg(begin + CHUNK - 1)).await?;
            if ids.is_empty() {
                return Ok(ControlFlow::Continue(()));
            }
            let letters: Vec<Option<String>> = self.redis.ask(redis::cmd("HMGET").arg(keys.dead()).arg(&ids)).await?;
            for letter in letters.into_iter().flatten().filter_map(|letter| DeadLetter::read(&letter)) {
                let DeadLetter { reason, at, raw, .. } = letter;
                if visit(Found { place: Place::Dead, raw, at, reason: Some(reason) }).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            begin += CHUNK;
        }
    }
}
