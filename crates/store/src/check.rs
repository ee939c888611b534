//! A library looked over: every row that can be read, everything that follows from others computed anew, and what is wrong put
//! right where it can be.

mod jobs;
mod tracks;
mod vectors;

use async_trait::async_trait;
use soniquebay_domain::{Progress, StoreError, Track, TrackId};

use crate::transfer::Portable;

/// Rows that are read together.
const BATCH: usize = 500;

/// Ids that a fault names; more are only counted.
const NAMED: usize = 5;

/// A database that is looked after.
#[async_trait]
pub trait Maintained: Portable {
    /// Bytes that it takes on the disk.
    async fn size(&self) -> Result<u64, StoreError>;

    /// Gives room back and builds anew what has grown slow.
    async fn vacuum(&self, told: &(dyn Fn(Progress) + Sync)) -> Result<(), StoreError>;

    /// What is wrong with the database itself and with what it keeps beside its rows: indexes, full text, the change log.
    /// With `repair`, what can be made anew from the rows is.
    async fn faults(&self, repair: bool, told: &(dyn Fn(Progress) + Sync)) -> Result<Vec<Fault>, StoreError>;

    /// Those of these tracks that are filed under other names than theirs.
    async fn misfiled(&self, tracks: &[Track]) -> Result<Vec<TrackId>, StoreError>;
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Its name, which stays the same.
    pub name: &'static str,
    /// What it is, with how much of it and where.
    pub what: String,
    /// What becomes of it, or what to do.
    pub fix: Fix,
}

/// What becomes of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fix {
    /// It was put right now.
    Done,
    /// `repair` puts it right.
    Repair,
    /// It puts itself right.
    ByItself(&'static str),
    /// A person must do this.
    ByHand(&'static str),
}

impl Fault {
    pub(crate) fn new(name: &'static str, what: String, fix: Fix) -> Self {
        Self { name, what, fix }
    }

    /// One that is put right where that was asked for.
    pub(crate) fn mended(name: &'static str, what: String, repair: bool) -> Self {
        Self::new(name, what, if repair { Fix::Done } else { Fix::Repair })
    }

    /// Whether somebody has to do something about it.
    pub fn is_open(&self) -> bool {
        matches!(self.fix, Fix::Repair | Fix::ByHand(_))
    }
}

/// Looks over the whole library, and with `repair` puts right what can be made anew. `told` hears how far it is.
///
/// # Errors
/// Where the database does not answer: not where it is damaged, as far as it can be read.
pub async fn check(
    store: &dyn Maintained,
    repair: bool,
    told: &(dyn Fn(Progress) + Sync),
) -> Result<Vec<Fault>, StoreError> {
    let mut faults = store.faults(repair, told).await?;
    if faults.iter().any(|fault| fault.name == "damaged") {
        // What is read from a damaged file says little.
        return Ok(faults);
    }
    let beside = faults.len();
    faults.extend(tracks::check(store, repair, told).await?);
    faults.extend(vectors::check(store, repair, told).await?);
    if repair && faults.len() > beside {
        // What lies beside rows that were put right follows them.
        let again = store.faults(true, told).await?;
        let is_new = |fault: &Fault| faults.iter().all(|known| known.name != fault.name);
        let new: Vec<Fault> = again.into_iter().filter(is_new).collect();
        faults.extend(new);
    }
    faults.extend(jobs::check(store, repair, told).await?);
    Ok(faults)
}

/// Tracks that share a fault: how many, and the first few.
#[derive(Default)]
struct Found {
    count: u64,
    first: Vec<i64>,
}

impl Found {
    fn add(&mut self, id: i64) {
        self.count += 1;
        if self.first.len() < NAMED {
            self.first.push(id);
        }
    }

    /// "3 tracks (7, 9, 12)", or nothing.
    fn told(&self, what: &str) -> Option<String> {
        let ids: Vec<String> = self.first.iter().map(ToString::to_string).collect();
        let more = if self.count > self.first.len() as u64 { ", …" } else { "" };
        (self.count > 0).then(|| format!("{} {what} (tracks {}{more})", self.count, ids.join(", ")))
    }
}

/// What a page of rows came to.
enum Page<T> {
    Rows(Vec<T>),
    /// The row of this id cannot be read.
    Unreadable(i64),
}

/// Rows behind `after`; where one of them cannot be read, those before it, and then that one.
async fn page<T, F>(after: i64, read: impl Fn(i64, usize) -> F) -> Result<Page<T>, StoreError>
where
    F: Future<Output = Result<Vec<T>, StoreError>>,
{
    let bad = match read(after, BATCH).await {
        Err(error @ StoreError::Corrupt { .. }) => error,
        read => return read.map(Page::Rows),
    };
    // How many come before it: halved until they can be read.
    let (mut readable, mut unreadable) = (0, BATCH);
    while readable + 1 < unreadable {
        let middle = readable.midpoint(unreadable);
        match read(after, middle).await {
            Err(StoreError::Corrupt { .. }) => unreadable = middle,
            rows => {
                rows?;
                readable = middle;
            }
        }
    }
    match bad {
        _ if readable > 0 => read(after, readable).await.map(Page::Rows),
        StoreError::Corrupt { row, column, .. } => match row.parse() {
            Ok(id) => Ok(Page::Unreadable(id)),
            Err(_) => Err(StoreError::Unavailable(format!("a row behind id {after}: {column} cannot be read"))),
        },
        other => Err(other),
    }
}
