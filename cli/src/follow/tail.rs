//! What one job writes, from its first attempt to its end, over broken connections.

use std::time::Duration;

use bytes::Buf;
use tokio::sync::mpsc::Sender;
use tonic::Status;
use windlass_shared::pb;

use super::{Piece, Stream};
use crate::client::Client;
use crate::failure::Failure;
use crate::patience::Patience;

/// Follows one job.
#[derive(Debug)]
pub(super) struct Tail {
    client: Client,
    job: String,
    pieces: Sender<Piece>,
    at: Position,
}

impl Tail {
    pub(super) fn new(client: Client, job: String, pieces: Sender<Piece>) -> Self {
        Self { client, job, pieces, at: Position::default() }
    }

    /// Sends every piece and then the end. A receiver that went away is told nothing more.
    pub(super) async fn run(mut self) {
        let end = self.follow().await;
        let _ = self.pieces.send(Piece::End(Box::new(end))).await;
    }

    async fn follow(&mut self) -> Result<pb::Job, Failure> {
        let mut patience = self.client.patience();
        loop {
            if let Err(status) = self.stream(&mut patience).await {
                let doing = "follow what the job writes";
                patience.bear(status).await.map_err(|status| self.client.failure(doing, &status))?;
                continue;
            }
            // The stream ended by itself: the job is final, or, where we had asked for one attempt after a break, that
            // attempt is. A second is long enough not to ask in circles while a retry waits.
            let wait = || self.client.wait_job(&self.job, Duration::from_secs(1));
            let (job, done) = self.client.patiently("wait for the job", wait).await?;
            let more = self.at.turn_to_newest(&job);
            if done && !more {
                return Ok(job);
            }
        }
    }

    async fn stream(&mut self, patience: &mut Patience) -> Result<(), Status> {
        let mut stream = self.client.tail_logs(self.at.request(&self.job)).await?;
        patience.renew();
        while let Some(news) = stream.message().await? {
            for piece in self.at.take(news) {
                // Nobody listens: we are about to be dropped.
                let _ = self.pieces.send(piece).await;
            }
        }
        Ok(())
    }
}

/// How far we have read.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Position {
    /// 0: no attempt has written yet.
    attempt: u32,
    stdout: u64,
    stderr: u64,
}

impl Position {
    // The first time no attempt is named, so that the stream covers all that come; after a break the one we had, or its
    // offsets would be taken for those of a newer one.
    fn request(self, job: &str) -> pb::TailJobLogsRequest {
        let Self { attempt, stdout, stderr } = self;
        pb::TailJobLogsRequest { job_id: job.to_owned(), attempt, stdout_offset: stdout, stderr_offset: stderr }
    }

    fn take(&mut self, news: pb::TailJobLogsResponse) -> Vec<Piece> {
        let mut pieces = Vec::new();
        if news.attempt != self.attempt {
            if self.attempt != 0 {
                pieces.push(Piece::Attempt(news.attempt));
            }
            *self = Self { attempt: news.attempt, ..Self::default() };
        }
        for chunk in news.chunks {
            self.take_chunk(chunk, &mut pieces);
        }
        pieces
    }

    fn take_chunk(&mut self, mut chunk: pb::LogChunk, pieces: &mut Vec<Piece>) {
        let (stream, next) = match chunk.stream() {
            pb::log_chunk::Stream::Stdout => (Stream::Stdout, &mut self.stdout),
            pb::log_chunk::Stream::Stderr => (Stream::Stderr, &mut self.stderr),
            pb::log_chunk::Stream::Unspecified => return,
        };
        if chunk.offset > *next {
            pieces.push(Piece::Dropped(stream, chunk.offset - *next));
        }
        // What we have already is passed over.
        let known = usize::try_from(next.saturating_sub(chunk.offset)).unwrap_or(usize::MAX).min(chunk.data.len());
        *next = (*next).max(chunk.offset + chunk.data.len() as u64);
        chunk.data.advance(known);
        if !chunk.data.is_empty() {
            pieces.push(Piece::Output(stream, chunk.data));
        }
    }

