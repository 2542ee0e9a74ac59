//! What agents push of their attempts' output: kept where the attempt is on record under that very lease.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::mpsc;
use tonic::{Status, Streaming};
use windlass_shared::convert;
use windlass_shared::domain::{Lease, PushedLog};
use windlass_shared::pb;
use windlass_shared::status::to_status;

use crate::logs::Logs;
use crate::records::{ReadError, Records};

/// Leases remembered of one stream: more than an agent with a usual number of slots writes under at a time.
const LEASES_KNOWN_MAX: usize = 4_096;

/// Takes what comes on one stream.
pub(super) struct Taker {
    records: Records,
    logs: Arc<Logs>,
    /// Whether an attempt is on record under the lease. An attempt keeps its number and its token for good, and is durable before
    /// its agent hears of it: whatever the answer was, it stays.
    known: BTreeMap<Lease, bool>,
}

impl Taker {
    pub(super) fn new(records: Records, logs: Arc<Logs>) -> Self {
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
    fn take(&mut self, logs: Vec<PushedLog>) -> Result<pb::PushLogsResponse, Status> {
        let acks = logs.into_iter().map(|log| self.take_one(log)).collect::<Result<_, _>>();
        Ok(pb::PushLogsResponse { acks: acks.map_err(|err| to_status(&err))? })
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

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use tonic::Code;
    use windlass_core::{Core, Effect, Input, Options, Submission, Ticket};
    use windlass_shared::domain::{AgentHello, LogChunk, LogStream};
    use windlass_shared::ids::{AgentId, JobId, SessionId};
    use windlass_shared::{clock, status};

    use crate::bells::Bells;
    use crate::logs::{LogKey, LogLimits};
    use crate::store::faulty::FaultyStore;
    use crate::store::{Batch, Retention, Store, memory};

    /// A store with one job whose first attempt was leased, and the lease.
    async fn leased() -> (Arc<FaultyStore>, Lease) {
        let (mut core, job) = (Core::new(Options::default()), JobId::from_bytes([1; 16]));
        let hello = AgentHello {
            id: AgentId::from_bytes([1; 16]),
            name: "a1".into(),
            instance: 1,
            boot_id: "boot".into(),
            session: 1,
            slots: 1,
            capacity: 1,
            inventory: Vec::new(),
            host: "host".into(),
            version: "0".into(),
            seen: None,
        };
        let header = convert::read_header(&[0x0a, 0x03, 0x0a, 0x01, b't']).expect("valid");
        let mut effects = Vec::new();
        core.handle_into(clock::now(), Input::Hello { session: SessionId(1), hello: Box::new(hello) }, &mut effects);
        let jobs = vec![Submission { job, header }];
        core.handle_into(clock::now(), Input::Submit { ticket: Ticket(1), jobs }, &mut effects);
        core.handle_into(clock::now(), Input::Tick, &mut effects);
        let (mut batch, mut lease) = (Batch::default(), None);
        for effect in effects {
            match effect {
                Effect::Record(change) => batch.changes.push(*change),
                Effect::Assign(_, given) => lease = Some(given),
                _ => {}
            }
        }
        let store = FaultyStore::new(memory(Retention::in_memory(), 1).store, []);
        store.commit(batch).await.expect("committed");
        (Arc::new(store), lease.expect("assigned"))
    }

    fn piece(lease: Lease, offset: u64) -> PushedLog {
        PushedLog { lease, chunk: LogChunk { stream: LogStream::Stdout, offset, data: Bytes::from_static(b"abc") } }
    }

    #[tokio::test]
    async fn a_piece_whose_job_cannot_be_read_is_not_acknowledged_and_is_kept_when_it_comes_again() {
        let (store, lease) = leased().await;
        let bells = Bells::default();
        let logs = Arc::new(Logs::new(LogLimits::default(), bells.clone()));
        let mut taker = Taker::new(Records::new(store.clone(), bells), logs.clone());
        store.fail_reads(1);
        let told = taker.take(vec![piece(lease, 0)]).expect_err("not acknowledged");
        assert_eq!((told.code(), &*status::told(&told).reason), (Code::Unavailable, "STORE_UNREADABLE"));
        assert_eq!(taker.take(vec![piece(lease, 0)]).expect("kept").acks[0].offset, 3);
        let key = LogKey { job: lease.job, attempt: lease.attempt, stream: LogStream::Stdout };
        assert_eq!(logs.end(key), 3);
    }

    #[tokio::test]
    async fn a_job_is_read_once_for_all_the_pieces_of_a_stream() {
        let (store, lease) = leased().await;
        let bells = Bells::default();
        let logs = Arc::new(Logs::new(LogLimits::default(), bells.clone()));
        let mut taker = Taker::new(Records::new(store.clone(), bells), logs);
        let stranger = Lease { fencing_token: lease.fencing_token + 1, ..lease };
        for n in 0..100 {
            taker.take(vec![piece(lease, 3 * n), piece(stranger, 3 * n)]).expect("answered");
        }
        assert_eq!(store.reads(), 2, "once for each lease");
    }
}
