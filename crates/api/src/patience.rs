//! A connection that is closed where the other end stops reading.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// Reads as `io` does. Writes fail where for so long not a byte could be written, as what waits to be written is held
/// in memory.
pub(crate) struct Patience<T> {
    io: T,
    allowed: Duration,
    /// Runs from when a write first had to wait to when one succeeds; boxed, as a timer must not be moved.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<T: Unpin> Patience<T> {
    pub(crate) fn new(io: T, allowed: Duration) -> Self {
        Self { io, allowed, waiting: None }
    }

    /// Does something that writes, with the time it may wait.
    fn patiently<R>(
        &mut self,
        context: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut T>, &mut Context<'_>) -> Poll<io::Result<R>>,
    ) -> Poll<io::Result<R>> {
        if let Poll::Ready(result) = write(Pin::new(&mut self.io), context) {
            self.waiting = None;
            return Poll::Ready(result);
        }
        let allowed = self.allowed;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + allowed)));
        ready!(waiting.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read")))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Patience<T> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_read(context, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Patience<T> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().patiently(context, |io, context| io.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().patiently(context, |io, context| io.poll_write_vectored(context, parts))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().patiently(context, |io, context| io.poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().patiently(context, |io, context| io.poll_shutdown(context))
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::Patience;

    #[tokio::test]
    async fn a_reader_may_be_slow_and_not_dead() {
        let (ours, mut theirs) = tokio::io::duplex(10);
        let mut ours = Patience::new(ours, Duration::from_secs(2));
        let reader = tokio::spawn(async move {
            let mut part = [0; 10];
            for _ in 0..5 {
                tokio::time::sleep(Duration::from_millis(500)).await;
                theirs.read_exact(&mut part).await.unwrap();
            }
            theirs
        });
        // Takes 2.5 s in all, and never 2 s without a byte.
        ours.write_all(&[1; 50]).await.unwrap();
        let _open = reader.await.unwrap();
        ours.write_all(&[1; 10]).await.unwrap();
        assert_eq!(ours.write_all(&[1; 10]).await.unwrap_err().kind(), ErrorKind::TimedOut);
    }
}
