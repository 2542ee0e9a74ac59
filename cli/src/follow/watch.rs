//! How the jobs stand, kept up to date by the coordinator's event stream. For showing only: what a command answers rests on
//! the jobs themselves.

use std::collections::HashMap;

use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinSet;
use tonic::{Code, Status};
use windlass_shared::convert;
use windlass_shared::domain::JobState;
use windlass_shared::limits::WATCH_IDS_MAX;
use windlass_shared::pb;

use crate::client::Client;
use crate::patience::Patience;

/// Messages that may wait for the screen; the coordinator batches what comes faster.
const WAITING: usize = 16;

/// The changes of some jobs, as they are recorded. Dropping it ends the watch.
#[derive(Debug)]
pub(crate) struct Changes {
    events: Receiver<Vec<pb::JobEvent>>,
    _task: JoinSet<()>,
}

impl Changes {
    /// Changes after `revision`; none: from now on.
    pub(crate) fn watch(client: Client, ids: &[String], revision: Option<u64>) -> Self {
        let (sender, events) = channel(WAITING);
        // More than the coordinator takes: watch all jobs, the board knows its own.
        let job_ids = if ids.len() > WATCH_IDS_MAX { Vec::new() } else { ids.to_vec() };
        let mut task = JoinSet::new();
        task.spawn(Watch { client, job_ids, revision, events: sender }.run());
        Self { events, _task: task }
    }

    /// The next changes; waits for ever where the watch had to be given up.
    pub(crate) async fn next(&mut self) -> Vec<pb::JobEvent> {
        match self.events.recv().await {
            Some(events) => events,
            None => std::future::pending().await,
        }
    }
}

struct Watch {
    client: Client,
    job_ids: Vec<String>,
    revision: Option<u64>,
    events: Sender<Vec<pb::JobEvent>>,
}

impl Watch {
    async fn run(mut self) {
        let mut patience = Patience::default();
        loop {
            let ended = self.stream(&mut patience).await;
            let status = ended.err().unwrap_or_else(|| Status::unavailable("the watch ended"));
            if status.code() == Code::OutOfRange {
                self.revision = None;
            } else if patience.bear(status).await.is_err() {
                return;
            }
        }
    }

    async fn stream(&mut self, patience: &mut Patience) -> Result<(), Status> {
        let request = pb::WatchJobsRequest { job_ids: self.job_ids.clone(), after_revision: self.revision };
        let mut stream = self.client.watch_jobs(request).await?;
        while let Some(news) = stream.message().await? {
            patience.renew();
            self.revision = Some(news.revision);
            let _ = self.events.send(news.events).await;
        }
        Ok(())
    }
}

/// How every job stands.
#[derive(Debug, Default)]
pub(crate) struct Board {
    numbers: HashMap<String, usize>,
    states: Vec<Option<JobState>>,
}

impl Board {
    /// A board for these jobs.
    pub(crate) fn new(ids: &[String]) -> Self {
        let numbers = ids.iter().enumerate().map(|(number, id)| (id.clone(), number)).collect();
        Self { numbers, states: vec![None; ids.len()] }
    }

    /// Notes that a job is in a state. What is final stays.
    pub(crate) fn note(&mut self, id: &str, state: i32) {
        let Some(number) = self.numbers.get(id) else { return };
        let known = &mut self.states[*number];
        if !known.is_some_and(JobState::is_final) {
            *known = convert::job_state(state).or(*known);
        }
    }

    /// The line to show: `[=====>     ] 52/100  8 running  1 failed`.
    pub(crate) fn line(&self, elapsed: &str) -> String {
        const CELLS: usize = 24;
        let count = |wanted: fn(JobState) -> bool| self.states.iter().flatten().filter(|state| wanted(**state)).count();
        let (all, done) = (self.states.len(), count(JobState::is_final));
        let filled = (done * CELLS).checked_div(all).unwrap_or(CELLS);
        let head = if filled < CELLS { ">" } else { "" };
        let bar = format!("{}{head}", "=".repeat(filled));
        let running = count(|state| matches!(state, JobState::Running | JobState::Cancelling));
        let failed = count(|state| matches!(state, JobState::Failed | JobState::Expired));
        format!("[{bar:<CELLS$}] {done}/{all}  {running} running  {failed} failed  {elapsed}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pb::job::State;

    fn board() -> Board {
        Board::new(&["a".into(), "b".into(), "c".into(), "d".into()])
    }

    #[test]
    fn the_line_counts_what_is_done_runs_and_failed() {
        let mut board = board();
        for (id, state) in [("a", State::Succeeded), ("b", State::Failed), ("c", State::Running)] {
            board.note(id, state.into());
        }
        assert_eq!(board.line("1.0 s"), "[============>           ] 2/4  1 running  1 failed  1.0 s");
    }

    #[test]
    fn what_is_final_stays_and_strangers_do_not_count() {
        let mut board = board();
        board.note("a", State::Succeeded.into());
        board.note("a", State::Running.into());
        board.note("z", State::Succeeded.into());
        assert!(board.line("").contains(" 1/4  0 running"), "{}", board.line(""));
        for id in ["b", "c", "d"] {
            board.note(id, State::Cancelled.into());
        }
        assert!(board.line("").starts_with("[========================] 4/4"));
    }
}
