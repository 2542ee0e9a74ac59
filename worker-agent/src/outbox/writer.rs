//! When the outbox is written: one thread that lives as long as the agent does.
//!
//! News wake it at once, for they are not said before. An acknowledgement is in no hurry, since losing it costs a repetition: it goes
//! with the next news, or after [`PATIENCE`]. An agent of short jobs thereby wakes this thread once a report, and cuts the file when
//! it has nothing else to do.

use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{Outbox, State, Writer};

/// Time without news after which what is past is written down: long for a stream of short jobs, short for somebody who looks at the file.
const PATIENCE: Duration = Duration::from_millis(50);
/// Time between two tries on a disk that refused: space comes back by somebody's doing.
const SAVE_AGAIN: Duration = Duration::from_secs(1);

/// Ends the writer, however it is left.
struct Hold(Outbox);

impl Outbox {
    /// Writes what there is to write until `stop`, and everything once more then.
    pub(crate) async fn tend(self, stop: CancellationToken) {
        let hold = Hold(self.clone());
        let writer = tokio::task::spawn_blocking(move || self.write());
        stop.cancelled().await;
        drop(hold);
        // It fails only where the runtime goes down, and then there is nobody left to tell.
        let _ = writer.await;
    }

    fn write(&self) {
        loop {
            let stop = self.wait();
            self.save();
            if stop {
                return;
            }
        }
    }

    /// Returns when there is something to write; whether it is the last time.
    fn wait(&self) -> bool {
        let mut state = self.state();
        loop {
            let patience = if state.stuck { SAVE_AGAIN } else { PATIENCE };
            let awaited = |state: &mut State| !state.writer.stop && (state.stuck || !state.writer.news);
            let waited = self.0.unsaved.wait_timeout_while(state, patience, awaited);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            let Writer { news, past, stop, .. } = state.writer;
            if news || past || stop || state.stuck {
                return stop;
            }
            state = self.rest(state);
        }
    }

    /// Returns when anything happened.
    fn rest<'a>(&self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        state.writer.rests = true;
        let rests = |state: &mut State| state.writer.rests && !state.writer.news && !state.writer.stop;
        let mut state = self.0.unsaved.wait_while(state, rests).unwrap_or_else(PoisonError::into_inner);
        state.writer.rests = false;
        state
    }

    pub(super) fn wake_for_news(&self, mut state: MutexGuard<'_, State>) {
        let woken = std::mem::replace(&mut state.writer.news, true);
        drop(state);
        if !woken {
            self.0.unsaved.notify_one();
        }
    }

    pub(super) fn note_past(&self, mut state: MutexGuard<'_, State>) {
        state.writer.past = true;
        let rests = std::mem::take(&mut state.writer.rests);
        drop(state);
        if rests {
            self.0.unsaved.notify_one();
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.state().writer.stop = true;
        self.0.0.unsaved.notify_one();
    }
}
