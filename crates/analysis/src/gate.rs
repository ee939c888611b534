//! Whether now is the time to hear files.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use soniquebay_domain::{Analyses, JobQueue, MakeError, StoreError, Vectorizer};

/// How long a look at what waits holds.
const HOLDS: Duration = Duration::from_secs(1);

/// Vectors of what tracks say go first where more than so many wait; the few that follow from what was just heard hold
/// nothing up.
const FEW: u64 = 32;

/// Hours of the day at which files are heard, by local time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hours {
    from: u8,
    to: u8,
}

/// A text names no hours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names no hours of the day: write FROM-TO, such as 22-7")]
pub struct HoursError(String);

impl std::str::FromStr for Hours {
    type Err = HoursError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let hour = |digits: &str| digits.trim().parse().ok().filter(|hour: &u8| *hour <= 24).map(|hour| hour % 24);
        let named = text.split_once('-').and_then(|(from, to)| Some(Self { from: hour(from)?, to: hour(to)? }));
        named.ok_or_else(|| HoursError(text.chars().take(40).collect()))
    }
}

impl Hours {
    /// Whether this hour of the day, 0 to 23, is one of them. From an hour to itself is the whole day.
    pub fn hold(self, hour: u8) -> bool {
        match self.from.cmp(&self.to) {
            std::cmp::Ordering::Less => (self.from..self.to).contains(&hour),
            std::cmp::Ordering::Equal => true,
            std::cmp::Ordering::Greater => hour >= self.from || hour < self.to,
        }
    }
}

impl std::fmt::Display for Hours {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.from, self.to)
    }
}

/// Says whether now is the time.
pub struct Gate {
    analyses: Arc<dyn Analyses>,
    /// Where vectors of what tracks say wait to be made.
    queue: Arc<dyn JobQueue>,
    /// What makes them; where none can, nobody waits for them.
    text: Vec<Arc<dyn Vectorizer>>,
    hours: Option<Hours>,
    hour_now: fn() -> u8,
    looked: Mutex<Option<(Instant, Result<(), MakeError>)>>,
}

impl Gate {
    /// Files are heard where nobody paused it in `analyses`, and few vectors of `text` wait in `queue`.
    pub fn new(analyses: Arc<dyn Analyses>, queue: Arc<dyn JobQueue>, text: Vec<Arc<dyn Vectorizer>>) -> Self {
        Self { analyses, queue, text, hours: None, hour_now: local_hour, looked: Mutex::new(None) }
    }

    /// The same, at these hours alone.
    #[must_use]
    pub fn at(self, hours: Option<Hours>) -> Self {
        Self { hours, ..self }
    }

    /// The same, by another clock.
    #[must_use]
    pub fn by_clock(self, hour_now: fn() -> u8) -> Self {
        Self { hour_now, ..self }
    }

    /// Whether a file may be heard now.
    pub(crate) async fn check(&self) -> Result<(), MakeError> {
        if let Some(hours) = self.hours.filter(|hours| !hours.hold((self.hour_now)())) {
            return Err(MakeError::Away(format!("files are heard at the hours {hours}")));
        }
        if self.analyses.analysis_paused().await.map_err(away)? {
            return Err(MakeError::Away("the analysis is paused: `soniquebay analysis resume` goes on".into()));
        }
        // Counting goes through all jobs: not before each file.
        let known = self.looked.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((when, answer)) = known
            && when.elapsed() < HOLDS
        {
            return answer;
        }
        let answer = self.after_text().await;
        *self.looked.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), answer.clone()));
        answer
    }

    async fn after_text(&self) -> Result<(), MakeError> {
        if self.queue.counts_by_work().await.map_err(away)?.embedding.under_way() <= FEW {
            return Ok(());
        }
        for vectorizer in &self.text {
            if vectorizer.health().await.is_ok() {
                return Err(MakeError::Away("vectors of what tracks say go first".into()));
            }
        }
        Ok(())
    }
}

