//! The database: a file, or a PostgreSQL server.

use soniquebay_domain::StoreError;
use soniquebay_store::postgres::PostgresStanding;
use soniquebay_store::sqlite::SqliteStanding;

use super::finding::{Finding, Question, Status, clock};
use super::{PATIENCE, bounded};
use crate::cli::Cli;
use crate::data_folder::DataFolder;

const NEEDED: [Question; 2] = [Question::NothingIsVectorized, Question::CalculationFails];

/// Findings, and whether there is a library that can be opened without changing it.
pub(super) async fn look(cli: &Cli) -> (Vec<Finding>, bool) {
    let mut has_library = false;
    let findings = match cli.services.database() {
        Some(url) if cli.services.shares_database() => {
            bounded("PostgreSQL", "start it, or look at its log", postgres(url, &mut has_library)).await
        }
        url => bounded("database", "is the disk well? dmesg | tail", sqlite(cli, url, &mut has_library)).await,
    };
    let is_well = findings.iter().all(|finding| finding.status != Status::Fail);
    (findings, has_library && is_well)
}

async fn sqlite(cli: &Cli, url: Option<&str>, has_library: &mut bool) -> Vec<Finding> {
    let named = url.and_then(|url| url.strip_prefix("sqlite://")).map(Into::into);
    let usual = || cli.data.clone().map_or_else(DataFolder::usual, Ok).ok().map(|folder| folder.join("soniquebay.db"));
    let Some(path) = named.or_else(usual) else { return Vec::new() };
    let shown = path.display();
    if !path.exists() {
        let found = format!("{shown} is not there yet: it is made with the first track");
        return vec![Finding::ok("database", found)];
    }
    let finding = match SqliteStanding::look(&path, PATIENCE).await {
        Err(error) => Finding::fail("database", error.to_string(), "move the file away, or restore a backup of it"),
        Ok(SqliteStanding { is_ours: false, .. }) => {
            Finding::fail("database", format!("{shown} is another program's"), "choose another folder with --data")
        }
        Ok(SqliteStanding { format: (found, known), .. }) if found > known => {
            let error = StoreError::Newer { found, supported: known };
            Finding::fail("database", error.to_string(), "install the newer version again")
        }
        Ok(SqliteStanding { damage: Some(damage), .. }) => {
            let fix = "stop every process on it, restore a backup, or move it away and scan again";
            Finding::fail("database", format!("{shown} is damaged: {damage}"), fix)
        }
        Ok(SqliteStanding { format: (found, known), .. }) if found < known => {
            Finding::ok("database", format!("{shown}: format {found}, which the next start brings up to {known}"))
        }
        Ok(standing) => {
            *has_library = true;
            let (sqlite, vec) = standing.versions;
            let whole = if standing.is_whole_seen { "nothing is damaged" } else { "too large to look at all of it" };
            let found = format!("{shown}: format {}, {whole} (SQLite {sqlite}, sqlite-vec {vec})", standing.format.0);
            Finding::ok("database", found)
        }
    };
    vec![finding.answering(&NEEDED)]
}

async fn postgres(url: &str, has_library: &mut bool) -> Vec<Finding> {
    let standing = match PostgresStanding::look(url, PATIENCE).await {
        Ok(standing) => standing,
        Err(error) => {
            let fix = "is the server there, and DATABASE_URL right? `soniquebay config show` says what it is";
            return vec![Finding::fail("PostgreSQL", error.to_string(), fix).answering(&NEEDED)];
        }
    };
    let mut findings = Vec::new();
    *has_library = standing.is_ours;
    let (version, is_new) = standing.version;
    let tables = if standing.is_ours { "" } else { "; its tables are made at the first start" };
    findings.push(match is_new {
        true => Finding::ok("PostgreSQL", format!("version {version}{tables}")),
        false => Finding::fail("PostgreSQL", format!("version {version} is too old"), "upgrade it to 14 or later")
            .answering(&NEEDED),
    });
    findings.push(match (standing.pgvector, standing.available) {
        (Some((version, true)), _) => Finding::ok("pgvector", format!("version {version}")),
        (Some((version, false)), _) => Finding::fail(
            "pgvector",
            format!("version {version} damages indexes"),
            "install 0.8.3 or later on the server, then in this database: ALTER EXTENSION vector UPDATE;",
        )
        .answering(&NEEDED),
        (None, Some(version)) => Finding::ok("pgvector", format!("version {version} is made at the first start")),
        (None, None) => {
            Finding::fail("pgvector", "it is not installed on the server", "install pgvector 0.8.3 or later there")
                .answering(&NEEDED)
        }
    });
    for index in standing.invalid {
        let fix = format!("DROP INDEX CONCURRENTLY {index}; it is built anew by itself");
        let found = format!("{index} was not built to its end, or is being built: every search scans");
        findings.push(Finding::warn("index", found, fix).answering(&[Question::ItIsSlow]));
    }
    let (used, most) = standing.connections;
    if used * 10 >= most * 9 {
        let fix = "raise max_connections: each process takes up to 17";
        findings
            .push(Finding::warn("connections", format!("{used} of {most} are taken"), fix).answering(&Question::ALL));
    }
    findings.push(clock("PostgreSQL", standing.ahead));
    findings
}
