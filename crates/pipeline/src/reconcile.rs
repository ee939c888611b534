use std::time::Duration;

use soniquebay_domain::Reconcile;
use tokio_util::sync::CancellationToken;

/// Compares what is with what should be, now and every `interval`, until told to stop. Events are hints; this makes it true.
pub async fn reconcile_until(reconciler: &dyn Reconcile, interval: Duration, stop: &CancellationToken) {
    loop {
        match reconciler.reconcile().await {
            Ok(0) => {}
            Ok(made) => tracing::info!(made, "tracks without a right vector got a job"),
            Err(error) => tracing::warn!(%error, "could not compare tracks with their vectors"),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(interval) => {}
        }
    }
}
