//! What makes vectors: the model's files here, or a server.

use std::time::{Duration, Instant};

use soniquebay_domain::{EmbedError, Purpose};
use soniquebay_embed::model_files::{ModelFiles, ModelStatus};

use super::PATIENCE;
use super::finding::{Finding, Question};
use crate::cli::{Cli, EmbeddingArgs};
use crate::data_folder::DataFolder;
use crate::models::{Models, in_process};

/// A text that takes longer makes for hours.
const SLOW: Duration = Duration::from_secs(1);

const NEEDED: [Question; 2] = [Question::NothingIsVectorized, Question::CalculationFails];

pub(super) async fn look(cli: &Cli) -> Vec<Finding> {
    let Ok(folder) = cli.data.clone().map_or_else(DataFolder::usual, Ok) else { return Vec::new() };
    let mut findings = Vec::new();
    for model in [Some(&cli.embedding.model), cli.embedding.fallback.as_ref()].into_iter().flatten() {
        if model.trim().is_empty() {
            continue;
        }
        let files = ModelFiles::all_minilm_l6_v2(&folder);
        findings.push(match in_process(model) {
            Some(_) => local(model, files, cli).await,
            None => server(model, files, &cli.embedding).await,
        });
    }
    findings
}

async fn local(model: &str, files: ModelFiles, cli: &Cli) -> Finding {
    let data = cli.data.as_ref().map(|data| format!(" --data {}", data.display())).unwrap_or_default();
    let pull = format!("soniquebay{data} model pull");
    let name = model.to_owned();
    let looked = tokio::task::spawn_blocking(move || match files.status() {
        Ok(ModelStatus::Present) => match files.verify() {
            Ok(()) => Ok(format!("{name}: its files are there, and their hashes right")),
            Err(error) => Err(format!("{name}: {error}")),
        },
        Ok(ModelStatus::Missing { file }) => Err(format!("{name} is not installed: {file} is missing")),
        Ok(ModelStatus::WrongSize { file, expected, found }) => {
            Err(format!("{name} is damaged: {file} has {found} bytes instead of {expected}"))
        }
        Err(error) => Err(format!("{name}: {error}")),
    });
    match looked.await.unwrap_or_else(|error| Err(error.to_string())) {
        Ok(found) => Finding::ok("model", found),
        Err(found) => Finding::fail("model", found, pull).answering(&NEEDED),
    }
}

/// One text is embedded: nothing less shows that the server does.
async fn server(model: &str, files: ModelFiles, args: &EmbeddingArgs) -> Finding {
    let named = match args.embedding_url.as_deref().filter(|url| !url.trim().is_empty()) {
        Some(url) => format!("the server at {}", crate::config::masked("EMBEDDING_URL", url)),
        None => format!("Ollama at {}", args.ollama),
    };
    let dimension = args.dimension.filter(|_| args.model == model);
    let only = EmbeddingArgs { model: model.to_owned(), dimension, ollama_pull: false, ..args.clone() };
    let (embedder, server) = match Models::new(files, &only, None, None).asked() {
        Ok(made) => made,
        Err(error) => return Finding::fail("model", format!("{error:#}"), "soniquebay config show").answering(&NEEDED),
    };
    let began = Instant::now();
    let ask = async {
        embedder.health().await?;
        embedder.embed(vec!["doctor".into()], Purpose::Document).await?;
        // Once more: the first may have had to load the model.
        let began = Instant::now();
        embedder.embed(vec!["How are you".into()], Purpose::Document).await?;
        Ok::<_, EmbedError>(began.elapsed())
    };
    match tokio::time::timeout(PATIENCE, ask).await {
        Ok(Ok(took)) => {
            let version = server.and_then(|server| server.server_model()).and_then(|model| model.version);
            let version = version.map(|version| format!(" {version}")).unwrap_or_default();
            let found =
                format!("{named}{version}: {model}, length {}, {} ms a text", embedder.dims(), took.as_millis());
            match took > SLOW {
                false => Finding::ok("model", found),
                true => Finding::warn("model", found, slow_fix()).answering(&[Question::ItIsSlow]),
            }
        }
        Ok(Err(error)) => {
            let told = error.to_string();
            let is_missing =
                matches!(error, EmbedError::ModelMissing { .. }) || told.contains("not found") || told.contains("pull");
            let fix = match is_missing {
                true => format!("ollama pull {model}, or OLLAMA_PULL=true"),
                false => {
                    format!("is {named} started? OLLAMA_HOST or EMBEDDING_URL say where it is; jobs wait, none is lost")
                }
            };
            Finding::fail("model", format!("{named}: {told}"), fix).answering(&NEEDED)
        }
        Err(_) => Finding::warn(
            "model",
            format!(
                "{named}: no vector of {model} within {} s; it may be loading the model",
                began.elapsed().as_secs()
            ),
            format!("try again in a minute; if it stays so, {}", slow_fix()),
        )
        .answering(&Question::ALL),
    }
}

fn slow_fix() -> &'static str {
    "give the server more cores or memory, or use the model in this process: EMBEDDING_MODEL=all-MiniLM-L6-v2-int8"
}
