//! An Ollama for tests: its rules, its errors and its ways to fail, over vectors made from a hash or by a real llama-server.
//!
//! It runs in a thread of its own, so that any test can have one, and can be stopped as a kill would stop it and started
//! again on its port. It counts tokens as words between spaces, which is not what a real server does.

mod answer;
mod engine;
mod rules;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::sync::{oneshot, watch};

pub use engine::Source;

/// What the façade has and how it behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The one model it knows.
    pub model: String,
    /// Length of its vectors.
    pub dims: usize,
    /// Words it reads of a text, with two for its ends.
    pub context: usize,
    /// Where vectors come from.
    pub source: Source,
    /// How long loading takes. Who leaves meanwhile aborts it.
    pub cold_start: Duration,
    /// How long a text takes. One is embedded at a time.
    pub a_text: Duration,
    /// Whether the model is there, or has to be pulled first.
    pub installed: bool,
}

impl State {
    /// What goes wrong with the request that has just come.
    fn fault(&mut self) -> Option<Fault> {
        if let Some(fault) = self.faults.pop_front() {
            return Some(fault);
        }
        let (each, seen) = self.fails_each.as_mut()?;
        *seen += 1;
        (*seen % *each == 0).then(|| match (*seen / *each) % 4 {
            0 => Fault::Error(500, "an error was encountered while running the model: unexpected EOF"),
            1 => Fault::Reset,
            2 => Fault::ShortCount,
            _ => Fault::Page(502, "text/html", "<html>Bad Gateway</html>".to_owned()),
        })
    }
}

impl Settings {
    /// A quick server with this model and hash vectors.
    pub fn new(model: &str, dims: usize) -> Self {
        Self {
            model: model.to_owned(),
            dims,
            context: 2048,
            source: Source::Hash,
            cold_start: Duration::ZERO,
            a_text: Duration::ZERO,
            installed: true,
        }
    }
}

/// What goes wrong with a request for vectors.
#[derive(Clone, Debug)]
pub enum Fault {
    /// An error as Ollama words it.
    Error(u16, &'static str),
    /// A page, as proxies and other servers answer it: status, kind, text.
    Page(u16, &'static str, String),
    /// The right answer with its last vector missing.
    ShortCount,
    /// No vectors at all.
    NoVectors,
    /// Each vector one number short.
    WrongDims,
    /// Each vector zeros.
    Zeros,
    /// The right answer, a byte each so often.
    Drip(Duration),
    /// Half of the right answer, then the connection is reset.
    Reset,
}

/// What has been seen so far; kept over restarts.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// Requests for vectors.
    pub requests: u64,
    /// Texts for which vectors were sent.
    pub texts: u64,
    /// Times that the model began to load.
    pub loads: u64,
    /// Loads that were aborted, as who asked for it had left.
    pub aborted_loads: u64,
    /// Requests for vectors at work now.
    pub in_flight: usize,
    /// The most there ever were.
    pub most_in_flight: usize,
    /// The most texts that one request had.
    pub most_texts: usize,
    /// Connections that were accepted.
    pub connections: u64,
    /// Requests by path, all of them.
    pub by_path: BTreeMap<String, u64>,
    /// When each request for vectors came.
    pub arrivals: Vec<Instant>,
    /// The texts of the latest request, as they were sent.
    pub latest: Vec<String>,
    /// The `Authorization` of the latest request of any kind.
    pub authorization: Option<String>,
}

/// What the connections share.
struct Shared {
    settings: Settings,
    state: Mutex<State>,
    counters: watch::Sender<Counters>,
    /// Whether the model is loaded; held while it loads.
    loaded: tokio::sync::Mutex<bool>,
    /// One text at a time.
    engine: tokio::sync::Mutex<()>,
}

struct State {
    faults: VecDeque<Fault>,
    /// A word, and status and text of the error that it causes.
    poison: Option<(String, u16, &'static str)>,
    /// Of how many requests one fails, and how many there were.
    fails_each: Option<(u64, u64)>,
    digest: String,
    installed: bool,
}

/// A running façade; stops when dropped.
pub struct Facade {
    address: SocketAddr,
    shared: Arc<Shared>,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Facade {
    /// Starts one on a free port of loopback.
    ///
    /// # Errors
    /// Where no port or thread can be had.
    pub fn start(settings: Settings) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let state = State {
            faults: VecDeque::new(),
            poison: None,
            fails_each: None,
            digest: "sha256:0a1".to_owned(),
            installed: settings.installed,
        };
        let shared = Arc::new(Shared {
            settings,
            state: Mutex::new(state),
            counters: watch::Sender::new(Counters::default()),
            loaded: tokio::sync::Mutex::new(false),
            engine: tokio::sync::Mutex::new(()),
        });
        let mut facade = Self { address, shared, running: None };
        facade.serve(listener)?;
        Ok(facade)
    }

