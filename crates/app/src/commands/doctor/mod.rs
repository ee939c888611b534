//! `soniquebay doctor`: what is wrong with this deployment, and what to do about it. It changes nothing.

mod database;
mod embedding;
mod finding;
mod folder;
mod jobs;
mod machine;
mod redis;
mod services;

use std::time::Duration;

use serde::Serialize;

use crate::cli::{Cli, DoctorArgs};
use crate::config::Settings;
use crate::exit::End;
use crate::output;
use finding::{Finding, Question, Status};

/// A check that takes longer is told as such: a server that hangs must not hang this.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Serialize)]
struct Report {
    status: Status,
    profile: &'static str,
    findings: Vec<Finding>,
    questions: Vec<Answer>,
}

#[derive(Serialize)]
struct Answer {
    question: Question,
    /// What of the findings explains it; nothing where nothing does.
    because: Vec<String>,
    summary: String,
}

pub(crate) async fn run(cli: &Cli, args: &DoctorArgs, settings: &Settings) -> anyhow::Result<()> {
    // Side by side: each has its own bound.
    let (folder, (database, has_library), redis, embedding, services) = tokio::join!(
        folder::look(cli, settings),
        database::look(cli),
        redis::look(cli),
        embedding::look(cli),
        services::look(cli, args),
    );
    let (jobs, summary) = jobs::look(cli, has_library).await;
    let mut findings: Vec<Finding> = [folder, database, redis, embedding, services, jobs].concat();
    findings.push(machine::look(settings));

    let questions = Question::ALL.iter().map(|question| answer(*question, &findings, &summary)).collect();
    let status = findings.iter().map(|finding| finding.status).max().unwrap_or(Status::Ok);
    let report = Report { status, profile: settings.profile.name(), findings, questions };
    if args.json {
        output::json(&report)?;
    } else {
        print(&report)?;
    }
    match report.findings.iter().filter(|finding| finding.status == Status::Fail).count() {
        0 => Ok(()),
        1 => Err(End::Failed("one thing is wrong".into()).into()),
        wrong => Err(End::Failed(format!("{wrong} things are wrong")).into()),
    }
}

fn answer(question: Question, findings: &[Finding], summary: &str) -> Answer {
    let explains = |finding: &&Finding| finding.status != Status::Ok && finding.answers.contains(&question);
    let mut found: Vec<&Finding> = findings.iter().filter(explains).collect();
    found.sort_by_key(|finding| std::cmp::Reverse(finding.status));
    let because = found.into_iter().map(|finding| {
        let fix = finding.fix.as_deref().map(|fix| format!(" → {fix}")).unwrap_or_default();
        format!("{}: {}{fix}", finding.check, finding.found)
    });
    Answer { question, because: because.collect(), summary: summary.to_owned() }
}

fn print(report: &Report) -> anyhow::Result<()> {
    for finding in &report.findings {
        let mark = match finding.status {
            Status::Ok => "ok  ",
            Status::Warn => "warn",
            Status::Fail => "FAIL",
        };
        output::line(&format!("{mark}  {:14}  {}", finding.check, plain(&finding.found)))?;
        if let Some(fix) = &finding.fix {
            output::line(&format!("{:22}→ {}", "", plain(fix)))?;
        }
    }
    output::line("")?;
    for answer in &report.questions {
        output::line(answer.question.text())?;
        match answer.because.is_empty() {
            true => output::line(&format!("  Nothing here explains it: {}", plain(&answer.summary)))?,
            false => answer.because.iter().try_for_each(|because| output::line(&format!("  {}", plain(because))))?,
        }
    }
    Ok(())
}

/// In one line: texts of servers are shown, not obeyed.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// What `look` found, or that it takes too long.
async fn bounded(check: &'static str, fix: &str, look: impl Future<Output = Vec<Finding>>) -> Vec<Finding> {
    match tokio::time::timeout(PATIENCE + Duration::from_secs(1), look).await {
        Ok(findings) => findings,
        Err(_) => {
            let all = &Question::ALL;
            vec![Finding::fail(check, format!("no answer within {} s", PATIENCE.as_secs()), fix).answering(all)]
        }
    }
}
