use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use soniquebay_domain::{EmbedError, Space, SpaceSize};
use tokio_util::sync::CancellationToken;

use crate::exit::End;
use crate::library::Library;

/// Where another process makes the vectors, how long it may make none before whoever waits is told and goes.
const STALLED: Duration = Duration::from_secs(120);

/// How often a bar moves and a watcher looks.
const TICK: Duration = Duration::from_millis(150);

/// Makes every vector that is missing, with a progress bar, and returns when all are there. Where another process works on
/// the same data, a `serve` or a second import, it does the work and this watches; where that one leaves, this takes over.
/// With `sound`, files are heard, too.
pub(crate) async fn bring_up_to_date(library: &Library, sound: bool, stop: &CancellationToken) -> anyhow::Result<()> {
    let bar = bar(0, "tracks");
    let mut told = false;
    let (mut before, mut moved) = (u64::MAX, Instant::now());
    let result = loop {
        match library.folder.try_lock("vectorizing")? {
            Ok(_held) => break work(library, sound, &bar, stop).await,
            Err(holder) => {
                let (text, files) = (left(library).await?, if sound { unheard(library).await? } else { 0 });
                let waiting = text + files;
                if waiting == 0 || stop.is_cancelled() {
                    break Ok(());
                }
                // A server without a model would be watched for ever, as would one that was told to pause.
                check_model(library, text).await?;
                if text == 0 && library.store.analysis_paused().await? {
                    break Ok(());
                }
                if !std::mem::replace(&mut told, true) {
                    bar.println(format!("{} makes the vectors", holder.0));
                }
                if std::mem::replace(&mut before, waiting) != waiting {
                    moved = Instant::now();
                } else if text > 0 && moved.elapsed() > STALLED && nobody_works(library).await? {
                    // It may work for other settings than ours, with a server that is away. What takes long is waited for.
                    break check_nothing_waits(library).await;
                }
                show(&bar, waiting);
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(TICK) => {}
                }
            }
        }
    };
    bar.finish_and_clear();
    result?;
    if stop.is_cancelled() {
        return Err(End::Interrupted.into());
    }
    let given_up = library.store.counts_by_work().await?.embedding.discarded;
    if given_up > 0 {
        crate::output::note(&format!(
            "{given_up} tracks were given up: `soniquebay serve` lists the reasons at /api/jobs?state=discarded"
        ));
    }
    Ok(())
}

/// Works through the jobs of a library whose lock is held.
async fn work(library: &Library, sound: bool, bar: &ProgressBar, stop: &CancellationToken) -> anyhow::Result<()> {
    library.store.release_orphans().await?;
    library.want_spaces().await?;
    library.store.reconcile().await?;
    let waiting = left(library).await?;
    if waiting > 0 {
        check_model(library, waiting).await?;
        embed(library, bar, stop).await?;
    }
    if sound && !stop.is_cancelled() {
        hear(library, bar, stop).await?;
    }
    Ok(())
}

/// Makes every vector of what tracks say.
async fn embed(library: &Library, bar: &ProgressBar, stop: &CancellationToken) -> anyhow::Result<()> {
    let worker = library.worker(|_| {});
    let work = worker.drain(stop);
    tokio::pin!(work);
    loop {
        show(bar, left(library).await?);
        tokio::select! {
            result = &mut work => {
                result?;
                break;
            }
            () = tokio::time::sleep(TICK) => {}
        }
    }
    if stop.is_cancelled() { Ok(()) } else { check_nothing_waits(library).await }
}

/// Hears every file, and makes anew what follows from it.
async fn hear(library: &Library, bar: &ProgressBar, stop: &CancellationToken) -> anyhow::Result<()> {
    let Some(analyst) = library.analyst(|_| {})? else { return Ok(()) };
    bar.reset();
    bar.set_length(0);
    bar.set_message("files heard");
    loop {
        let before = unheard(library).await?;
        let work = analyst.drain(stop);
        tokio::pin!(work);
        loop {
            show(bar, unheard(library).await?);
            tokio::select! {
                result = &mut work => {
                    result?;
                    break;
                }
                () = tokio::time::sleep(TICK) => {}
            }
        }
        // What was heard counts from now on, and waits for nobody.
        if left(library).await? > 0 && !stop.is_cancelled() {
            embed(library, bar, stop).await?;
        }
        let now = unheard(library).await?;
        if now == 0 || now >= before || stop.is_cancelled() {
            bar.set_message("");
            return Ok(());
        }
    }
}

/// Files that are still to be heard, those that were given up aside.
async fn unheard(library: &Library) -> anyhow::Result<u64> {
    Ok(library.store.counts_by_work().await?.analysis.under_way())
}

/// Says so where jobs are left that will be tried again: a service was away, or a track failed for now.
async fn check_nothing_waits(library: &Library) -> anyhow::Result<()> {
    let counts = library.store.counts_by_work().await?.embedding;
    let waiting = counts.available + counts.scheduled + counts.running;
    if waiting == 0 {
        return Ok(());
    }
    let some = library.store.jobs(None, None, 100).await?;
    let reason = some
        .into_iter()
        .filter(|job| !job.job.space.is_sound())
        .find_map(|job| job.reason)
        .unwrap_or_else(|| "they were not reached".into());
    Err(End::Partly(format!("{waiting} tracks have no vector yet and will be tried again: {reason}")).into())
}

/// Whether no text is being embedded at this moment.
async fn nobody_works(library: &Library) -> anyhow::Result<bool> {
    Ok(library.store.counts_by_work().await?.embedding.running == 0)
}

async fn check_model(library: &Library, waiting: u64) -> anyhow::Result<()> {
    match library.health().await {
        Ok(()) => Ok(()),
        Err(EmbedError::ModelMissing { .. }) => {
            crate::output::note(&format!("{waiting} tracks wait for their vectors."));
            Err(End::ModelMissing.into())
        }
        Err(error) => Err(error.into()),
    }
}

/// Jobs that are still to be done, those that were given up aside.
async fn left(library: &Library) -> anyhow::Result<u64> {
    Ok(library.store.counts_by_work().await?.embedding.under_way())
}

fn show(bar: &ProgressBar, left: u64) {
    let total = bar.length().unwrap_or(0).max(left);
    bar.set_length(total);
    bar.set_position(total - left);
}

/// How many tracks have their vector in the preferred space.
pub(crate) async fn ready(library: &Library) -> anyhow::Result<u64> {
    let coverage = library.store.coverage().await?;
    Ok(coverage.iter().find(|of| of.space == *library.preferred()).map_or(0, |of| of.ready))
}

/// The space that is filled, where a server with other settings decides it.
pub(crate) async fn other_space(library: &Library) -> anyhow::Result<Option<Space>> {
    let mut wanted = library.store.spaces().await?.into_iter().filter(|size| size.wanted);
    let is_ours = |size: &SpaceSize| size.space == *library.preferred();
    Ok(match wanted.next() {
        Some(first) if !is_ours(&first) && !wanted.any(|size| is_ours(&size)) => Some(first.space),
        _ => None,
    })
}

/// A bar on standard error with rate and time left; nothing where that is no terminal.
pub(crate) fn bar(total: u64, unit: &str) -> ProgressBar {
    let template = format!("{{bar:30}} {{pos}}/{{len}} {unit}  {{rate}}  {{eta}} left  {{msg}}");
    let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let rate = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
        let _ = write!(out, "{:.0}/s", state.per_sec());
    };
    ProgressBar::new(total).with_style(style.with_key("rate", rate))
}
