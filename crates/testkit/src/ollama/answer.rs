//! Answers, whole or spoilt.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::Value;
use tokio::time::{Interval, interval};

/// A body that comes at once, in drops, or breaks off.
pub(super) struct Answer {
    left: Bytes,
    drip: Option<Interval>,
    /// Bytes left when the connection breaks.
    breaks_at: Option<usize>,
}

impl Answer {
    pub(super) fn json(status: u16, body: &Value) -> Response<Self> {
        Self::page(status, "application/json; charset=utf-8", body.to_string())
    }

    pub(super) fn page(status: u16, kind: &'static str, text: String) -> Response<Self> {
        let mut response = Response::new(Self { left: text.into(), drip: None, breaks_at: None });
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        response
    }

    pub(super) fn drips(&mut self, every: Duration) {
        self.drip = Some(interval(every));
    }

    pub(super) fn breaks_halfway(&mut self) {
        self.breaks_at = Some(self.left.len() / 2);
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let Self { left, drip, breaks_at } = self.get_mut();
        if left.is_empty() {
            return Poll::Ready(None);
        }
        let now = match (drip, breaks_at) {
            (Some(drip), _) => {
                std::task::ready!(drip.poll_tick(cx));
                1
            }
            (None, Some(at)) if *at == left.len() => {
                return Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into())));
            }
            (None, Some(at)) => left.len() - *at,
            (None, None) => left.len(),
        };
        Poll::Ready(Some(Ok(Frame::data(left.split_to(now)))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left.len() as u64)
    }
}
