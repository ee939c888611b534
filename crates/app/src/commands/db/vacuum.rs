use super::{Shown, keep_others_out, megabytes, open};
use crate::data_folder::DataFolder;
use crate::output;
use crate::place::Place;

pub(super) async fn run(folder: &DataFolder, place: &Place) -> anyhow::Result<()> {
    // A file is written anew as a whole, which would keep a role waiting; a server goes on meanwhile.
    let kept = match place {
        Place::File(_) => Some(keep_others_out(place, Some(folder)).await?),
        Place::Server(_) => None,
    };
    let store = open(place).await?;
    let before = store.size().await?;
    let shown = Shown::new();
    store.vacuum(&|progress| shown.tell(&progress)).await?;
    drop((shown, kept));
    let after = store.size().await?;
    output::line(&format!("{place}: {} before, {} after", megabytes(before), megabytes(after)))
}
