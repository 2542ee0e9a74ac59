//! What a pool did under the ids that operators gave their requests, so that a repeat does it once.
//!
//! Kept here rather than by the coordinator: whoever acts knows whether it did, also where its answer came too late or was lost. It ends
//! with the agent's process, and so do the workers that it is about.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use windlass_shared::domain::{PoolAnswer, PoolAsk, PoolRefusal, PoolReply};

/// Requests remembered of one pool: operators and their scripts make a few a day, and a state is about a kilobyte.
const REQUESTS_MAX: usize = 256;
/// As long as a submit is remembered.
const REMEMBERED_FOR: Duration = Duration::from_secs(24 * 3_600);

#[derive(Debug, Default)]
pub(super) struct Repeats(VecDeque<Done>);

#[derive(Debug)]
struct Done {
    request: Arc<str>,
    ask: PoolAsk,
    answer: PoolAnswer,
    at: Instant,
}

impl Repeats {
    /// The answer there was; none: it is new.
    pub(super) fn find(&mut self, request: &Arc<str>, ask: &PoolAsk, now: Instant) -> Option<PoolReply> {
        let old = |done: &Done| now.saturating_duration_since(done.at) >= REMEMBERED_FOR;
        while self.0.front().is_some_and(old) {
            self.0.pop_front();
        }
        let done = self.0.iter().find(|done| done.request == *request)?;
        Some(if done.ask == *ask {
            Ok(done.answer.clone())
        } else {
            Err(PoolRefusal::RequestIdTaken(Arc::clone(request)))
        })
    }

    /// Remembers what was done.
    pub(super) fn keep(&mut self, request: Arc<str>, ask: PoolAsk, answer: PoolAnswer, at: Instant) {
        if self.0.len() == REQUESTS_MAX {
            self.0.pop_front();
        }
        self.0.push_back(Done { request, ask, answer, at });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer() -> PoolAnswer {
        PoolAnswer::Workers(Vec::new())
    }

    #[test]
    fn a_request_is_remembered_for_a_day_and_among_the_newest() {
        let (mut repeats, start) = (Repeats::default(), Instant::now());
        let id = |n: usize| Arc::<str>::from(format!("r-{n}"));
        repeats.keep(id(0), PoolAsk::Reset, answer(), start);
        let almost = start + REMEMBERED_FOR - Duration::from_nanos(1);
        assert_eq!(repeats.find(&id(0), &PoolAsk::Reset, almost), Some(Ok(answer())));
        let other = PoolAsk::Recycle { force: true };
        assert_eq!(repeats.find(&id(0), &other, almost), Some(Err(PoolRefusal::RequestIdTaken(id(0)))));
        assert_eq!(repeats.find(&id(1), &PoolAsk::Reset, almost), None);
        assert_eq!(repeats.find(&id(0), &PoolAsk::Reset, start + REMEMBERED_FOR), None);
        for n in 0..=REQUESTS_MAX {
            repeats.keep(id(n), PoolAsk::Reset, answer(), start);
        }
        assert_eq!(repeats.0.len(), REQUESTS_MAX);
        assert_eq!(repeats.find(&id(0), &PoolAsk::Reset, start), None);
        assert!(repeats.find(&id(1), &PoolAsk::Reset, start).is_some());
    }
}
