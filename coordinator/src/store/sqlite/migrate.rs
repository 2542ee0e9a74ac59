//! From the version that is found to the one that is known, a step a transaction.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Result};

use super::error::{OpenError, is_corrupt};
use super::frame::{self, Kind};
use super::schema::{APPLICATION_ID, V1, V2};

/// What leads from each version to the next. A released step is never edited.
const STEPS: [&str; 2] = [V1, V2];

/// Epochs fit in 24 bits: fencing tokens carry them so.
pub(super) const EPOCH_MAX: u64 = (1 << 24) - 1;

/// Brings the file to the version that is known; a new file gets an incarnation.
pub(super) fn migrate(conn: &mut Connection, file: &Path, incarnation: u64) -> std::result::Result<(), OpenError> {
    let found = check(conn, file)?;
    for (version, step) in (1i64..).zip(STEPS).skip(usize::try_from(found).unwrap_or(usize::MAX)) {
        apply(conn, version, step, incarnation).map_err(|err| OpenError::Failed(err.to_string()))?;
    }
    Ok(())
}

/// The file's version, where we may read it.
pub(super) fn check(conn: &Connection, file: &Path) -> std::result::Result<i64, OpenError> {
    let (application, found, empty) = identity(conn).map_err(|err| {
        if is_corrupt(&err) { OpenError::NotOurs { path: file.into() } } else { OpenError::Failed(err.to_string()) }
    })?;
    if application != APPLICATION_ID && !(found == 0 && empty) {
        return Err(OpenError::NotOurs { path: file.into() });
    }
    let known = i64::try_from(STEPS.len()).unwrap_or(i64::MAX);
    if found > known {
        return Err(OpenError::Newer { path: file.into(), found, known });
    }
    Ok(found)
}

fn identity(conn: &Connection) -> Result<(i32, i64, bool)> {
    let application = conn.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let version = conn.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let empty = conn.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| row.get(0))?;
    Ok((application, version, empty))
}

fn apply(conn: &mut Connection, version: i64, step: &str, incarnation: u64) -> Result<()> {
    let tx = conn.transaction()?;
    tx.execute_batch(step)?;
    if version == 1 {
        tx.pragma_update(None, "application_id", APPLICATION_ID)?;
        write_meta(&tx, "incarnation", incarnation)?;
        write_meta(&tx, "epoch", 0)?;
    }
    tx.pragma_update(None, "user_version", version)?;
    tx.commit()
}

/// Raises the epoch, durably; the incarnation and the new epoch.
pub(super) fn raise_epoch(conn: &Connection, dir: &Path) -> std::result::Result<(u64, u64), OpenError> {
    let incarnation = read_meta(conn, "incarnation", dir)?;
    let epoch = read_meta(conn, "epoch", dir)? + 1;
    if epoch > EPOCH_MAX {
        return Err(OpenError::EpochsUsedUp(EPOCH_MAX));
    }
    write_meta(conn, "epoch", epoch).map_err(|err| OpenError::Failed(err.to_string()))?;
    Ok((incarnation, epoch))
}

pub(super) fn write_meta(conn: &Connection, key: &str, value: u64) -> Result<()> {
    let value = frame::seal(Kind::Meta, key.as_bytes(), |out| out.extend_from_slice(&value.to_le_bytes()));
    conn.execute("INSERT OR REPLACE INTO meta(key, value) VALUES(?1, ?2)", (key, value)).map(drop)
}

pub(super) fn read_meta(conn: &Connection, key: &str, dir: &Path) -> std::result::Result<u64, OpenError> {
    let corrupt = || OpenError::Corrupt { what: format!("the store's {key}"), dir: dir.into() };
    let found =
        conn.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get::<_, Vec<u8>>(0)).optional();
    let found = found.map_err(|err| if is_corrupt(&err) { corrupt() } else { OpenError::Failed(err.to_string()) })?;
    let blob = found.ok_or_else(corrupt)?;
    let value = frame::open(Kind::Meta, key.as_bytes(), &blob).map_err(|_| corrupt())?;
    Ok(u64::from_le_bytes(value.try_into().map_err(|_| corrupt())?))
}
