use std::sync::LazyLock;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Time after the second signal to give back what is held.
const LAST_WORDS: Duration = Duration::from_secs(2);

static HURRY: LazyLock<CancellationToken> = LazyLock::new(CancellationToken::new);

/// A token that the first Ctrl-C or SIGTERM cancels: what is under way ends. The second one has jobs given back at once, and
/// a third, or two seconds, end the process; leases then run out and nothing is lost.
pub(crate) fn on_signal() -> anyhow::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let told = stop.clone();
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        next().await;
        told.cancel();
        next().await;
        HURRY.cancel();
        let _ = tokio::time::timeout(LAST_WORDS, next()).await;
        std::process::exit(130);
    });
    Ok(stop)
}

/// Cancelled by the second signal.
pub(crate) fn hurry() -> CancellationToken {
    HURRY.clone()
}
