//! How agents and clients pace their attempts to reach the coordinator. The one module that knows the `backoff` crate
//! (docs/adr/0004-backoff.md).

use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff;

/// Waits between connection attempts: from 100 ms, by half more each time, to 5 s, each ± 50 %.
#[derive(Debug)]
pub struct Reconnect(ExponentialBackoff);

impl Default for Reconnect {
    fn default() -> Self {
        Self(ExponentialBackoff {
            current_interval: Duration::from_millis(100),
            initial_interval: Duration::from_millis(100),
            multiplier: 1.5,
            // 5 s: a third of the lease, so that a returning coordinator has every agent back well before it judges them.
            max_interval: Duration::from_secs(5),
            // The crate gives up after 15 minutes by default; an agent never does.
            max_elapsed_time: None,
            ..ExponentialBackoff::default()
        })
    }
}

impl Reconnect {
    /// The next wait.
    pub fn next_wait(&mut self) -> Duration {
        self.0.next_backoff().unwrap_or(self.0.max_interval)
    }

    /// Begins again from the shortest wait, after a connection that worked.
    pub fn reset(&mut self) {
        self.0.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_within_their_jitter_and_never_end() {
        let mut pace = Reconnect::default();
        assert!(pace.next_wait() <= Duration::from_millis(150));
        let late: Vec<_> = (0..100).map(|_| pace.next_wait()).skip(20).collect();
        assert!(late.iter().all(|wait| *wait >= Duration::from_millis(2_500) && *wait <= Duration::from_millis(7_500)));
        pace.reset();
        assert!(pace.next_wait() <= Duration::from_millis(150));
    }
}
