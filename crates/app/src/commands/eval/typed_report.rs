use std::path::Path;

use serde::Serialize;

use crate::output;

use super::queries::Query;
use super::typed::ANSWERS;

/// What came up for one query: of each answer, best first, whether it is a right one.
pub(super) struct Found {
    pub(super) query: Query,
    /// Right answers in the whole library.
    pub(super) right: usize,
    pub(super) names: Vec<bool>,
    pub(super) meaning: Vec<bool>,
    pub(super) fused: Vec<bool>,
}

/// The whole measurement, as `--json` writes it. The keys are explained in docs/quality.md.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    library: String,
    queries: String,
    space: String,
    tracks: usize,
    kinds: Vec<KindJson>,
    each: Vec<QueryJson>,
}

#[derive(Debug, Serialize)]
struct KindJson {
    kind: String,
    held_out: bool,
    queries: usize,
    random: Figures,
    names: Figures,
    vector: Figures,
    fused: Figures,
}

/// Means over queries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
struct Figures {
    /// Share of queries with a right answer among the ten.
    success: f64,
    /// Mean of 1 / place of the first right answer; 0 where it is not among the ten.
    mrr: f64,
    /// Share of right ones among the ten, or among as many as there are right ones, if fewer.
    precision: f64,
}

/// Places of the first right answer, from 1; none where it is not among the ten.
#[derive(Debug, Serialize)]
struct QueryJson {
    query: String,
    kind: String,
    held_out: bool,
    right: usize,
    names: Option<usize>,
    vector: Option<usize>,
    fused: Option<usize>,
}

impl Report {
    pub(super) fn new(
        library: Option<&Path>,
        queries: Option<&Path>,
        space: String,
        tracks: usize,
        found: &[Found],
    ) -> Self {
        let name = |file: Option<&Path>| {
            file.map_or_else(|| "the one that ships".to_owned(), |file| file.display().to_string())
        };
        let mut groups: Vec<(&str, bool)> = Vec::new();
        for found in found {
            let group = (found.query.kind.as_str(), found.query.held_out);
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
        // Held-out queries last; the kinds as the file has them.
        groups.sort_by_key(|(_, held_out)| *held_out);
        let kinds = groups.into_iter().map(|group| kind(group, tracks, found)).collect();
        let each = found.iter().map(QueryJson::from).collect();
        Self { library: name(library), queries: name(queries), space, tracks, kinds, each }
    }

    /// The tables for a person.
    pub(super) fn print(&self) -> anyhow::Result<()> {
        output::line(&format!(
            "typed search in {} tracks (library: {}; queries: {})\nby these settings: {}\n\
             each cell: success@{ANSWERS}, MRR@{ANSWERS}, precision@{ANSWERS}",
            self.tracks, self.library, self.queries, self.space
        ))?;
        for (held_out, title) in [(false, ""), (true, ", held out")] {
            let kinds: Vec<_> = self.kinds.iter().filter(|kind| kind.held_out == held_out).collect();
            if kinds.is_empty() {
                continue;
            }
            output::line("")?;
            output::table(
                &[&format!("kind{title}"), "queries", "at random", "names alone", "vector alone", "fused"],
                &[1, 2, 3, 4, 5],
                kinds.into_iter().map(|kind| {
                    let figures = [kind.random, kind.names, kind.vector, kind.fused].map(|figures| figures.to_string());
                    [kind.kind.clone(), kind.queries.to_string()].into_iter().chain(figures).collect()
                }),
            )?;
        }
        Ok(())
    }
}

fn kind((name, held_out): (&str, bool), tracks: usize, found: &[Found]) -> KindJson {
    let of_kind: Vec<&Found> =
        found.iter().filter(|found| found.query.kind == name && found.query.held_out == held_out).collect();
    let mean = |figures: &dyn Fn(&Found) -> Figures| {
        let count = of_kind.len() as f64;
        let sum = of_kind.iter().map(|found| figures(found)).fold(Figures::default(), |a, b| Figures {
            success: a.success + b.success,
            mrr: a.mrr + b.mrr,
            precision: a.precision + b.precision,
        });
        Figures { success: sum.success / count, mrr: sum.mrr / count, precision: sum.precision / count }
    };
    KindJson {
        kind: name.to_owned(),
        held_out,
        queries: of_kind.len(),
        random: mean(&|found| Figures::at_random(tracks, found.right)),
        names: mean(&|found| Figures::of(&found.names, found.right)),
        vector: mean(&|found| Figures::of(&found.meaning, found.right)),
        fused: mean(&|found| Figures::of(&found.fused, found.right)),
    }
}

impl Figures {
    fn of(answers: &[bool], right: usize) -> Self {
        let first = answers.iter().position(|is_right| *is_right);
        let good = answers.iter().filter(|is_right| **is_right).count();
        Self {
            success: f64::from(u8::from(first.is_some())),
            mrr: first.map_or(0.0, |place| 1.0 / (place + 1) as f64),
            precision: good as f64 / right.min(ANSWERS) as f64,
        }
    }

    /// What a random order of all tracks gives in the mean; computed, not drawn.
    fn at_random(tracks: usize, right: usize) -> Self {
        let (mut none_yet, mut mrr) = (1.0, 0.0);
        let places = ANSWERS.min(tracks);
        for place in 0..places {
            let hit = (right as f64 / (tracks - place) as f64).min(1.0);
            mrr += none_yet * hit / (place + 1) as f64;
            none_yet *= 1.0 - hit;
        }
        let expected = places as f64 * right as f64 / tracks as f64;
        Self { success: 1.0 - none_yet, mrr, precision: expected / right.min(ANSWERS) as f64 }
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.2} {:.2} {:.2}", self.success, self.mrr, self.precision)
    }
}

impl From<&Found> for QueryJson {
    fn from(found: &Found) -> Self {
        let place = |answers: &[bool]| answers.iter().position(|is_right| *is_right).map(|place| place + 1);
        Self {
            query: found.query.query.clone(),
            kind: found.query.kind.clone(),
            held_out: found.query.held_out,
            right: found.right,
            names: place(&found.names),
            vector: place(&found.meaning),
            fused: place(&found.fused),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Figures;

    #[test]
    fn figures_by_hand() {
        let figures = Figures::of(&[false, true, true], 4);
        assert_eq!((figures.success, figures.mrr, figures.precision), (1.0, 0.5, 0.5));
        assert_eq!(Figures::of(&[false; 10], 4), Figures::default());
        assert_eq!(Figures::of(&[true], 1), Figures { success: 1.0, mrr: 1.0, precision: 1.0 });
        // Twenty tracks, one right: it is among the first ten half of the time.
        let figures = Figures::at_random(20, 1);
        let expected = (1..=10).map(|place| 1.0 / f64::from(place)).sum::<f64>() / 20.0;
        assert!((figures.success - 0.5).abs() < 1e-12 && (figures.precision - 0.5).abs() < 1e-12);
        assert!((figures.mrr - expected).abs() < 1e-12);
        assert_eq!(Figures::at_random(3, 3).success, 1.0);
    }
}
