//! An older copy becomes the record from which the cluster goes on.
//!
//! Agents and clients remember how far they saw a record, and take none that is behind that: it lost something, and only a person
//! can say that this is meant. That word makes another record of it: what is remembered of the former one no longer concerns it,
//! leases of the former one are stale, and its numbers go on far beyond any that the former one can have given since the copy.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::ToolError;
use crate::store::sqlite::error::OpenError;
use crate::store::sqlite::{connect, dir, migrate, restore, row};

/// Starts of a coordinator that the copy may lack: one every ten minutes for a year. An epoch holds 255 imports.
const EPOCHS_SKIPPED: u64 = 1 << 16;
/// Changes that the copy may lack: a thousand a second for 49 days. Watchers that saw more than the copy are told that what comes
/// after is no longer kept, and look anew.
const REVISIONS_SKIPPED: u64 = 1 << 32;

/// What was changed, and how much is in the record that goes on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Imported {
    /// The record's identity before and from now on.
    pub(crate) incarnation: (u64, u64),
    /// The latest start before, and what is counted as it from now on.
    pub(crate) epoch: (u64, u64),
    /// The latest change before, and what is counted as it from now on.
    pub(crate) revision: (u64, u64),
    /// Jobs that are not final.
    pub(crate) live: usize,
}

/// Makes a record of its own of the store in a data directory, under `incarnation`: all of it or nothing. What is kept beside the
/// record and under its numbers is for `set_aside` to move out of the way, which is given the former incarnation: an attempt that
/// is made anew would be shown with what its namesake wrote.
///
/// # Errors
/// Where there is no store, a coordinator uses it, what a start needs is damaged, or `set_aside` fails.
pub(crate) fn import(
    from: &Path,
    incarnation: u64,
    set_aside: impl FnOnce(u64) -> std::io::Result<()>,
) -> Result<Imported, ToolError> {
    let file = dir::store_file(from);
    if !file.is_file() {
        return Err(OpenError::Missing { path: file }.into());
    }
    let _lock = dir::take(from)?;
    let mut conn = connect::writer(&file)?;
    if migrate::check(&conn, &file)? == 0 {
        return Err(OpenError::NotOurs { path: file }.into());
    }
    migrate::migrate(&mut conn, &file, incarnation)?;
    let before = migrate::read_meta(&conn, "incarnation", from)?;
    let epoch = migrate::read_meta(&conn, "epoch", from)?;
    let (revision, _) = restore::events(&conn, from, 0)?;
    let (live, _) = restore::live(&conn, from)?;
    let done = Imported {
        // The same one again would leave everybody as they are.
        incarnation: (before, if incarnation == before { incarnation ^ 1 } else { incarnation }),
        epoch: (epoch, epoch + EPOCHS_SKIPPED),
        revision: (revision, revision + REVISIONS_SKIPPED),
        live: live.len(),
    };
    if done.epoch.1 >= migrate::EPOCH_MAX {
        return Err(OpenError::EpochsUsedUp(migrate::EPOCH_MAX).into());
    }
    set_aside(before)?;
    write(&mut conn, &done)?;
    Ok(done)
}

fn write(conn: &mut Connection, done: &Imported) -> Result<(), ToolError> {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    migrate::write_meta(&tx, "incarnation", done.incarnation.1)?;
    migrate::write_meta(&tx, "epoch", done.epoch.1)?;
    // Those before stay out of it: nobody can go on from them to what comes now without missing what was lost.
    tx.execute("DELETE FROM events", [])?;
    let none = row::seal_events(done.revision.1, std::iter::empty());
    tx.execute("INSERT INTO events(last, blob) VALUES(?1, ?2)", (done.revision.1, none))?;
    Ok(tx.commit()?)
}
