//! What agents push of their attempts' output: kept where the attempt is on record under that very lease.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::mpsc;
use tonic::{Status, Streaming};
use windlass_shared::convert;
use windlass_shared::domain::{Lease, PushedLog, PushedLogs};
use windlass_shared::pb;
use windlass_shared::status::to_status;

use crate::logs::Logs;
use crate::records::{ReadError, Records};

/// Leases remembered of one stream: more than an agent with a usual number of slots writes under at a time.
const LEASES_KNOWN_MAX: usize = 4_096;

/// Takes what comes on one stream.
pub(crate) struct Taker {
    records: Records,
    logs: Arc<Logs>,
    /// Whether an attempt is on record under the lease. An attempt keeps its number and its token for good, and is durable before
    /// its agent hears of it: whatever the answer was, it stays.
    known: BTreeMap<Lease, bool>,
}

impl Taker {
    pub(crate) fn new(records: Records, logs: Arc<Logs>) -> Self {
        Self { records, logs, known: BTreeMap::new() }
    }

    pub(super) async fn run(
        mut self,
        mut stream: Streaming<pb::PushLogsRequest>,
        wire: &mpsc::Sender<Result<pb::PushLogsResponse, Status>>,
    ) {
        while let Ok(Some(message)) = stream.message().await {
            let answer = match convert::pushed_logs(message) {
                Ok(logs) => self.take(logs),
                Err(invalid) => Err(to_status(&invalid)),
            };
            let last = answer.is_err();
            if wire.send(answer).await.is_err() || last {
                return;
            }
        }
    }

    /// Acknowledges all of a message or nothing: what was kept of one that ends the stream is known for a repeat.
    pub(crate) fn take(&mut self, logs: PushedLogs) -> Result<pb::PushLogsResponse, Status> {
        let acks = logs.kept.into_iter().map(|log| self.take_one(log)).collect::<Result<_, _>>();
        let acks = acks.map_err(|err| to_status(&err))?;
        for PushedLog { lease, chunk } in logs.newest {
            if self.is_on_record(&lease).map_err(|err| to_status(&err))? {
                self.logs.show_newest(lease.job, lease.attempt, chunk);
            }
        }
        Ok(pb::PushLogsResponse { acks })
    }

    /// Keeps a piece, where its attempt is on record; else only says that it is not wanted.
    fn take_one(&mut self, log: PushedLog) -> Result<pb::LogAck, ReadError> {
        let PushedLog { lease, chunk } = log;
        let (stream, sent) = (chunk.stream, chunk.end());
        let wanted = self.is_on_record(&lease)?;
        let end = if wanted { self.logs.append(lease.job, lease.attempt, chunk) } else { sent };
        Ok(convert::log_ack(&lease, stream, end))
    }

    fn is_on_record(&mut self, lease: &Lease) -> Result<bool, ReadError> {
        if let Some(known) = self.known.get(lease) {
            return Ok(*known);
        }
        let found = self.look_up(lease)?;
        if self.known.len() == LEASES_KNOWN_MAX {
            self.known.clear();
        }
        self.known.insert(*lease, found);
        Ok(found)
    }

    fn look_up(&self, lease: &Lease) -> Result<bool, ReadError> {
        let of_lease = |number, token| number == lease.attempt && token == lease.fencing_token;
        match self.records.job(lease.job) {
            Ok(None) => Ok(false),
            Ok(Some(job)) => Ok(job.attempts.iter().any(|one| of_lease(one.number, one.fencing_token))),
            // No repeat mends it, and nobody could be shown the log: it must not hold up those of all other jobs.
            Err(err @ ReadError::Corrupt { .. }) => {
                tracing::error!(job = %lease.job, error = %err, "the log of a damaged job is not kept");
                Ok(false)
            }
            Err(err @ ReadError::Failed(_)) => Err(err),
        }
    }
}
