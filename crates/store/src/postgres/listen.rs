use std::sync::Arc;
use std::time::Duration;

use futures_util::future::poll_fn;
use soniquebay_domain::StoreError;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_postgres::AsyncMessage;

use super::connection::Server;

/// How long after a connection was lost the next one is tried, at first and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));

/// Hears when any process made work, on a connection of its own. Ends with the store.
pub(super) struct Listener {
    jobs: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Listener {
    pub(super) fn start(server: Server) -> Self {
        let jobs = Arc::new(Notify::new());
        Self { task: tokio::spawn(listen(server, Arc::clone(&jobs))), jobs }
    }

    /// Resolves when jobs may be there.
    pub(super) async fn jobs(&self) {
        self.jobs.notified().await;
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen(server: Server, jobs: Arc<Notify>) {
    let (shortest, longest) = PAUSES;
    let mut pause = shortest;
    loop {
        match until_lost(&server, &jobs).await {
            Ok(()) => pause = shortest,
            Err(error) => {
                if pause == shortest {
                    tracing::warn!(%error, "No notifications from PostgreSQL: work is looked for every second instead");
                }
                pause = (pause * 2).min(longest);
            }
        }
        tokio::time::sleep(pause).await;
    }
}

/// Listens until the connection ends; an error where it could not begin.
async fn until_lost(server: &Server, jobs: &Notify) -> Result<(), StoreError> {
    let (client, mut connection) = server.alone().await?;
    let mut listening = std::pin::pin!(client.batch_execute("LISTEN soniquebay_jobs"));
    let mut begun = false;
    loop {
        tokio::select! {
            done = &mut listening, if !begun => {
                done.map_err(|error| server.told(error))?;
                begun = true;
                // What was written before we listened.
                jobs.notify_one();
            }
            message = poll_fn(|context| connection.poll_message(context)) => match message {
                Some(Ok(AsyncMessage::Notification(_))) => {
                    // Which of those who wait can do it is not known here; one that is about to wait looks again.
                    jobs.notify_waiters();
                    jobs.notify_one();
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Ok(()),
            },
        }
    }
}
