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
            // All has been sent, so the job is final, or about to be on record as that.
            let wait = || self.client.wait_job(&self.job, Duration::from_secs(1));
            let (job, done) = self.client.patiently("wait for the job", wait).await?;
            if done {
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
        if self.at.is_over() { Ok(()) } else { Err(Status::unavailable("the stream ended before the attempt did")) }
    }
}

/// How far we have read.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Position {
    /// None: we were told nothing yet. 0: that no attempt had been made.
    attempt: Option<u32>,
    stdout: u64,
    stderr: u64,
    /// Nothing follows of it.
    complete: bool,
}

impl Position {
    // The first time no attempt is named: the newest is the one. After a break it is the one we had, by its number, or its offsets
    // would be taken for those of a newer one, and those in between would be passed over.
    fn request(self, job: &str) -> pb::TailJobLogsRequest {
        let (attempt, stdout_offset, stderr_offset) = match self.attempt {
            None => (0, 0, 0),
            Some(over) if self.complete => (over + 1, 0, 0),
            Some(attempt) => (attempt.max(1), self.stdout, self.stderr),
        };
        pb::TailJobLogsRequest { job_id: job.to_owned(), attempt, stdout_offset, stderr_offset, and_later: true }
    }

    /// Whether a stream may end here.
    fn is_over(self) -> bool {
        self.complete || self.attempt == Some(0)
    }

    fn take(&mut self, news: pb::TailJobLogsResponse) -> Vec<Piece> {
        let mut pieces = Vec::new();
        if news.attempt == 0 {
            // What was read stays read.
            self.attempt.get_or_insert(0);
        } else if self.attempt != Some(news.attempt) {
            // The first is what everybody expects.
            if news.attempt > 1 {
                pieces.push(Piece::Attempt(news.attempt));
            }
            *self = Self { attempt: Some(news.attempt), ..Self::default() };
        }
        for chunk in news.chunks {
            self.take_chunk(chunk, &mut pieces);
        }
        self.complete |= news.complete;
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
        pb::TailJobLogsResponse { attempt, chunks, complete: false }
    }

    fn over(attempt: u32) -> pb::TailJobLogsResponse {
        pb::TailJobLogsResponse { complete: true, ..news(attempt, vec![]) }
    }

    fn at(attempt: u32, stdout: u64) -> Position {
        Position { attempt: Some(attempt), stdout, ..Position::default() }
    }

    fn asks(at: Position) -> (u32, u64, u64) {
        let request = at.request("id");
        assert!(request.and_later);
        (request.attempt, request.stdout_offset, request.stderr_offset)
    }

    #[test]
    fn streams_are_counted_apart() {
        let mut at = Position::default();
        let pieces = at.take(news(1, vec![out(0, "ab"), chunk(pb::log_chunk::Stream::Stderr, 0, "x"), out(2, "c")]));
        let wanted = [(Stream::Stdout, "ab"), (Stream::Stderr, "x"), (Stream::Stdout, "c")];
        assert_eq!(pieces, wanted.map(|(stream, data)| Piece::Output(stream, data.into())));
        assert_eq!(at, Position { attempt: Some(1), stdout: 3, stderr: 1, complete: false });
    }

    #[test]
    fn what_was_shown_is_never_shown_twice() {
        let mut at = at(1, 3);
        assert_eq!(at.take(news(1, vec![out(0, "abc")])), []);
        assert_eq!(at.take(news(1, vec![out(1, "bcde")])), [Piece::Output(Stream::Stdout, "de".into())]);
        assert_eq!(at.stdout, 5);
    }

    #[test]
    fn a_hole_is_named_with_its_size() {
        let pieces = at(1, 3).take(news(1, vec![out(10, "z")]));
        assert_eq!(pieces, [Piece::Dropped(Stream::Stdout, 7), Piece::Output(Stream::Stdout, "z".into())]);
    }

    #[test]
    fn a_new_attempt_is_announced_once_it_begins_and_counted_from_its_beginning() {
        let mut at = Position::default();
        assert_eq!(at.take(news(0, vec![])), []);
        assert_eq!(at.take(news(1, vec![out(0, "a")])), [Piece::Output(Stream::Stdout, "a".into())]);
        assert_eq!(at.take(over(1)), []);
        assert!(at.is_over());
        assert_eq!(at.take(news(2, vec![])), [Piece::Attempt(2)], "though it wrote nothing yet");
        assert!(!at.is_over());
        assert_eq!(at.take(news(2, vec![out(0, "b")])), [Piece::Output(Stream::Stdout, "b".into())]);
        assert_eq!(Position::default().take(news(3, vec![])), [Piece::Attempt(3)], "so is one that is joined late");
    }

    #[test]
    fn after_a_break_we_go_on_where_we_were() {
        assert_eq!(asks(Position::default()), (0, 0, 0), "told nothing: the newest is as good as any");
        assert_eq!(asks(at(0, 0)), (1, 0, 0), "there was none: all that were made since are wanted");
        assert_eq!(asks(Position { stderr: 6, ..at(2, 5) }), (2, 5, 6));
        let mut over = Position { complete: true, ..at(2, 5) };
        assert_eq!(asks(over), (3, 0, 0), "that one is over");
        assert_eq!(over.take(news(0, vec![])), []);
        assert_eq!(asks(over), (3, 0, 0), "and the next was not made yet");
    }

    #[test]
    fn a_stream_that_ends_in_the_middle_of_an_attempt_is_a_break() {
        assert!(!Position::default().is_over() && !at(1, 5).is_over());
        assert!(at(0, 0).is_over(), "a job may be over without any attempt");
    }
}
