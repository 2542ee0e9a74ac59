//! How the jobs stand, for the progress bar. For showing only: what a command answers rests on the jobs themselves.

use std::collections::HashMap;

use windlass_shared::convert;
use windlass_shared::domain::JobState;

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
    use windlass_shared::pb::job::State;

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
