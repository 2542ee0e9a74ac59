//! The agent's term: one that says when it leaves does so, and in order.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use windlass_shared::clock;
use windlass_shared::domain::Traits;
use windlass_shared::time::Timestamp;

use crate::drain::Stopper;

/// How often the wall clock is looked at: it may be set meanwhile, and nobody plans a host's end to the second.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// Tells the agent to leave so long before the time it says, if it says any, that what runs has its drain timeout: what is
/// stopped by then is INTERRUPTED, and what the host's end stops is LOST.
pub(crate) async fn keep(
    mut traits: watch::Receiver<Arc<Traits>>,
    mut drain_timeout: watch::Receiver<Duration>,
    stop: Stopper,
) {
    loop {
        let leaves_at = traits.borrow_and_update().leaves_at;
        let left = leaves_at.map(|at| time_left(clock::wall(), at, *drain_timeout.borrow_and_update()));
        if left.is_some_and(|left| left.is_zero()) {
            tracing::info!("the time this agent said it has is over");
            stop.begin();
            return;
        }
        // An agent without those who could change it does not reload.
        tokio::select! {
            () = tokio::time::sleep(left.unwrap_or(LOOK_EVERY).min(LOOK_EVERY)) => {}
            Ok(()) = traits.changed() => {}
            Ok(()) = drain_timeout.changed() => {}
        }
    }
}

fn time_left(now: Timestamp, leaves_at: Timestamp, drain_timeout: Duration) -> Duration {
    let left = Duration::from_nanos(u64::try_from(leaves_at.0.saturating_sub(now.0)).unwrap_or(0));
    left.saturating_sub(drain_timeout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_time_left_until_the_drain_must_begin() {
        let (now, at) = (Timestamp(1_000), Timestamp(1_000).after(Duration::from_secs(60)));
        assert_eq!(time_left(now, at, Duration::from_secs(20)), Duration::from_secs(40));
        assert_eq!(time_left(now, at, Duration::from_secs(60)), Duration::ZERO);
        assert_eq!(time_left(at, now, Duration::ZERO), Duration::ZERO, "past");
        assert_eq!(time_left(now, Timestamp(i64::MIN), Duration::ZERO), Duration::ZERO);
    }
}
