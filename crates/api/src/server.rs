//! The accept loop. `axum::serve` gives hyper no timer, so that a client that never ends its headers is held forever.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tower::Service;

use crate::connections::{Answering, Connections, State};
use crate::patience::Patience;

/// Bytes of a request's head.
const HEAD_BYTES: usize = 64 * 1024;

/// How much one listener takes on.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at one time. Where there are more, those give way that have asked nothing for longest. Another machine's
    /// may be half of them.
    pub connections: usize,
    /// How long a client may take for the head of a request.
    pub header_time: Duration,
    /// How long an answer may wait for a client that does not read it.
    pub write_time: Duration,
    /// How long requests may go on after shutdown was asked for.
    pub drain_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // Two listeners and all else stay below the 1,024 files that a process may usually open.
            connections: 400,
            header_time: Duration::from_secs(10),
            write_time: Duration::from_secs(30),
            drain_time: Duration::from_secs(10),
        }
    }
}

/// Serves `router` until `shutdown` resolves, then lets requests that run come to their end within the limit.
///
/// Handlers find the client's address as [`ConnectInfo<SocketAddr>`].
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, shutdown: impl Future<Output = ()>) {
    let places = Connections::new(limits.connections);
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.header_time).max_buf_size(HEAD_BYTES);
    tokio::pin!(shutdown);
    loop {
        let accepted = async {
            let (stream, peer) = accept(&listener).await;
            (stream, peer, places.place(peer.ip().to_canonical()).await)
        };
        let (stream, peer, place) = tokio::select! {
            accepted = accepted => accepted,
            () = &mut shutdown => break,
        };
        let stream = TokioIo::new(Patience::new(stream, limits.write_time));
        let connection = graceful.watch(http.serve_connection(stream, answering(&router, peer, &place.state)));
        connections.spawn(async move {
            tokio::select! {
                ended = connection => if let Err(error) = ended {
                    tracing::debug!(%error, %peer, "A connection ended early");
                },
                () = place.state.let_go.cancelled() => {
                    tracing::debug!(%peer, "A connection that asked nothing gave way to another one");
                }
            }
        });
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    if tokio::time::timeout(limits.drain_time, graceful.shutdown()).await.is_err() {
        tracing::warn!(connections = connections.len(), "Connections that did not end in time are closed");
    }
    connections.shutdown().await;
}

/// The next connection. Failing to accept is the client's fault, or too many open files, which pass.
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // Answers are written at once; waiting to fill a packet would only delay them.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "TCP_NODELAY is not set");
                }
                return (stream, peer);
            }
            Err(error) => {
                tracing::warn!(%error, "A connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

type Answer = std::pin::Pin<Box<dyn Future<Output = Result<axum::response::Response, Infallible>> + Send>>;

fn answering(
    router: &Router,
    peer: SocketAddr,
    state: &Arc<State>,
) -> impl hyper::service::Service<
    Request<Incoming>,
    Response = axum::response::Response,
    Error = Infallible,
    Future = Answer,
> + use<> {
    let (router, state) = (router.clone(), Arc::clone(state));
    service_fn(move |request: Request<Incoming>| {
        let asking = state.asks();
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        let mut router = router.clone();
        Box::pin(async move {
            let response = router.call(request).await?;
            Ok(response.map(|body| Body::new(Answering { body, _asking: asking })))
        }) as Answer
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::Router;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::oneshot;

    use super::{HEAD_BYTES, Limits, serve};

    async fn start(limits: Limits) -> (std::net::SocketAddr, oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let slow = get(|| async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            "done"
        });
        let router = Router::new().route("/", get(|| async { "hello" })).route("/slow", slow);
        let server = tokio::spawn(serve(listener, router, limits, async move {
            stopped.await.ok();
        }));
        (address, stop, server)
    }

    async fn ask(address: std::net::SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn a_request_that_runs_is_answered_after_shutdown() {
        let (address, stop, server) = start(Limits::default()).await;
        assert!(ask(address, "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.ends_with("hello"));
        let slow = tokio::spawn(async move { ask(address, "GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await });
        tokio::time::sleep(Duration::from_millis(100)).await;
        stop.send(()).unwrap();
        assert!(slow.await.unwrap().ends_with("done"));
        server.await.unwrap();
        assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
    }

    #[tokio::test]
    async fn a_client_that_never_ends_its_headers_is_let_go() {
        let limits = Limits { header_time: Duration::from_millis(200), ..Limits::default() };
        let (address, _stop, _server) = start(limits).await;
        let answer = tokio::time::timeout(Duration::from_secs(5), ask(address, "GET / HTTP/1.1\r\nx: ")).await;
        assert!(!answer.unwrap().contains("200"));
    }

    #[tokio::test]
    async fn who_asks_nothing_gives_way_to_who_asks() {
        let limits = Limits { connections: 10, ..Limits::default() };
        let (address, _stop, _server) = start(limits).await;
        let mut idle = Vec::new();
        for _ in 0..50 {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\nx: ").await.unwrap();
            idle.push(stream);
        }
        let asked = (0..10).map(|_| ask(address, "GET /slow HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"));
        let answers =
            tokio::time::timeout(Duration::from_secs(5), futures_util::future::join_all(asked)).await.unwrap();
        assert!(answers.iter().all(|answer| answer.ends_with("done")), "{answers:?}");
        let mut rest = String::new();
        assert_eq!(idle[0].read_to_string(&mut rest).await.unwrap_or_default(), 0, "let go without a word");
    }

    #[tokio::test]
    async fn a_head_that_does_not_end_is_refused() {
        let (address, _stop, _server) = start(Limits::default()).await;
        let head = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(10 * HEAD_BYTES));
        let mut stream = TcpStream::connect(address).await.unwrap();
        // It is closed while it still writes: either end may be the one to notice.
        let (mut answer, _) = (Vec::new(), stream.write_all(head.as_bytes()).await);
        let _ = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await.unwrap();
        assert!(!String::from_utf8_lossy(&answer).contains(" 200 "));
    }

    #[tokio::test]
    async fn connections_that_do_not_end_are_closed() {
        let limits = Limits { drain_time: Duration::from_millis(50), ..Limits::default() };
        let (address, stop, server) = start(limits).await;
        let slow = tokio::spawn(async move { ask(address, "GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await });
        tokio::time::sleep(Duration::from_millis(100)).await;
        stop.send(()).unwrap();
        tokio::time::timeout(Duration::from_millis(200), server).await.unwrap().unwrap();
        assert_eq!(slow.await.unwrap(), "");
    }
}
