//! `soniquebay spaces`: which spaces there are, how full each is, and dropping those of former settings.

use serde::Serialize;
use soniquebay_domain::{Space, StoreError};
use soniquebay_search::SearchError;

use crate::cli::{Cli, SpacesCommand};
use crate::exit::End;
use crate::library::Library;
use crate::output;

pub(crate) async fn run(cli: &Cli, command: &SpacesCommand) -> anyhow::Result<()> {
    let library = Library::open(cli).await?;
    match command {
        SpacesCommand::List { json } => list(&library, *json).await,
        SpacesCommand::Drop { space, even_serving } => drop_space(&library, space, *even_serving).await,
    }
}

#[derive(Serialize)]
struct Listed {
    space: String,
    /// Whether questions are answered from it now.
    serving: bool,
    /// Whether jobs fill it.
    wanted: bool,
    ready: u64,
    stale: u64,
    tracks: u64,
}

async fn list(library: &Library, json: bool) -> anyhow::Result<()> {
    let serving = library.recommender_on_disk().await?.serving.space().await?;
    let tracks = library.store.counts().await?.tracks;
    let spaces = library.store.coverage().await?.into_iter().map(|coverage| Listed {
        serving: coverage.space == serving,
        wanted: coverage.wanted,
        ready: coverage.ready,
        stale: coverage.stale,
        space: coverage.space.to_string(),
        tracks,
    });
    let spaces: Vec<Listed> = spaces.collect();
    if json {
        return output::json(&spaces);
    }
    let row = |space: Listed| {
        let role = match (space.serving, space.wanted) {
            (true, true) => "answers",
            (true, false) => "answers, until another one is as full",
            (false, true) => "is filled",
            (false, false) => "is kept; `soniquebay spaces drop` frees it",
        };
        vec![space.space, format!("{} of {}", space.ready, space.tracks), space.stale.to_string(), role.to_owned()]
    };
    output::table(&["space", "tracks", "outdated", ""], &[1, 2], spaces.into_iter().map(row))
}

async fn drop_space(library: &Library, space: &Space, even_serving: bool) -> anyhow::Result<()> {
    match library.recommender_on_disk().await?.drop_space(space, even_serving).await {
        Ok(vectors) => output::line(&format!("{space} is gone, with {vectors} vectors")),
        Err(SearchError::UnknownSpace(space)) => {
            Err(End::NotFound(format!("there is no space {space}: `soniquebay spaces list` shows what there is"))
                .into())
        }
        Err(error @ SearchError::StillServing(..)) => {
            Err(End::Usage(format!("{error}; --even-serving drops it all the same")).into())
        }
        Err(SearchError::Store(error @ StoreError::SpaceWanted(_))) => {
            Err(End::Usage(format!("{error}; choose another EMBEDDING_MODEL or TEXT_TEMPLATE first")).into())
        }
        Err(error) => Err(error.into()),
    }
}
