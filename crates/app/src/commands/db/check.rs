use serde::Serialize;
use soniquebay_store::check::{self, Fault, Fix};

use super::{Shown, open};
use crate::cli::CheckArgs;
use crate::output;
use crate::place::Place;

/// A fault, as `--json` writes it.
#[derive(Serialize)]
struct FaultJson {
    name: &'static str,
    what: String,
    /// Whether somebody has to do something about it.
    open: bool,
    fix: String,
}

pub(super) async fn run(place: &Place, args: &CheckArgs) -> anyhow::Result<()> {
    let store = open(place).await?;
    let shown = Shown::new();
    let faults = check::check(&*store, args.repair, &|progress| shown.tell(&progress)).await?;
    drop(shown);
    if args.json {
        let json = |fault: &Fault| FaultJson {
            name: fault.name,
            what: fault.what.clone(),
            open: fault.is_open(),
            fix: fix(fault),
        };
        output::json(&faults.iter().map(json).collect::<Vec<_>>())?;
    } else {
        for fault in &faults {
            output::line(&format!("{}: {}\n  {}", fault.name, fault.what, fix(fault)))?;
        }
        if faults.is_empty() {
            output::line(&format!("{place}: nothing is wrong with {} tracks", store.counts().await?.tracks))?;
        }
    }
    match faults.iter().filter(|fault| fault.is_open()).count() {
        0 => Ok(()),
        open => anyhow::bail!("{open} things are wrong with {place}"),
    }
}

fn fix(fault: &Fault) -> String {
    match fault.fix {
        Fix::Done => "put right".to_owned(),
        Fix::Repair => "`soniquebay db check --repair` puts it right".to_owned(),
        Fix::ByItself(how) => format!("nothing to do: {how}"),
        Fix::ByHand(how) => how.to_owned(),
    }
}
