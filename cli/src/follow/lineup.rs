//! Jobs shown one after the other in the order they were asked for, while the next ones are read ahead.
//!
//! ```text
//!   shown        read ahead, each up to a few messages        not begun
//! ┌───────┐  ┌───────┬───────┬─────── … ───────┐  ┌─────── …
//! │ job 3 │  │ job 4 │ job 5 │                 │  │ job 19
//! └───────┘  └───────┴───────┴─────── … ───────┘  └─────── …
//! ```

use std::collections::VecDeque;

use tokio::sync::mpsc::{Receiver, channel};
use tokio::task::JoinSet;

use super::tail::Tail;
use super::{Piece, WINDOW};
use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;

/// Messages read ahead for each job; what is beyond waits in the connection's windows, and then with the coordinator.
const AHEAD: usize = 4;

/// The jobs in order. Dropping it ends all reading.
#[derive(Debug)]
pub(crate) struct Lineup {
    client: Client,
    ids: Vec<String>,
    begun: usize,
    ended: usize,
    reading: VecDeque<Receiver<Piece>>,
    tails: JoinSet<()>,
}

impl Lineup {
    /// The jobs with these ids.
    pub(crate) fn new(client: Client, ids: Vec<String>) -> Self {
        Self { client, ids, begun: 0, ended: 0, reading: VecDeque::new(), tails: JoinSet::new() }
    }

    /// The next piece, with the number of the job it belongs to; none after the end of the last. Nothing is lost where
    /// the future is dropped half-way.
    pub(crate) async fn next(&mut self) -> Option<(usize, Piece)> {
        while self.reading.len() < WINDOW && self.begun < self.ids.len() {
            self.begin();
        }
        let piece = self.reading.front_mut()?.recv().await.unwrap_or_else(vanished);
        let number = self.ended;
        if matches!(piece, Piece::End(_)) {
            self.reading.pop_front();
            self.ended += 1;
            while self.tails.try_join_next().is_some() {}
        }
        Some((number, piece))
    }

    fn begin(&mut self) {
        let (sender, receiver) = channel(AHEAD);
        let tail = Tail::new(self.client.clone(), self.ids[self.begun].clone(), sender);
        self.tails.spawn(tail.run());
        self.reading.push_back(receiver);
        self.begun += 1;
    }
}

// A tail sends its end whatever happens; one that did not has panicked.
fn vanished() -> Piece {
    Piece::End(Box::new(Err(Failure::new(Exit::OTHER, "BUG", "following a job ended without a word; this is a bug"))))
}