    // Whether there is an attempt with output that we have not begun to read; turns to it.
    fn turn_to_newest(&mut self, job: &pb::Job) -> bool {
        let Some(newest) = job.attempts.last() else { return false };
        let wrote = newest.stdout_bytes + newest.stderr_bytes > 0;
        if newest.number <= self.attempt || (newest.end_time.is_some() && !wrote) {
            return false;
        }
        *self = Self { attempt: newest.number, ..Self::default() };
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(stream: pb::log_chunk::Stream, offset: u64, data: &'static str) -> pb::LogChunk {
        pb::LogChunk { stream: stream.into(), offset, data: data.into() }
    }

    fn out(offset: u64, data: &'static str) -> pb::LogChunk {
        chunk(pb::log_chunk::Stream::Stdout, offset, data)
    }

    fn news(attempt: u32, chunks: Vec<pb::LogChunk>) -> pb::TailJobLogsResponse {
        pb::TailJobLogsResponse { attempt, chunks }
    }

    #[test]
    fn streams_are_counted_apart() {
        let mut at = Position::default();
        let pieces = at.take(news(1, vec![out(0, "ab"), chunk(pb::log_chunk::Stream::Stderr, 0, "x"), out(2, "c")]));
        let wanted = [(Stream::Stdout, "ab"), (Stream::Stderr, "x"), (Stream::Stdout, "c")];
        assert_eq!(pieces, wanted.map(|(stream, data)| Piece::Output(stream, data.into())));
        assert_eq!(at, Position { attempt: 1, stdout: 3, stderr: 1 });
    }

    #[test]
    fn what_was_shown_is_never_shown_twice() {
        let mut at = Position { attempt: 1, stdout: 3, stderr: 0 };
        assert_eq!(at.take(news(1, vec![out(0, "abc")])), []);
        assert_eq!(at.take(news(1, vec![out(1, "bcde")])), [Piece::Output(Stream::Stdout, "de".into())]);
        assert_eq!(at.stdout, 5);
    }

    #[test]
    fn a_hole_is_named_with_its_size() {
        let mut at = Position { attempt: 1, stdout: 3, stderr: 0 };
        let pieces = at.take(news(1, vec![out(10, "z")]));
        assert_eq!(pieces, [Piece::Dropped(Stream::Stdout, 7), Piece::Output(Stream::Stdout, "z".into())]);
    }

    #[test]
    fn a_new_attempt_is_announced_and_counted_from_its_beginning() {
        let mut at = Position::default();
        assert_eq!(at.take(news(1, vec![out(0, "a")])).len(), 1);
        assert_eq!(at.take(news(2, vec![out(0, "b")]))[0], Piece::Attempt(2));
        assert_eq!(at, Position { attempt: 2, stdout: 1, stderr: 0 });
    }

    #[test]
    fn after_a_break_the_attempt_is_named_with_its_offsets() {
        let request = Position { attempt: 2, stdout: 5, stderr: 6 }.request("id");
        assert_eq!((request.attempt, request.stdout_offset, request.stderr_offset), (2, 5, 6));
        assert_eq!(Position::default().request("id").attempt, 0);
    }

    #[test]
    fn an_attempt_that_wrote_nothing_is_not_asked_for() {
        let attempt = |number, stdout_bytes| pb::Attempt {
            number,
            stdout_bytes,
            end_time: Some(prost_types::Timestamp::default()),
            ..pb::Attempt::default()
        };
        let job = |attempts| pb::Job { attempts, ..pb::Job::default() };
        assert!(!Position::default().turn_to_newest(&job(vec![attempt(1, 0)])));
        assert!(!Position { attempt: 1, ..Position::default() }.turn_to_newest(&job(vec![attempt(1, 9)])));
        let mut at = Position { attempt: 1, stdout: 9, stderr: 0 };
        assert!(at.turn_to_newest(&job(vec![attempt(1, 9), attempt(2, 1)])));
        assert_eq!(at, Position { attempt: 2, stdout: 0, stderr: 0 });
    }
}
