//! What was read and not begun, and what the reader has to tell whoever works.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// A job's line, with its number.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) id: u64,
    pub(crate) line: Vec<u8>,
}

/// Between the reader and whoever works.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    waiting: VecDeque<Waiting>,
    /// The job that runs, and its flag.
    running: Option<(u64, Arc<AtomicBool>)>,
    /// Nothing more is begun.
    pub(crate) draining: bool,
    /// Nothing more will come.
    pub(crate) closed: bool,
}

/// What comes next for whoever works.
#[derive(Debug)]
pub(crate) enum Next {
    Job(Waiting, Arc<AtomicBool>),
    /// Nothing more; whether the agent asked for a good-bye.
    End {
        drained: bool,
    },
}

impl Desk {
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes whoever waits for what has changed.
    pub(crate) fn wake(&self) {
        self.changed.notify_all();
    }

    /// The next job, which runs from now on. Before it waits, it does `before`.
    pub(crate) fn next(&self, before: impl Fn()) -> Next {
        let mut state = self.lock();
        state.running = None;
        if state.has_nothing() {
            drop(state);
            before();
            state = self.lock();
        }
        while state.has_nothing() {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        match state.waiting.pop_front() {
            Some(job) => {
                let cancelled = Arc::new(AtomicBool::new(false));
                state.running = Some((job.id, Arc::clone(&cancelled)));
                Next::Job(job, cancelled)
            }
            None => Next::End { drained: state.draining },
        }
    }

    /// Waits until `done` or the job is to be stopped; whether it is. For handlers that wait.
    pub(crate) fn wait_cancelled(&self, cancelled: &AtomicBool, time: std::time::Duration) -> bool {
        let state = self.lock();
        let stays = |_: &mut State| !cancelled.load(Ordering::Acquire);
        drop(self.changed.wait_timeout_while(state, time, stays).unwrap_or_else(PoisonError::into_inner));
        cancelled.load(Ordering::Acquire)
    }
}

impl State {
    fn has_nothing(&self) -> bool {
        self.waiting.is_empty() && !self.closed && !self.draining
    }

    pub(crate) fn put(&mut self, job: Waiting) {
        self.waiting.push_back(job);
    }

    /// Takes a job back that was not begun; whether there was one.
    pub(crate) fn recall(&mut self, id: u64) -> bool {
        let at = self.waiting.iter().position(|job| job.id == id);
        at.and_then(|at| self.waiting.remove(at)).is_some()
    }

    /// Takes everything back that was not begun.
    pub(crate) fn recall_all(&mut self) -> impl Iterator<Item = u64> {
        std::mem::take(&mut self.waiting).into_iter().map(|job| job.id)
    }

    /// Tells the job that it is to stop; whether it runs.
    pub(crate) fn cancel(&self, id: u64) -> bool {
        let running = self.running.as_ref().filter(|(running, _)| *running == id);
        running.inspect(|(_, cancelled)| cancelled.store(true, Ordering::Release)).is_some()
    }

    /// Tells whatever runs that it is to stop.
    pub(crate) fn cancel_running(&self) {
        self.running.iter().for_each(|(_, cancelled)| cancelled.store(true, Ordering::Release));
    }
}
