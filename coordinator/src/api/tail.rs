//! What attempts write, as it arrives.
//!
//! ```text
//!  where the follower stands ─► chunks … ─► complete ─► the next attempt, once it has begun ─► … ─► the job is final: the stream ends
//! ```
//! An end without an error says that all has been sent. Whatever else ends a stream is told as the error it is, so that a follower
//! never takes a stop of the coordinator for the end of the job.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use windlass_shared::convert;
use windlass_shared::domain::{AttemptRecord, AttemptState, JobView, LogChunk, LogStream};
use windlass_shared::ids::JobId;
use windlass_shared::pb;
use windlass_shared::status::to_status;

use super::error::ApiError;
use super::logs::pick_attempt;
use super::{Answers, Api};
use crate::driver::Stopping;
use crate::logs::LogKey;

/// Bytes of one stream in one message of a tail.
const TAIL_BYTES: usize = 256 << 10;
const MESSAGES_AHEAD: usize = 4;
/// How often a follower looks though nothing rang.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// Time for the word that we are stopping to get into a follower's queue. One that reads takes it at once; one that does not is
/// not worth a longer shutdown.
const LAST_WORD_MAX: Duration = Duration::from_secs(1);

const STREAMS: [LogStream; 2] = [LogStream::Stdout, LogStream::Stderr];

type Sender = mpsc::Sender<Result<pb::TailJobLogsResponse, Status>>;

impl Api {
    pub(super) fn tail_logs(
        &self,
        request: &pb::TailJobLogsRequest,
    ) -> Result<Answers<pb::TailJobLogsResponse>, Status> {
        let job = convert::job_id("job_id", &request.job_id).map_err(|err| to_status(&err))?;
        let view = self.job(job).map_err(|err| to_status(&err))?;
        let tail = Tail::new(job, request);
        if tail.only {
            pick_attempt(&view, request.attempt)?;
        }
        let (answers, stream) = mpsc::channel(MESSAGES_AHEAD);
        let (api, stop) = (self.clone(), self.tasks.stop_token().clone());
        self.tasks.spawn("tail", async move {
            tokio::select! {
                () = stop.cancelled() => {
                    let word = answers.send(Err(to_status(&Stopping)));
                    let _ = tokio::time::timeout(LAST_WORD_MAX, word).await;
                }
                () = answers.closed() => {}
                () = api.send_tail(tail, &answers) => {}
            }
        });
        Ok(Box::pin(ReceiverStream::new(stream)))
    }

    async fn send_tail(&self, mut tail: Tail, answers: &Sender) {
        let bell = self.records.clone();
        loop {
            let found = tokio::time::timeout(LOOK_AGAIN, bell.wait(tail.job, || self.look(&mut tail)));
            // Time makes a log complete without anything happening.
            let Ok(found) = found.await else { continue };
            let (answer, last) = match found {
                Found::News(news) => (Ok(news), false),
                Found::Broken(err) => (Err(to_status(&err)), true),
                Found::End => return,
            };
            if answers.send(answer).await.is_err() || last {
                return;
            }
        }
    }

    /// What there is to say, if anything.
    fn look(&self, tail: &mut Tail) -> Option<Found> {
        let view = match self.job(tail.job) {
            Ok(view) => view,
            Err(err) => return Some(Found::Broken(err)),
        };
        loop {
            let Some(attempt) = tail.find(&view) else {
                if view.record.state.is_final() {
                    return Some(Found::End);
                }
                return tail.say_where(0).then(|| Found::News(tail.news(Vec::new())));
            };
            if !tail.complete {
                let news = self.look_at(tail, &view, attempt);
                // One that was given back is over, and there is nothing to say of it.
                if news.is_some() || !tail.complete {
                    return news;
                }
            }
            if tail.only {
                return Some(Found::End);
            }
            tail.turn_to_next();
        }
    }

    fn look_at(&self, tail: &mut Tail, view: &JobView, attempt: &AttemptRecord) -> Option<Found> {
        // Before the read: what arrives in between must not be taken for the end.
        let all_here = STREAMS.map(|stream| self.log_is_complete(view, attempt, tail.key(stream))) == [true, true];
        let chunks = tail.read(self);
        let all_read = (0..).zip(STREAMS).all(|(i, stream)| tail.offsets[i] >= self.logs.end(tail.key(stream)));
        tail.complete = all_here && all_read;
        // One that was given back never ran: followers need not hear of it.
        let begun =
            attempt.started_at.is_some() || (attempt.state.is_final() && attempt.state != AttemptState::Returned);
        let is_first = tail.told.is_none();
        let tells = !chunks.is_empty() || ((begun || is_first) && tail.told != Some(attempt.number));
        let ends = tail.complete && (tells || tail.told == Some(attempt.number));
        (tells || ends).then(|| {
            tail.say_where(attempt.number);
            Found::News(tail.news(chunks))
        })
    }
}

enum Found {
    News(pb::TailJobLogsResponse),
    Broken(ApiError),
    End,
}

/// Where a follower stands.
struct Tail {
    job: JobId,
    /// Only one attempt is followed.
    only: bool,
    /// The attempt followed, or the first that may be; 0: the newest, or whichever comes first.
    attempt: u32,
    /// The one the follower was told of last; none: it was told nothing yet.
    told: Option<u32>,
    offsets: [u64; 2],
    /// Nothing follows of this attempt.
    complete: bool,
}

impl Tail {
    fn new(job: JobId, request: &pb::TailJobLogsRequest) -> Self {
        Self {
            job,
            only: request.attempt != 0 && !request.and_later,
            attempt: request.attempt,
            told: None,
            offsets: [request.stdout_offset, request.stderr_offset],
            complete: false,
        }
    }

    fn find<'a>(&mut self, view: &'a JobView) -> Option<&'a AttemptRecord> {
        let found = match self.attempt {
            0 => view.attempts.last(),
            // Numbers only grow, and not every one is there: the next is the one.
            wanted => view.attempts.iter().find(|attempt| attempt.number >= wanted),
        }?;
        if self.attempt != 0 && found.number != self.attempt {
            // The offsets were those of the attempt that was named.
            self.offsets = [0, 0];
        }
        self.attempt = found.number;
        Some(found)
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

    /// Notes what the follower is told; whether it is news.
    fn say_where(&mut self, attempt: u32) -> bool {
        if attempt == 0 && self.told.is_some() {
            return false;
        }
        self.told.replace(attempt) != Some(attempt)
    }

    fn news(&self, chunks: Vec<LogChunk>) -> pb::TailJobLogsResponse {
        let chunks = chunks.into_iter().map(convert::chunk_to_wire).collect();
        pb::TailJobLogsResponse { attempt: self.told.unwrap_or(0), chunks, complete: self.complete }
    }

    fn turn_to_next(&mut self) {
        self.attempt += 1;
        self.offsets = [0, 0];
        self.complete = false;
    }
}
