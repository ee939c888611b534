use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use soniquebay_domain::{EmbedError, JobQueue, VectorStore};
use tokio_util::sync::CancellationToken;

use crate::exit::End;
use crate::library::Library;

/// Makes every vector that is missing, with a progress bar, and returns when all are there. Where a `serve` runs on the same
/// data, it does the work and this only watches.
pub(crate) async fn bring_up_to_date(library: &Library, stop: &CancellationToken) -> anyhow::Result<()> {
    let lock = library.folder.try_lock("vectorizing")?;
    if lock.is_ok() {
        library.store.want_space(library.vectorizer.space()).await?;
        library.store.release_orphans().await?;
        library.store.reconcile().await?;
    }
    let waiting = left(library).await?;
    if waiting == 0 {
        return Ok(());
    }
    match library.vectorizer.health().await {
        Ok(()) => {}
        Err(EmbedError::ModelMissing { .. }) => {
            eprintln!("{waiting} tracks wait for their vectors.");
            return Err(End::ModelMissing.into());
        }
        Err(error) => return Err(error.into()),
    }
    let bar = bar(waiting, "tracks");
    let result = match lock {
        Ok(_held) => {
            let (worker, shown) = (library.worker(|_| {}), bar.clone());
            let work = worker.drain(stop);
            tokio::pin!(work);
            loop {
                tokio::select! {
                    result = &mut work => break result.map_err(anyhow::Error::from),
                    () = tokio::time::sleep(Duration::from_millis(150)) => show(&shown, left(library).await?),
                }
            }
        }
        Err(holder) => {
            bar.println(format!("{} makes the vectors", holder.0));
            watch(library, &bar, stop).await
        }
    };
    bar.finish_and_clear();
    result?;
    if stop.is_cancelled() { Err(End::Interrupted.into()) } else { Ok(()) }
}

async fn watch(library: &Library, bar: &ProgressBar, stop: &CancellationToken) -> anyhow::Result<()> {
    loop {
        let waiting = left(library).await?;
        show(bar, waiting);
        if waiting == 0 {
            return Ok(());
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(Duration::from_millis(150)) => {}
        }
    }
}

/// Jobs that are still to be done, those that were given up aside.
async fn left(library: &Library) -> anyhow::Result<u64> {
    let counts = library.store.job_counts().await?;
    Ok(counts.available + counts.running)
}

fn show(bar: &ProgressBar, left: u64) {
    let total = bar.length().unwrap_or(0).max(left);
    bar.set_length(total);
    bar.set_position(total - left);
}

/// How many vectors of the serving space are there.
pub(crate) async fn ready(library: &Library) -> anyhow::Result<u64> {
    let spaces = library.store.spaces().await?;
    Ok(spaces
        .iter()
        .find(|coverage| coverage.space == *library.vectorizer.space())
        .map_or(0, |coverage| coverage.ready))
}

/// A bar on standard error with rate and time left; nothing where that is no terminal.
pub(crate) fn bar(total: u64, unit: &str) -> ProgressBar {
    let template = format!("{{bar:30}} {{pos}}/{{len}} {unit}  {{per_sec}}  {{eta}} left  {{msg}}");
    let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(total).with_style(style)
}
