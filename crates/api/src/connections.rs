//! The connections that a listener holds: of all and of each address only so many, those that ask something before those that
//! wait for a client.

use std::collections::HashMap;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio_util::sync::CancellationToken;

/// How soon a full listener looks again for a connection that it can let go.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// All connections of a listener.
pub(crate) struct Connections {
    most: usize,
    /// For one address that is not this machine.
    most_of_one: usize,
    began: Instant,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    next: u64,
    all: HashMap<u64, (IpAddr, Arc<State>)>,
}

/// One connection's state.
pub(crate) struct State {
    began: Instant,
    /// Since when, in microseconds, it waits for its client to ask something; 0 while it asks.
    idle_since: AtomicU64,
    /// Whether it ever asked anything.
    has_asked: AtomicBool,
    /// Ends it.
    pub(crate) let_go: CancellationToken,
}

/// A connection's place; free again when dropped.
pub(crate) struct Place {
    connections: Arc<Connections>,
    number: u64,
    pub(crate) state: Arc<State>,
}

impl Connections {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, most_of_one: most.div_ceil(2), began: Instant::now(), held: Mutex::default() })
    }

    /// A place for a connection of this address, as soon as there is one: of those that are idle, one gives way that never asked
    /// anything, and has been idle longest.
    pub(crate) async fn place(self: &Arc<Self>, peer: IpAddr) -> Place {
        loop {
            if let Some(place) = self.try_place(peer) {
                return place;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    fn try_place(self: &Arc<Self>, peer: IpAddr) -> Option<Place> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let of_one = held.all.values().filter(|(address, _)| *address == peer).count();
        let is_one_too_many = !peer.is_loopback() && of_one >= self.most_of_one;
        if is_one_too_many || held.all.len() >= self.most {
            let candidates = held.all.iter().filter(|(_, (address, _))| !is_one_too_many || *address == peer);
            let idle = candidates.filter_map(|(number, (_, state))| {
                let since = state.idle_since.load(Ordering::Acquire);
                // Who keeps a connection to ask again comes after who never asked: a burst of those must not cost it.
                (since > 0).then_some((state.has_asked.load(Ordering::Relaxed), since, *number))
            });
            let (_, _, longest) = idle.min()?;
            // Its place counts as free at once; its task ends a moment later.
            if let Some((_, state)) = held.all.remove(&longest) {
                state.let_go.cancel();
            }
        }
        let number = held.next;
        held.next += 1;
        let state = State {
            began: self.began,
            idle_since: AtomicU64::new(0),
            has_asked: AtomicBool::new(false),
            let_go: CancellationToken::new(),
        };
        state.is_idle();
        let state = Arc::new(state);
        held.all.insert(number, (peer, Arc::clone(&state)));
        Some(Place { connections: Arc::clone(self), number, state })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.held.lock().unwrap_or_else(PoisonError::into_inner).all.remove(&self.number);
    }
}

impl State {
    fn is_idle(&self) {
        let since = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.idle_since.store(since.max(1), Ordering::Release);
    }

    /// It asks something, until what this gives is dropped.
    pub(crate) fn asks(self: &Arc<Self>) -> Asking {
        self.idle_since.store(0, Ordering::Release);
        self.has_asked.store(true, Ordering::Relaxed);
        Asking(Arc::clone(self))
    }
}

/// A request that is not answered to its end.
pub(crate) struct Asking(Arc<State>);

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.is_idle();
    }
}

/// An answer's body, during which its connection is not idle.
pub(crate) struct Answering {
    pub(crate) body: Body,
    pub(crate) _asking: Asking,
}

impl HttpBody for Answering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::{Connections, Place};

    fn is_let_go(place: &Place) -> bool {
        place.state.let_go.is_cancelled()
    }

    #[test]
    fn the_longest_idle_gives_way_and_none_that_asks() {
        let (near, far): (IpAddr, IpAddr) = ("127.0.0.1".parse().unwrap(), "192.168.1.7".parse().unwrap());
        let connections = Connections::new(4);
        let first = connections.try_place(near).unwrap();
        let asking = first.state.asks();
        let second = connections.try_place(near).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(1));
        let third = connections.try_place(far).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(1));
        let fourth = connections.try_place(far).unwrap();
        let fifth = connections.try_place(far).unwrap();
        assert!(is_let_go(&third) && !is_let_go(&second), "one address has half of the places at most");
        let sixth = connections.try_place(near).unwrap();
        assert!(is_let_go(&second) && !is_let_go(&first) && !is_let_go(&fourth));
        let _all_ask = [&fourth, &fifth, &sixth].map(|place| place.state.asks());
        assert!(connections.try_place(near).is_none(), "all of them ask");
        drop(asking);
        assert!(connections.try_place(near).is_some());
        assert!(is_let_go(&first));
        let connections = Connections::new(2);
        let kept = connections.try_place(near).unwrap();
        drop(kept.state.asks());
        std::thread::sleep(std::time::Duration::from_millis(1));
        let silent = connections.try_place(near).unwrap();
        let another = connections.try_place(near).unwrap();
        assert!(is_let_go(&silent) && !is_let_go(&kept), "who asked before is kept");
        drop((kept, silent, another));
        assert!(connections.held.lock().unwrap().all.is_empty());
    }

    #[test]
    fn places_are_free_again() {
        let near: IpAddr = "127.0.0.1".parse().unwrap();
        let connections = Connections::new(2);
        let places: Vec<Place> = (0..5).filter_map(|_| connections.try_place(near)).collect();
        assert_eq!((places.len(), connections.held.lock().unwrap().all.len()), (5, 2));
        drop(places);
        assert!(connections.held.lock().unwrap().all.is_empty());
    }
}
