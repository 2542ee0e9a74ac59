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
            let more = self.at.turn_to_next(&job);
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
    /// Turned to by ourselves, and not announced yet.
    turned: bool,
}

impl Position {
    // The first time no attempt is named, so that the stream covers all that come; after a break the one we had, or its
    // offsets would be taken for those of a newer one.
    fn request(self, job: &str) -> pb::TailJobLogsRequest {
        let Self { attempt, stdout, stderr, .. } = self;
        pb::TailJobLogsRequest { job_id: job.to_owned(), attempt, stdout_offset: stdout, stderr_offset: stderr }
    }

    fn take(&mut self, news: pb::TailJobLogsResponse) -> Vec<Piece> {
        let mut pieces = Vec::new();
        if news.attempt != self.attempt {
            if self.attempt != 0 {
                pieces.push(Piece::Attempt(news.attempt));
            }
            *self = Self { attempt: news.attempt, ..Self::default() };
        } else if !news.chunks.is_empty() && std::mem::take(&mut self.turned) {
            pieces.push(Piece::Attempt(news.attempt));
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

    // Whether there is an attempt with output that we have not begun to read; turns to it. After a break those in between come
    // one by one: each was promised, and the newest is only the last of them. Where nothing was read yet, it is the newest, as
    // the stream that names no attempt has it.
    fn turn_to_next(&mut self, job: &pb::Job) -> bool {
        let speaks = |one: &&pb::Attempt| one.end_time.is_none() || one.stdout_bytes + one.stderr_bytes > 0;
        let next = match self.attempt {
            0 => job.attempts.last().filter(speaks),
            read => job.attempts.iter().filter(|one| one.number > read).find(speaks),
        };
        let Some(next) = next else { return false };
        *self = Self { attempt: next.number, turned: self.attempt != 0, ..Self::default() };
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
        assert_eq!(at, Position { attempt: 1, stdout: 3, stderr: 1, turned: false });
    }

    #[test]
    fn what_was_shown_is_never_shown_twice() {
        let mut at = Position { attempt: 1, stdout: 3, stderr: 0, turned: false };
        assert_eq!(at.take(news(1, vec![out(0, "abc")])), []);
        assert_eq!(at.take(news(1, vec![out(1, "bcde")])), [Piece::Output(Stream::Stdout, "de".into())]);
        assert_eq!(at.stdout, 5);
    }

    #[test]
    fn a_hole_is_named_with_its_size() {
        let mut at = Position { attempt: 1, stdout: 3, stderr: 0, turned: false };
        let pieces = at.take(news(1, vec![out(10, "z")]));
        assert_eq!(pieces, [Piece::Dropped(Stream::Stdout, 7), Piece::Output(Stream::Stdout, "z".into())]);
    }

    #[test]
    fn a_new_attempt_is_announced_and_counted_from_its_beginning() {
        let mut at = Position::default();
        assert_eq!(at.take(news(1, vec![out(0, "a")])).len(), 1);
        assert_eq!(at.take(news(2, vec![out(0, "b")]))[0], Piece::Attempt(2));
        assert_eq!(at, Position { attempt: 2, stdout: 1, stderr: 0, turned: false });
    }

    #[test]
    fn after_a_break_the_attempt_is_named_with_its_offsets() {
        let request = Position { attempt: 2, stdout: 5, stderr: 6, turned: false }.request("id");
        assert_eq!((request.attempt, request.stdout_offset, request.stderr_offset), (2, 5, 6));
        assert_eq!(Position::default().request("id").attempt, 0);
    }

    fn job(wrote: &[u64]) -> pb::Job {
        let attempt = |(number, stdout_bytes): (u32, &u64)| pb::Attempt {
            number,
            stdout_bytes: *stdout_bytes,
            end_time: Some(prost_types::Timestamp::default()),
            ..pb::Attempt::default()
        };
        pb::Job { attempts: (1..).zip(wrote).map(attempt).collect(), ..pb::Job::default() }
    }

    #[test]
    fn an_attempt_that_wrote_nothing_is_not_asked_for() {
        assert!(!Position::default().turn_to_next(&job(&[0])));
        assert!(!Position { attempt: 1, ..Position::default() }.turn_to_next(&job(&[9])));
        let mut at = Position { attempt: 1, stdout: 9, stderr: 0, turned: false };
        assert!(at.turn_to_next(&job(&[9, 1])));
        assert_eq!(at, Position { attempt: 2, stdout: 0, stderr: 0, turned: true });
        assert_eq!(at.take(news(2, vec![out(0, "b")]))[0], Piece::Attempt(2), "and it is announced");
        assert_eq!(at.take(news(2, vec![out(1, "c")])).len(), 1, "once");
    }

    #[test]
    fn after_a_break_every_attempt_in_between_is_read_in_its_order() {
        let job = job(&[9, 4, 0, 7, 2]);
        let mut at = Position { attempt: 1, stdout: 9, stderr: 0, turned: false };
        let mut read = Vec::new();
        while at.turn_to_next(&job) {
            read.push(at.attempt);
        }
        assert_eq!(read, [2, 4, 5], "all but the third, which wrote nothing");
    }

    #[test]
    fn without_anything_read_the_newest_attempt_is_the_one() {
        let mut at = Position::default();
        assert!(at.turn_to_next(&job(&[9, 4])));
        assert_eq!(at.attempt, 2);
    }
}
