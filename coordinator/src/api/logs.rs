//! What attempts wrote, by the piece.

use std::time::Duration;

use tonic::Status;
use windlass_shared::clock;
use windlass_shared::convert;
use windlass_shared::domain::{AttemptRecord, AttemptState, JobView, LogStream};
use windlass_shared::fault::Invalid;
use windlass_shared::ids::JobId;
use windlass_shared::limits::LOG_READ_BYTES_MAX;
use windlass_shared::pb;
use windlass_shared::status::to_status;

use super::Api;
use super::error::ApiError;
use crate::logs::LogKey;

const READ_BYTES: usize = 64 << 10;
/// Time after an attempt's end in which its last bytes may still come: an agent that was cut off sends them when it is back. Past
/// it they are taken to be gone, with their agent or by the limits on logs, and a follower is not kept waiting for them.
const LOG_LATE_MAX: Duration = Duration::from_secs(60);

/// Bytes the attempt wrote in all, once it is known.
fn final_bytes(attempt: &AttemptRecord, stream: LogStream) -> Option<u64> {
    if !attempt.state.is_final() {
        return None;
    }
    // Without a word from its agent nothing more is promised, so what is here is all there is.
    Some(attempt.outcome.as_ref().map_or(0, |outcome| match stream {
        LogStream::Stdout => outcome.stdout_bytes,
        LogStream::Stderr => outcome.stderr_bytes,
    }))
}

impl Api {
    /// Whether nothing can follow: all of it is here, or what is missing has had its time to come.
    pub(super) fn log_is_complete(&self, view: &JobView, attempt: &AttemptRecord, key: LogKey) -> bool {
        // A lost attempt may be taken back and write on, as long as no other was begun and the job is not over.
        let newest = view.record.attempts == attempt.number;
        if attempt.state == AttemptState::Lost && newest && !view.record.state.is_final() {
            return false;
        }
        let Some(bytes) = final_bytes(attempt, key.stream) else { return false };
        let given_up = attempt.ended_at.is_some_and(|at| clock::wall() >= at.after(LOG_LATE_MAX));
        self.logs.end(key) >= bytes || given_up
    }

    pub(super) fn read_logs(&self, request: &pb::ReadJobLogsRequest) -> Result<pb::ReadJobLogsResponse, Status> {
        let (id, stream) = read_request(request).map_err(|err| to_status(&err))?;
        let view = self.job(id).map_err(|err| to_status(&err))?;
        let Some(attempt) = pick_attempt(&view, request.attempt)? else {
            // Nothing has run yet; where the job is over, nothing will.
            let complete = view.record.state.is_final();
            return Ok(pb::ReadJobLogsResponse { chunks: Vec::new(), next_offset: request.offset, complete });
        };
        let key = LogKey { job: id, attempt: attempt.number, stream };
        let limit = match usize::try_from(request.max_bytes) {
            Ok(0) => READ_BYTES,
            Ok(bytes) => bytes.min(LOG_READ_BYTES_MAX),
            Err(_) => LOG_READ_BYTES_MAX,
        };
        // Before the read: what arrives in between must not be taken for the end.
        let all_here = self.log_is_complete(&view, attempt, key);
        let (chunks, next_offset) = self.logs.read(key, request.offset, limit);
        let complete = all_here && next_offset >= self.logs.end(key);
        Ok(pb::ReadJobLogsResponse {
            chunks: chunks.into_iter().map(convert::chunk_to_wire).collect(),
            next_offset,
            complete,
        })
    }
}

fn read_request(request: &pb::ReadJobLogsRequest) -> Result<(JobId, LogStream), Invalid> {
    Ok((convert::job_id("job_id", &request.job_id)?, convert::log_stream("stream", request.stream)?))
}

/// The attempt of this number, or the newest where it is 0; none where nothing has run.
pub(super) fn pick_attempt(view: &JobView, number: u32) -> Result<Option<&AttemptRecord>, Status> {
    if number == 0 {
        return Ok(view.attempts.last());
    }
    let found = view.attempts.iter().find(|attempt| attempt.number == number);
    found.map(Some).ok_or_else(|| to_status(&ApiError::NoSuchAttempt(view.record.id, number)))
}