    /// Where it listens, or did.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops as a kill would: whatever is under way is cut off, and nobody listens. Does nothing where it is stopped.
    pub fn stop(&mut self) {
        if let Some((stop, thread)) = self.running.take() {
            let _ = stop.send(());
            let _ = thread.join();
        }
    }

    /// Listens on its port again, with the model not loaded.
    ///
    /// # Errors
    /// Where somebody has taken the port meanwhile.
    pub fn restart(&mut self) -> io::Result<()> {
        self.stop();
        self.serve(TcpListener::bind(self.address)?)
    }

    /// The next requests for vectors fail so, in this order, each once.
    pub fn fail(&self, faults: impl IntoIterator<Item = Fault>) {
        self.shared.state().faults.extend(faults);
    }

    /// Faults that have not struck yet.
    pub fn faults_left(&self) -> usize {
        self.shared.state().faults.len()
    }

    /// From now on one request for vectors in so many goes wrong, each time in another way.
    pub fn fail_each(&self, requests: u64) {
        self.shared.state().fails_each = Some((requests, 0));
    }

    /// From now on each request with a text that holds `word` fails with this error.
    pub fn poison(&self, word: &str, status: u16, said: &'static str) {
        self.shared.state().poison = Some((word.to_owned(), status, said));
    }

    /// The model is another one from now on.
    pub fn set_digest(&self, digest: &str) {
        self.shared.state().digest = digest.to_owned();
    }

    /// Whether the model is there.
    pub fn set_installed(&self, installed: bool) {
        self.shared.state().installed = installed;
    }

    /// What has been seen so far.
    pub fn counters(&self) -> Counters {
        self.shared.counters.borrow().clone()
    }

    /// Waits until the counters are as asked.
    pub async fn reached(&self, as_asked: impl FnMut(&Counters) -> bool) {
        // The sender lives as long as this.
        let _ = self.shared.counters.subscribe().wait_for(as_asked).await;
    }

    fn serve(&mut self, listener: TcpListener) -> io::Result<()> {
        listener.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let shared = Arc::clone(&self.shared);
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("ollama-facade".to_owned()).spawn(move || {
            runtime.block_on(async {
                *shared.loaded.lock().await = false;
                tokio::select! {
                    _ = stopped => {}
                    _ = accept(listener, &shared) => {}
                }
            });
            // Dropping the runtime drops every connection where it stands.
        })?;
        self.running = Some((stop, thread));
        Ok(())
    }
}

impl Drop for Facade {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn accept(listener: TcpListener, shared: &Arc<Shared>) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        // What is cut off is reset, as by a server that dies.
        let _ = stream.set_zero_linger();
        let _ = stream.set_nodelay(true);
        shared.count(|counters| counters.connections += 1);
        let shared = Arc::clone(shared);
        tokio::spawn(async move {
            let service = service_fn(|request| rules::answer(Arc::clone(&shared), request));
            // A client that left, or one that was cut off.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, change: impl FnOnce(&mut Counters)) {
        self.counters.send_modify(change);
    }
}