#[expect(clippy::needless_pass_by_value, reason = "what `map_err` gives")]
fn away(error: StoreError) -> MakeError {
    MakeError::Away(error.to_string())
}

fn local_hour() -> u8 {
    u8::try_from(jiff::Zoned::now().hour()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use async_trait::async_trait;
    use soniquebay_domain::{
        Analyses, Catalog, Change, Database, EmbedError, Priority, Space, SystemClock, Target, TrackFields, TrackPatch,
        TrackWrite, Vector, Vectorizer, WriteMode,
    };
    use soniquebay_store::sqlite::SqliteStore;

    use super::{FEW, Gate, Hours};

    /// A model that is there, or is not.
    struct Model(Space, Result<(), EmbedError>);

    #[async_trait]
    impl Vectorizer for Model {
        fn space(&self) -> &Space {
            &self.0
        }

        fn text_dims(&self) -> usize {
            self.0.dims()
        }

        async fn vectorize(&self, _: Vec<TrackFields>) -> Result<Vec<Vector>, EmbedError> {
            Err(EmbedError::Overloaded)
        }

        async fn vectorize_query(&self, _: String) -> Result<Vector, EmbedError> {
            Err(EmbedError::Overloaded)
        }

        async fn health(&self) -> Result<(), EmbedError> {
            self.1.clone()
        }
    }

    #[tokio::test]
    async fn files_wait_for_their_hour_for_a_word_and_for_what_tracks_say() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("library.db"), Arc::new(SystemClock)).await.unwrap();
        let (store, space) = (Arc::new(store), Space::parse("m/4/1").unwrap());
        store.want_spaces(vec![space.clone()]).await.unwrap();
        let gate = |health| {
            let model: Arc<dyn Vectorizer> = Arc::new(Model(space.clone(), health));
            Gate::new(store.clone(), store.clone(), vec![model])
        };
        assert_eq!(gate(Ok(())).check().await, Ok(()));
        let night = Some("22-7".parse().unwrap());
        assert!(gate(Ok(())).at(night).by_clock(|| 12).check().await.is_err());
        assert_eq!(gate(Ok(())).at(night).by_clock(|| 23).check().await, Ok(()));
        let open = gate(Ok(()));
        assert_eq!(open.check().await, Ok(()));
        store.pause_analysis(true).await.unwrap();
        assert!(open.check().await.is_err_and(|why| why.to_string().contains("resume")), "at once");
        store.pause_analysis(false).await.unwrap();
        let write = |n| TrackWrite {
            target: Target::Recognised { id: None },
            mode: WriteMode::Merge,
            patch: TrackPatch { title: Change::Set(format!("Song {n}")), ..TrackPatch::default() },
            priority: Priority::Bulk,
        };
        store.apply((0..=FEW).map(write).collect()).await.unwrap();
        assert!(gate(Ok(())).check().await.is_err_and(|why| why.to_string().contains("go first")));
        let missing = Err(EmbedError::ModelMissing { model: "m".into() });
        assert_eq!(gate(missing).check().await, Ok(()), "nobody waits for what nobody makes");
    }

    #[test]
    fn hours_may_go_over_midnight() {
        let night: Hours = "22-7".parse().unwrap();
        let at: Vec<u8> = (0..24).filter(|hour| night.hold(*hour)).collect();
        assert_eq!(at, [0, 1, 2, 3, 4, 5, 6, 22, 23]);
        let day: Hours = " 9 - 17 ".parse().unwrap();
        assert!(day.hold(9) && day.hold(16) && !day.hold(17) && !day.hold(8));
        assert!((0..24).all(|hour| "0-24".parse::<Hours>().unwrap().hold(hour)), "a whole day");
        for wrong in ["", "22", "22-", "-7", "25-3", "a-b", "1-2-3"] {
            assert!(wrong.parse::<Hours>().is_err(), "{wrong}");
        }
    }
}
