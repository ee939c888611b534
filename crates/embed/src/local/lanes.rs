//! The queue in front of the worker threads: what somebody waits for goes first.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use soniquebay_domain::Purpose;

/// Jobs that may wait per lane. At 10 to 30 ms per query, a caller behind a full lane would
/// wait about a second: better to be told so at once.
const WAITING_JOBS: usize = 64;

/// Two lanes of work, queries and documents. A job waits in its lane until a worker splits
/// it into pieces, which any worker can take.
///
/// Order: pieces before jobs, so that begun work is finished first; queries before
/// documents, so that a query waits for one document piece at most.
#[derive(Debug)]
pub(crate) struct Lanes<J, P> {
    state: Mutex<State<J, P>>,
    changed: Condvar,
}

#[derive(Debug)]
struct State<J, P> {
    queries: Lane<J, P>,
    documents: Lane<J, P>,
    closed: bool,
}

#[derive(Debug)]
struct Lane<J, P> {
    pieces: VecDeque<P>,
    jobs: VecDeque<J>,
}

/// What a worker took from the queue.
#[derive(Debug, PartialEq)]
pub(crate) enum Work<J, P> {
    /// A job to split, and the lane its pieces belong to.
    Job(J, Purpose),
    /// A piece to do.
    Piece(P),
}

/// The lane holds as many jobs as may wait, or the queue is closed.
#[derive(Debug, PartialEq)]
pub(crate) struct Full;

impl<J, P> Lanes<J, P> {
    pub(crate) fn new() -> Lanes<J, P> {
        let lane = || Lane { pieces: VecDeque::new(), jobs: VecDeque::new() };
        Lanes {
            state: Mutex::new(State { queries: lane(), documents: lane(), closed: false }),
            changed: Condvar::new(),
        }
    }

    /// Adds a job at the end of its lane.
    pub(crate) fn submit(&self, job: J, purpose: Purpose) -> Result<(), Full> {
        let mut state = self.lock();
        let closed = state.closed;
        let jobs = &mut state.lane(purpose).jobs;
        if closed || jobs.len() >= WAITING_JOBS {
            return Err(Full);
        }
        jobs.push_back(job);
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// Adds the pieces of a job. There is no limit: the job was admitted before.
    pub(crate) fn add_pieces(&self, pieces: impl IntoIterator<Item = P>, purpose: Purpose) {
        let mut state = self.lock();
        if !state.closed {
            state.lane(purpose).pieces.extend(pieces);
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Waits for the most urgent work; `None` once the queue is closed.
    pub(crate) fn take(&self) -> Option<Work<J, P>> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            for purpose in [Purpose::Query, Purpose::Document] {
                let lane = state.lane(purpose);
                if let Some(piece) = lane.pieces.pop_front() {
                    return Some(Work::Piece(piece));
                }
                if let Some(job) = lane.jobs.pop_front() {
                    return Some(Work::Job(job, purpose));
                }
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Drops all waiting work and sends the workers home.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        for purpose in [Purpose::Query, Purpose::Document] {
            let lane = state.lane(purpose);
            lane.pieces.clear();
            lane.jobs.clear();
        }
        drop(state);
        self.changed.notify_all();
    }

    /// A panic cannot happen between two changes that belong together, so a poisoned queue
    /// is still a sound one.
    fn lock(&self) -> MutexGuard<'_, State<J, P>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<J, P> State<J, P> {
    fn lane(&mut self, purpose: Purpose) -> &mut Lane<J, P> {
        match purpose {
            Purpose::Query => &mut self.queries,
            Purpose::Document => &mut self.documents,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_overtake_documents_and_pieces_overtake_jobs() {
        let lanes = Lanes::new();
        lanes.submit("document job", Purpose::Document).unwrap();
        lanes.add_pieces(["document piece"], Purpose::Document);
        lanes.submit("query job", Purpose::Query).unwrap();
        lanes.add_pieces(["query piece 1", "query piece 2"], Purpose::Query);
        let taken: Vec<_> = (0..5).map(|_| lanes.take().unwrap()).collect();
        assert_eq!(
            taken,
            [
                Work::Piece("query piece 1"),
                Work::Piece("query piece 2"),
                Work::Job("query job", Purpose::Query),
                Work::Piece("document piece"),
                Work::Job("document job", Purpose::Document),
            ]
        );
    }

    #[test]
    fn a_full_lane_refuses_and_leaves_the_other_open() {
        let lanes: Lanes<usize, ()> = Lanes::new();
        for job in 0..WAITING_JOBS {
            lanes.submit(job, Purpose::Document).unwrap();
        }
        assert_eq!(lanes.submit(0, Purpose::Document), Err(Full));
        lanes.submit(0, Purpose::Query).unwrap();
        lanes.take().unwrap();
        lanes.take().unwrap();
        lanes.submit(0, Purpose::Document).unwrap();
    }

    #[test]
    fn closing_wakes_and_empties() {
        let lanes: Lanes<(), ()> = Lanes::new();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| lanes.take());
            lanes.close();
            assert_eq!(waiting.join().unwrap(), None);
        });
        assert_eq!(lanes.submit((), Purpose::Query), Err(Full));
        lanes.add_pieces([()], Purpose::Query);
        assert_eq!(lanes.take(), None);
    }
}
