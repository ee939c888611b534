use serde::Serialize;

use super::metric::{Estimate, Judge};
use crate::output;

/// A row's name in JSON, and in the table.
pub(super) type Name = (&'static str, &'static str);

pub(super) const CHANCE: Name = ("chance", "chance");
pub(super) const GENRE: Name = ("genre_random", "same genre, at random");
pub(super) const GENRE_AND_YEAR: Name = ("genre_nearest_year", "same genre, nearest year");
pub(super) const NUMBERS: Name = ("numbers", "the twelve numbers alone");
pub(super) const TF_IDF: Name = ("tf_idf", "words by TF-IDF, no model");
pub(super) const WRITTEN: Name = ("written_design", "the written design (fields, no numbers)");
pub(super) const CURRENT: Name = ("current", "these settings");

/// One way to find neighbours, and each track's precision by it.
pub(super) struct Row {
    pub(super) name: Name,
    pub(super) all: Vec<f64>,
    pub(super) tags_only: Vec<f64>,
}

/// The whole measurement, as `--json` writes it. The keys are explained in docs/quality.md.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    file: String,
    tracks: usize,
    artists: usize,
    labels: usize,
    k: usize,
    space: String,
    rows: Vec<RowJson>,
    /// None where there is no simpler row, which does not happen.
    difference: Option<DifferenceJson>,
}

#[derive(Debug, Serialize)]
struct RowJson {
    name: &'static str,
    #[serde(skip)]
    title: &'static str,
    all: PrecisionJson,
    tags_only: PrecisionJson,
}

#[derive(Debug, Serialize)]
struct PrecisionJson {
    precision: f64,
    low: f64,
    high: f64,
}

#[derive(Debug, Serialize)]
struct DifferenceJson {
    all: AgainstJson,
    tags_only: AgainstJson,
}

#[derive(Debug, Serialize)]
struct AgainstJson {
    /// Name of the best of the simpler rows.
    best: &'static str,
    #[serde(skip)]
    title: &'static str,
    difference: f64,
    low: f64,
    high: f64,
}

impl Report {
    /// `rows` ends with the settings that are measured.
    pub(super) fn new(file: String, judge: &Judge, k: usize, space: String, rows: &[Row]) -> Self {
        let row = |row: &Row| RowJson {
            name: row.name.0,
            title: row.name.1,
            all: judge.estimate(&row.all).into(),
            tags_only: judge.estimate(&row.tags_only).into(),
        };
        let difference = rows.split_last().and_then(|(current, simpler)| {
            let all = against(judge, current, simpler, |row| &row.all)?;
            Some(DifferenceJson { all, tags_only: against(judge, current, simpler, |row| &row.tags_only)? })
        });
        let (tracks, artists, labels) = (judge.tracks(), judge.artists(), judge.labels());
        Self { file, tracks, artists, labels, k, space, rows: rows.iter().map(row).collect(), difference }
    }

    /// The table for a person.
    pub(super) fn print(&self) -> anyhow::Result<()> {
        output::line(&format!(
            "{}: {} tracks of {} artists, {} labels\n\
             precision@{} among other artists, with 95 % intervals from resampling artists\n\
             these settings: {}\n",
            self.file, self.tracks, self.artists, self.labels, self.k, self.space
        ))?;
        output::table(
            &["neighbours by", "all numbers", "tags only"],
            &[1, 2],
            self.rows.iter().map(|row| vec![row.title.to_owned(), row.all.to_string(), row.tags_only.to_string()]),
        )?;
        let Some(difference) = &self.difference else { return Ok(()) };
        output::line("\nthese settings less the best simpler row, track by track:")?;
        output::line(&format!("  all numbers  {}\n  tags only    {}", difference.all, difference.tags_only))
    }
}

/// How far `current` lies above the best of `simpler`. Taken track by track over the same draws, its interval is narrower
/// than those of the two rows, and tells whether the difference is more than luck.
fn against(judge: &Judge, current: &Row, simpler: &[Row], column: impl Fn(&Row) -> &Vec<f64>) -> Option<AgainstJson> {
    let sum = |row: &Row| column(row).iter().sum::<f64>();
    let best = simpler.iter().max_by(|a, b| sum(a).total_cmp(&sum(b)))?;
    let differences: Vec<f64> = column(current).iter().zip(column(best)).map(|(a, b)| a - b).collect();
    let Estimate { mean, low, high } = judge.estimate(&differences);
    Some(AgainstJson { best: best.name.0, title: best.name.1, difference: mean, low, high })
}

impl From<Estimate> for PrecisionJson {
    fn from(estimate: Estimate) -> Self {
        Self { precision: estimate.mean, low: estimate.low, high: estimate.high }
    }
}

impl std::fmt::Display for PrecisionJson {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.3} [{:.3}, {:.3}]", self.precision, self.low, self.high)
    }
}

impl std::fmt::Display for AgainstJson {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:+.3} [{:+.3}, {:+.3}] against {}", self.difference, self.low, self.high, self.title)
    }
}

#[cfg(test)]
mod tests {
    use super::{CHANCE, CURRENT, Judge, NUMBERS, Report, Row};

    #[test]
    fn the_difference_is_from_the_best_row_of_each_column() {
        let judge = Judge::new(["a", "b"].iter(), &["x".to_owned(), "x".to_owned()]);
        let row = |name, all: [f64; 2], tags_only: [f64; 2]| Row { name, all: all.into(), tags_only: tags_only.into() };
        let rows = [
            row(CHANCE, [0.25, 0.25], [0.25, 0.25]),
            row(NUMBERS, [0.5, 0.75], [0.0, 0.25]),
            row(CURRENT, [0.75, 1.0], [0.5, 0.5]),
        ];
        let report = Report::new("x.jsonl".into(), &judge, 10, "m/3/r-1".into(), &rows);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["rows"][1]["name"], "numbers");
        assert_eq!(json["rows"][1]["all"]["precision"], 0.625);
        assert_eq!(json["rows"][1]["all"]["low"], 0.5);
        assert_eq!(json["rows"][1]["all"]["high"], 0.75);
        // Both tracks gain as much, so that pairing leaves no width.
        let expected = serde_json::json!({
            "all": {"best": "numbers", "difference": 0.25, "low": 0.25, "high": 0.25},
            "tags_only": {"best": "chance", "difference": 0.25, "low": 0.25, "high": 0.25},
        });
        assert_eq!(json["difference"], expected);
        assert_eq!(
            report.difference.unwrap().all.to_string(),
            "+0.250 [+0.250, +0.250] against the twelve numbers alone"
        );
    }
}
