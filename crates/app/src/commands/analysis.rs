//! `soniquebay analysis`: whether files are heard now.

use serde::Serialize;
use soniquebay_wire::JobCountsView;

use crate::cli::{AnalysisCommand, Cli};
use crate::library::Library;
use crate::output;

#[derive(Serialize)]
struct StatusJson {
    paused: bool,
    jobs: JobCountsView,
    heard: u64,
}

pub(crate) async fn run(cli: &Cli, command: &AnalysisCommand) -> anyhow::Result<()> {
    let library = Library::open(cli).await?;
    match command {
        AnalysisCommand::Pause => {
            library.store.pause_analysis(true).await?;
            output::line("no further file is heard until `soniquebay analysis resume`")
        }
        AnalysisCommand::Resume => {
            library.store.pause_analysis(false).await?;
            output::line("files are heard again")
        }
        AnalysisCommand::Status { json } => {
            let paused = library.store.analysis_paused().await?;
            let counts = library.work.queue.counts_by_work().await?.analysis;
            let spaces = library.store.coverage().await?;
            let heard = spaces.iter().find(|coverage| coverage.space == *library.sound()).map_or(0, |of| of.ready);
            if *json {
                return output::json(&StatusJson { paused, jobs: counts.into(), heard });
            }
            let state = if paused { "paused" } else { "running, as far as a server or worker runs" };
            output::line(&format!("the analysis of files is {state}"))?;
            let waiting = counts.under_way() + counts.scheduled;
            output::line(&format!("{heard} files are heard, {waiting} wait, {} were given up", counts.discarded))
        }
    }
}
