//! What is done to the row of a job. Prepared once a batch: to look a statement up by its text costs about as much as to run it.

use rusqlite::{CachedStatement, Result, Transaction, params};
use windlass_shared::domain::JobRecord;
use windlass_shared::ids::JobId;

use super::schema::INLINE_SPEC_BYTES_MAX;

/// The statements of one transaction.
pub(super) struct Rows<'tx> {
    tx: &'tx Transaction<'tx>,
    insert: CachedStatement<'tx>,
    update: CachedStatement<'tx>,
    update_head: CachedStatement<'tx>,
    copy: CachedStatement<'tx>,
    delete: CachedStatement<'tx>,
}

impl<'tx> Rows<'tx> {
    pub(super) fn prepare(tx: &'tx Transaction<'tx>) -> Result<Self> {
        // OR ROLLBACK: an insert of what is selected could fail half-way, so SQLite would write every page it changes into a journal
        // of the statement first, to undo this alone. It is never undone alone: what fails here fails the batch.
        let copy = "INSERT OR ROLLBACK INTO history(id, ended_at, head, attempt, spec_bytes, spec)
                    SELECT id, ?2, ?3, ifnull(?4, attempt), spec_bytes + ?5, spec FROM live WHERE id = ?1";
        Ok(Self {
            tx,
            insert: tx
                .prepare_cached("INSERT INTO live(id, head, attempt, spec_bytes, spec) VALUES(?1, ?2, ?3, ?4, ?5)")?,
            update: tx.prepare_cached("UPDATE live SET head = ?2, attempt = ?3 WHERE id = ?1")?,
            update_head: tx.prepare_cached("UPDATE live SET head = ?2 WHERE id = ?1")?,
            copy: tx.prepare_cached(copy)?,
            delete: tx.prepare_cached("DELETE FROM live WHERE id = ?1")?,
        })
    }

    pub(super) fn insert(
        &mut self,
        job: &JobRecord,
        head: &[u8],
        attempt: Option<&[u8]>,
        (spec_bytes, result_bytes): (usize, usize),
        spec: &[u8],
    ) -> Result<()> {
        let (tx, id) = (self.tx, job.id.as_bytes());
        let inline = spec_bytes <= INLINE_SPEC_BYTES_MAX;
        if !inline {
            tx.prepare_cached("INSERT INTO specs(id, spec) VALUES(?1, ?2)")?.execute(params![id, spec])?;
        }
        let spec = inline.then_some(spec);
        if !job.state.is_final() {
            return self.insert.execute(params![id, head, attempt, spec_bytes, spec]).map(drop);
        }
        // Rare: submitted and over within one batch.
        let sql = "INSERT INTO history(id, ended_at, head, attempt, spec_bytes, spec) VALUES(?1, ?2, ?3, ?4, ?5, ?6)";
        let bytes = spec_bytes + result_bytes;
        tx.prepare_cached(sql)?.execute(params![id, ended_at(job), head, attempt, bytes, spec]).map(drop)
    }

    /// A change that says nothing of attempts leaves the newest one as it is. How many rows there were to change.
    pub(super) fn update(&mut self, id: JobId, head: &[u8], attempt: Option<&[u8]>) -> Result<usize> {
        match attempt {
            Some(attempt) => self.update.execute(params![id.as_bytes(), head, attempt]),
            None => self.update_head.execute(params![id.as_bytes(), head]),
        }
    }

    /// Moves it to the finished ones. How many rows there were to move.
    pub(super) fn finish(
        &mut self,
        job: &JobRecord,
        head: &[u8],
        attempt: Option<&[u8]>,
        result_bytes: usize,
    ) -> Result<usize> {
        let id = job.id.as_bytes();
        self.copy.execute(params![id, ended_at(job), head, attempt, result_bytes])?;
        self.delete.execute(params![id])
    }
}

fn ended_at(job: &JobRecord) -> i64 {
    job.ended_at.unwrap_or(job.updated_at).0
}
