use std::rc::Rc;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use soniquebay_domain::{Space, SpaceSize, StoreError};

use super::catalog::collect;
use super::error::SqlError;
use super::vec0;

/// Name of the sqlite-vec table of the space that jobs fill and searches use.
const SERVING_TABLE: &str = "track_vectors_virtual";

/// Spaces that one file keeps. Few are ever used; without a bound a client could fill the disk with empty indexes.
const MAX_SPACES: usize = 32;

fn parse(name: &str) -> Result<Space, SqlError> {
    Space::parse(name).map_err(|_| StoreError::Corrupt { table: "spaces", row: name.to_owned(), column: "name" }.into())
}

pub(super) fn wanted_names(conn: &Connection) -> Result<Vec<String>, SqlError> {
    let mut statement = conn.prepare_cached("SELECT name FROM spaces WHERE wanted ORDER BY name")?;
    let mut rows = statement.query([])?;
    collect(&mut rows, |row| Ok(row.get(0)?))
}

pub(super) fn wanted(conn: &Connection) -> Result<Vec<Space>, SqlError> {
    wanted_names(conn)?.iter().map(|name| parse(name)).collect()
}

/// All known spaces, with whether they are wanted.
pub(super) fn all(conn: &Connection) -> Result<Vec<(Space, bool)>, SqlError> {
    let mut statement = conn.prepare_cached("SELECT name, wanted FROM spaces ORDER BY wanted DESC, name")?;
    let mut rows = statement.query([])?;
    collect(&mut rows, |row| Ok((parse(&row.get::<_, String>(0)?)?, row.get(1)?)))
}

/// All known spaces, with how many vectors each holds: read off an index, 60 ms for a million.
pub(super) fn sizes(conn: &Connection) -> Result<Vec<SpaceSize>, SqlError> {
    let mut statement = conn.prepare_cached(
        "SELECT name, wanted, (SELECT count(*) FROM track_vectors WHERE space = name) FROM spaces ORDER BY wanted DESC, name",
    )?;
    let mut rows = statement.query([])?;
    collect(&mut rows, |row| {
        Ok(SpaceSize { space: parse(&row.get::<_, String>(0)?)?, wanted: row.get(1)?, vectors: row.get(2)? })
    })
}

/// Name of a space's sqlite-vec table.
pub(super) fn vec0_table(conn: &Connection, space: &Space) -> Result<Option<String>, SqlError> {
    let mut statement = conn.prepare_cached("SELECT vec0 FROM spaces WHERE name = ?1")?;
    Ok(statement.query_row([space.to_string()], |row| row.get(0)).optional()?)
}

/// A space's sqlite-vec table.
pub(super) struct Vec0Table {
    pub(super) space: Space,
    pub(super) name: String,
}

pub(super) fn vec0_tables(conn: &Connection) -> Result<Vec<Vec0Table>, SqlError> {
    let mut statement = conn.prepare_cached("SELECT name, vec0 FROM spaces ORDER BY name")?;
    let mut rows = statement.query([])?;
    collect(&mut rows, |row| Ok(Vec0Table { space: parse(&row.get::<_, String>(0)?)?, name: row.get(1)? }))
}

/// Makes a space known, with its index table, so that vectors can be stored in it.
pub(super) fn ensure(tx: &Transaction<'_>, space: &Space) -> Result<(), SqlError> {
    if vec0_table(tx, space)?.is_some() {
        return Ok(());
    }
    let count: usize = tx.query_row("SELECT count(*) FROM spaces", [], |row| row.get(0))?;
    if count >= MAX_SPACES {
        return Err(StoreError::TooManySpaces(count).into());
    }
    create(tx, space, &table_beside_serving(tx, space)?)
}

/// The space's name and a number: names may differ in punctuation or case alone, which tables' names do not tell apart.
fn table_beside_serving(tx: &Transaction<'_>, space: &Space) -> Result<String, SqlError> {
    let name: String = space.to_string().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let number: i64 = tx.query_row(
        "SELECT coalesce((SELECT rowid FROM spaces WHERE name = ?1), (SELECT max(rowid) FROM spaces) + 1, 1)",
        [space.to_string()],
        |row| row.get(0),
    )?;
    Ok(format!("{SERVING_TABLE}_{name}_{number}"))
}

fn create(tx: &Transaction<'_>, space: &Space, table: &str) -> Result<(), SqlError> {
    tx.execute(
        "INSERT INTO spaces (name, dims, vec0) VALUES (?1, ?2, ?3) ON CONFLICT (name) DO UPDATE SET vec0 = excluded.vec0",
        params![space.to_string(), space.dims(), table],
    )?;
    vec0::create(tx, space, table)
}

/// Makes these the wanted spaces, and the index of the first the one called `track_vectors_virtual`.
pub(super) fn want(tx: &Transaction<'_>, wanted: &[Space]) -> Result<(), SqlError> {
    if let Some(first) = wanted.first() {
        serve_by_name(tx, first)?;
    }
    for space in wanted {
        ensure(tx, space)?;
    }
    let names: Rc<Vec<Value>> = Rc::new(wanted.iter().map(|space| Value::Text(space.to_string())).collect());
    tx.execute("UPDATE spaces SET wanted = (name IN (SELECT value FROM rarray(?1)))", [&names])?;
    // Jobs of spaces that nobody wants any more would only waste work.
    tx.execute("DELETE FROM jobs WHERE space NOT IN (SELECT value FROM rarray(?1)) AND state <> 'running'", [&names])?;
    Ok(())
}

/// Forgets a space; how many vectors it had. The change log keeps a row of each, so that indexes hear of it.
pub(super) fn forget(tx: &Transaction<'_>, space: &Space) -> Result<u64, SqlError> {
    let name = space.to_string();
    if wanted_names(tx)?.contains(&name) {
        return Err(StoreError::SpaceWanted(space.clone()).into());
    }
    let Some(table) = vec0_table(tx, space)? else { return Ok(0) };
    vec0::drop(tx, &table)?;
    let vectors = tx.execute("DELETE FROM track_vectors WHERE space = ?1", [&name])?;
    tx.execute("DELETE FROM spaces WHERE name = ?1", [&name])?;
    Ok(vectors as u64)
}

fn serve_by_name(tx: &Transaction<'_>, space: &Space) -> Result<(), SqlError> {
    let serving: Option<String> =
        tx.query_row("SELECT name FROM spaces WHERE vec0 = ?1", [SERVING_TABLE], |row| row.get(0)).optional()?;
    if serving.as_deref() != Some(space.to_string().as_str()) {
        // sqlite-vec tables cannot be renamed: the two that change names are built anew from the vectors.
        if let Some(name) = serving {
            vec0::drop(tx, SERVING_TABLE)?;
            tx.execute("UPDATE spaces SET vec0 = 'dropped' WHERE name = ?1", [&name])?;
            let former = parse(&name)?;
            let table = table_beside_serving(tx, &former)?;
            create(tx, &former, &table)?;
        }
        if let Some(table) = vec0_table(tx, space)? {
            vec0::drop(tx, &table)?;
        }
        create(tx, space, SERVING_TABLE)?;
    }
    Ok(())
}
