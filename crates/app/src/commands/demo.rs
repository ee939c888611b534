use std::io::Cursor;
use std::path::Path;

use anyhow::Context;
use soniquebay_domain::Track;
use soniquebay_embed::model_files::PullSource;
use soniquebay_ingest::Format;
use soniquebay_search::{Seed, SimilarOptions};
use tokio_util::sync::CancellationToken;

use crate::cli::{Cli, DemoArgs};
use crate::data_folder::DataFolder;
use crate::library::Library;
use crate::output;

use super::{import, model, scan, serve};

/// Well-known tracks: facts, written for this project.
pub(super) const CATALOGUE: &str = include_str!("../../../../data/demo-tracks.jsonl");

/// Tracks whose neighbours are shown where the demo catalogue is loaded.
const SHOWN: [&str; 3] = ["Daft Punk - One More Time", "Miles Davis - So What", "Metallica - Master of Puppets"];

pub(crate) async fn run(cli: &Cli, args: &DemoArgs, stop: &CancellationToken) -> anyhow::Result<()> {
    let base = DataFolder::open(cli.data.as_deref())?;
    model::pull(base.model(), PullSource::Auto, stop).await?;
    let folder = match &args.source {
        Some(_) => base,
        None => base.demo()?,
    };
    let files = folder.model();
    // The demo is this process alone, whatever services the environment names.
    let library = Library::open_alone(folder, files, cli).await?;
    let began = std::time::Instant::now();
    match args.source.as_deref() {
        None => {
            let reader = Box::new(Cursor::new(CATALOGUE));
            import::say(&import::import(&library, reader, Some(Format::Jsonl), stop).await?);
        }
        Some(path) if path.is_dir() => {
            scan::say(&scan::scan(&library, &[path.to_owned()], cli.limits.of_scan(), stop).await?);
        }
        Some(path) => import_file(&library, path, stop).await?,
    }
    scan::finish(&library, true, false, stop).await?;
    output::note(&format!(
        "in {:.1} s; the library is in {}",
        began.elapsed().as_secs_f64(),
        library.folder.path().display()
    ));
    for track in examples(&library, args.source.is_none()).await? {
        show(&library, &track).await?;
    }
    if args.serve {
        serve::serve(&library, &args.addresses, &cli.services, stop).await
    } else {
        output::note(&format!("\nNext: soniquebay --data {} serve", library.folder.path().display()));
        Ok(())
    }
}

async fn import_file(library: &Library, path: &Path, stop: &CancellationToken) -> anyhow::Result<()> {
    let reader = import::open(path)?;
    import::say(&import::import(library, reader, Format::from_path(path), stop).await?);
    Ok(())
}

/// A few tracks of the library: known ones of the demo, else from its beginning, middle and end.
async fn examples(library: &Library, is_demo: bool) -> anyhow::Result<Vec<Track>> {
    let mut tracks = Vec::new();
    if is_demo {
        for name in SHOWN {
            let hit = library.store.find_text(name.into(), 1).await?.pop();
            tracks.extend(library.store.tracks(hit.map(|hit| hit.id).into_iter().collect()).await?);
        }
    } else {
        let count = usize::try_from(library.store.counts().await?.tracks).context("too many tracks")?;
        for skip in [0, count / 2, count.saturating_sub(1)] {
            let track = library.store.page(0, skip, 1).await?.pop();
            tracks.extend(track.filter(|track| tracks.iter().all(|known: &Track| known.id != track.id)));
        }
    }
    Ok(tracks)
}

async fn show(library: &Library, track: &Track) -> anyhow::Result<()> {
    output::line(&format!("\nlike {}", output::track_line(track)))?;
    let options = SimilarOptions {
        limit: 5,
        filter: soniquebay_domain::Filter { exclude_same_artist: true, ..Default::default() },
        ..SimilarOptions::default()
    };
    let seeds = [Seed::track(track.id)];
    output::answer(&library.recommender_on_disk().await?.similar(&seeds, options).await?)
}
