use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::{Space, Timestamp, TrackFields, TrackId};

/// A job's name in its queue: a number in a database, a task id on Celery.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(Arc<str>);

impl JobId {
    /// The job of that name.
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The number, in a queue that numbers its jobs.
    pub fn number(&self) -> Option<i64> {
        self.0.parse().ok()
    }
}

impl From<i64> for JobId {
    fn from(number: i64) -> Self {
        Self(number.to_string().into())
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Names one claim of one job. A settlement with an older token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LeaseToken(pub i64);

/// How often a job has been tried and may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempts {
    /// Claims that ended in a retry, this one not counted.
    pub made: u32,
    /// After so many the job is discarded.
    pub allowed: u32,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobKind {
    /// Make a track's vector in a space.
    EmbedTrack,
    /// The same, unless one made from what the track is now is there already.
    EmbedIfNeeded,
    /// Hear a track's file: measure it, and make its vector in the sound space.
    AnalyzeTrack,
}

impl JobKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::EmbedTrack, Self::EmbedIfNeeded, Self::AnalyzeTrack];

    /// What fills a space.
    pub fn of(space: &Space) -> Self {
        if space.is_sound() { Self::AnalyzeTrack } else { Self::EmbedTrack }
    }

    /// The name it has in the queue and on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::EmbedTrack => "embed_track",
            Self::EmbedIfNeeded => "embed_if_needed",
            Self::AnalyzeTrack => "analyze_track",
        }
    }

    /// Reads what [`JobKind::name`] writes.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// What goes first; 0 is the highest, as Celery on Redis counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// A person just touched this track and waits.
    Interactive,
    /// Created or updated by a program.
    Normal,
    /// Part of a scan or an import.
    Bulk,
    /// Found by the reconciler.
    Background,
}

impl Priority {
    /// The priority with that number: of Redis' four classes the one it falls in.
    pub fn at(level: i64) -> Option<Self> {
        match level {
            0..=2 => Some(Self::Interactive),
            3..=5 => Some(Self::Normal),
            6..=8 => Some(Self::Bulk),
            9 => Some(Self::Background),
            _ => None,
        }
    }

    /// Its number: 0, 3, 6, 9.
    pub fn level(self) -> i64 {
        match self {
            Self::Interactive => 0,
            Self::Normal => 3,
            Self::Bulk => 6,
            Self::Background => 9,
        }
    }
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobState {
    /// Waits to be claimed, perhaps until a moment in the future.
    Available,
    /// Claimed, with a lease that runs.
    Running,
    /// Given up, with its reason; a person can retry it.
    Discarded,
}

impl JobState {
    /// The name it has in the queue and on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Running => "running",
            Self::Discarded => "discarded",
        }
    }

    /// Reads what [`JobState::name`] writes.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Available, Self::Running, Self::Discarded].into_iter().find(|state| state.name() == name)
    }
}

/// One thing to do: data only.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Its number.
    pub id: JobId,
    /// What is to be done.
    pub kind: JobKind,
    /// For which track.
    pub track_id: TrackId,
    /// In which space.
    pub space: Space,
    /// How often it was tried.
    pub attempts: Attempts,
    /// What the message itself says of the track, for a worker that has no catalogue to ask. Nothing in a database.
    pub told: Option<Box<TrackFields>>,
}

/// A job to be queued.
#[derive(Clone, Debug, PartialEq)]
pub struct NewJob {
    /// What is to be done.
    pub kind: JobKind,
    /// For which track.
    pub track_id: TrackId,
    /// In which space.
    pub space: Space,
    /// How soon.
    pub priority: Priority,
    /// Not before so much time has passed.
    pub delay: Duration,
    /// What is known of the track, for queues whose workers may have no catalogue to ask.
    pub told: Option<Box<TrackFields>>,
}

/// Which of the jobs that were given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Discarded {
    /// This one.
    One(JobId),
    /// Those of a kind.
    Kind(JobKind),
    /// All of them.
    All,
}

/// A claimed job: whoever holds it has until the lease ends to settle it or to ask for more time.
#[derive(Clone, Debug, PartialEq)]
pub struct Lease {
    /// What is to be done.
    pub job: Job,
    /// Proof of this claim.
    pub token: LeaseToken,
    /// When another may claim the job.
    pub expires_at: Timestamp,
    /// How many claims of this job before ended without a word: whoever held it may have died of it.
    pub lost: u32,
}

/// Why a job did not succeed, and so what becomes of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Setback {
    /// Failed, may succeed next time: spends an attempt.
    Retry {
        /// How long to wait.
        delay: Duration,
        /// What went wrong.
        reason: String,
    },
    /// A service is away: spends no attempt.
    Snooze {
        /// How long to wait.
        delay: Duration,
        /// Which service, and why.
        reason: String,
    },
    /// Will never succeed: kept with its reason.
    Discard {
        /// What is wrong with the track.
        reason: String,
    },
}

/// A job as a person sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct JobSummary {
    /// What is to be done, for whom.
    pub job: Job,
    /// Where it stands.
    pub state: JobState,
    /// Its priority's number.
    pub priority: i64,
    /// When it may be claimed.
    pub run_at: Timestamp,
    /// Why it waits or was given up.
    pub reason: Option<String>,
}
