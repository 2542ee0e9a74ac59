//! What attempts wrote, by the piece and as it arrives.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use windlass_shared::clock;
use windlass_shared::convert;
use windlass_shared::domain::{AttemptRecord, AttemptState, JobView, LogChunk, LogStream};
use windlass_shared::fault::Invalid;
use windlass_shared::ids::JobId;
use windlass_shared::limits::LOG_READ_BYTES_MAX;
use windlass_shared::pb;
use windlass_shared::status::to_status;

use super::error::ApiError;
use super::{Answers, Api};
use crate::logs::LogKey;

const READ_BYTES: usize = 64 << 10;
/// Bytes of one stream in one message of a tail.
const TAIL_BYTES: usize = 256 << 10;
const MESSAGES_AHEAD: usize = 4;
/// Time after an attempt's end in which its last bytes may still come: an agent that was cut off sends them when it is back. Past
/// it they are taken to be gone, with their agent or by the limits on logs, and a follower is not kept waiting for them.
const LOG_LATE_MAX: Duration = Duration::from_secs(60);
/// How often a follower looks though nothing rang.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

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
    fn log_is_complete(&self, view: &JobView, attempt: &AttemptRecord, key: LogKey) -> bool {
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

    pub(super) fn tail_logs(
        &self,
        request: &pb::TailJobLogsRequest,
    ) -> Result<Answers<pb::TailJobLogsResponse>, Status> {
        let id = convert::job_id("job_id", &request.job_id).map_err(|err| to_status(&err))?;
        let view = self.job(id).map_err(|err| to_status(&err))?;
        pick_attempt(&view, request.attempt)?;
        let tail = Tail {
            job: id,
            only: request.attempt,
            attempt: 0,
            offsets: [request.stdout_offset, request.stderr_offset],
        };
        let (answers, stream) = mpsc::channel(MESSAGES_AHEAD);
        let (api, stop) = (self.clone(), self.tasks.stop_token().clone());
        self.tasks.spawn("tail", async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = answers.closed() => {}
                () = api.send_tail(tail, &answers) => {}
            }
        });
        Ok(Box::pin(ReceiverStream::new(stream)))
    }

    async fn send_tail(&self, mut tail: Tail, answers: &mpsc::Sender<Result<pb::TailJobLogsResponse, Status>>) {
        let bell = self.records.clone();
        loop {
            let found = tokio::time::timeout(LOOK_AGAIN, bell.wait(tail.job, || self.look(&mut tail)));
            // Time makes a log complete without anything happening.
            let Ok(found) = found.await else { continue };
            match found {
                Found::Chunks(attempt, chunks) => {
                    let chunks = chunks.into_iter().map(convert::chunk_to_wire).collect();
                    if answers.send(Ok(pb::TailJobLogsResponse { attempt, chunks })).await.is_err() {
                        return;
                    }
                }
                Found::End => return,
            }
        }
    }

    /// What there is to say, if anything.
    fn look(&self, tail: &mut Tail) -> Option<Found> {
        // Gone or unreadable meanwhile: whoever asks again learns which.
        let Ok(view) = self.job(tail.job) else { return Some(Found::End) };
        loop {
            let Some(attempt) = tail.find(&view) else {
                return view.record.state.is_final().then_some(Found::End);
            };
            let all_here = STREAMS.map(|stream| self.log_is_complete(&view, attempt, tail.key(stream)));
            let chunks = tail.read(self);
            if !chunks.is_empty() {
                return Some(Found::Chunks(tail.attempt, chunks));
            }
            if all_here != [true, true] {
                return None;
            }
            if tail.only != 0 {
                return Some(Found::End);
            }
            tail.next_attempt();
        }
    }
}

const STREAMS: [LogStream; 2] = [LogStream::Stdout, LogStream::Stderr];

enum Found {
    Chunks(u32, Vec<LogChunk>),
    End,
}

/// Where a follower stands.
struct Tail {
    job: JobId,
    /// The one attempt followed; 0: the newest, and those after it.
    only: u32,
    /// The attempt followed now; 0: none yet.
    attempt: u32,
    offsets: [u64; 2],
}

impl Tail {
    fn find<'a>(&mut self, view: &'a JobView) -> Option<&'a AttemptRecord> {
        let wanted = if self.attempt != 0 { self.attempt } else { self.only };
        let found = match wanted {
            0 => view.attempts.last(),
            // Returned attempts never ran; numbers only grow, so the next one there is follows.
            wanted => view.attempts.iter().find(|attempt| attempt.number >= wanted),
        };
        self.attempt = found.map_or(self.attempt, |attempt| attempt.number);
        found
    }

    fn key(&self, stream: LogStream) -> LogKey {
        LogKey { job: self.job, attempt: self.attempt, stream }
    }

    fn read(&mut self, api: &Api) -> Vec<LogChunk> {
        let mut all = Vec::new();
        for (i, stream) in STREAMS.into_iter().enumerate() {
            let (chunks, next) = api.logs.read(self.key(stream), self.offsets[i], TAIL_BYTES);
            self.offsets[i] = next;
            all.extend(chunks);
        }
        all
    }

    fn next_attempt(&mut self) {
        self.attempt += 1;
        self.offsets = [0, 0];
    }
}

fn read_request(request: &pb::ReadJobLogsRequest) -> Result<(JobId, LogStream), Invalid> {
    Ok((convert::job_id("job_id", &request.job_id)?, convert::log_stream("stream", request.stream)?))
}

/// The attempt of this number, or the newest where it is 0; none where nothing has run.
fn pick_attempt(view: &JobView, number: u32) -> Result<Option<&AttemptRecord>, Status> {
    if number == 0 {
        return Ok(view.attempts.last());
    }
    let found = view.attempts.iter().find(|attempt| attempt.number == number);
    found.map(Some).ok_or_else(|| to_status(&ApiError::NoSuchAttempt(view.record.id, number)))
}
