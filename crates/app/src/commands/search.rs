use crate::cli::{Cli, SearchArgs};
use crate::library::Library;
use crate::output;

use super::similar::{end, options};

pub(crate) async fn run(cli: &Cli, args: &SearchArgs) -> anyhow::Result<()> {
    let library = Library::open(cli).await?;
    let words = args.words.join(" ");
    let answer = library.recommender_on_disk().await?.search_text(&words, options(&args.answer)?).await.map_err(end)?;
    if args.answer.json {
        return output::json(&output::AnswerJson::new(None, &answer));
    }
    if answer.items.is_empty() {
        return output::line("nothing found");
    }
    output::answer(&answer)
}
