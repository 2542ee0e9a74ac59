//! How long a command bears with a coordinator that is out of reach.

use std::time::Duration;

use tokio::time::Instant;
use tonic::{Code, Status};
use windlass_shared::resilience::reconnect::Reconnect;
use windlass_shared::status::told;

/// A restart takes seconds; whoever waits longer than this for a coordinator should be told.
pub(crate) const DEFAULT: Duration = Duration::from_secs(30);

/// Paces attempts to reach a coordinator, and ends after its limit without one.
#[derive(Debug)]
pub(crate) struct Patience {
    limit: Duration,
    pace: Reconnect,
    since: Option<Instant>,
}

impl Patience {
    pub(crate) fn new(limit: Duration) -> Self {
        Self { limit, pace: Reconnect::default(), since: None }
    }

    /// Waits before the next attempt.
    ///
    /// # Errors
    /// The status, where asking again is of no use: the coordinator said no, or patience ran out.
    pub(crate) async fn bear(&mut self, status: Status) -> Result<(), Status> {
        let hint = told(&status).retry_after;
        if !is_broken(&status) && hint.is_none() {
            return Err(status);
        }
        if self.pause(hint).await { Ok(()) } else { Err(status) }
    }

    /// Waits before the next attempt, at least as long as the hint; false: patience ran out.
    pub(crate) async fn pause(&mut self, hint: Option<Duration>) -> bool {
        let left = self.limit.saturating_sub(self.since.get_or_insert_with(Instant::now).elapsed());
        if left.is_zero() {
            return false;
        }
        let wait = self.pace.next_wait().max(hint.unwrap_or_default());
        tokio::time::sleep(wait.min(left)).await;
        true
    }

    /// The connection works again.
    pub(crate) fn renew(&mut self) {
        self.since = None;
        self.pace.reset();
    }
}

/// Whether the call failed on its way, so that asking again may help: the coordinator never sends a source, only what is
/// between us does. A deadline may have passed on either side.
pub(crate) fn is_broken(status: &Status) -> bool {
    // The coordinator's word about an agent: the way to the coordinator is fine.
    if matches!(&*told(status).reason, "AGENT_AWAY" | "AGENT_NOT_ANSWERING") {
        return false;
    }
    matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded) || std::error::Error::source(status).is_some()
}

#[cfg(test)]
mod tests {
    use windlass_shared::fault::{Fault, Kind};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_broken_connection_is_borne_as_long_as_patience_lasts_and_no_longer() {
        let mut patience = Patience::new(DEFAULT);
        let start = Instant::now();
        while patience.bear(Status::unavailable("gone")).await.is_ok() {}
        assert_eq!(start.elapsed().as_secs(), DEFAULT.as_secs());
        patience.renew();
        assert!(patience.bear(Status::unavailable("gone")).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_no_is_a_no_at_once() {
        let start = Instant::now();
        assert!(Patience::new(DEFAULT).bear(Status::not_found("no such job")).await.is_err());
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[test]
    fn only_what_failed_on_its_way_is_worth_asking_again() {
        assert!(is_broken(&Status::unavailable("shutting down")));
        assert!(is_broken(&Status::deadline_exceeded("too slow")));
        assert!(is_broken(&Status::from_error(Box::new(std::io::Error::other("reset")))));
        assert!(!is_broken(&Status::not_found("no such job")));
        assert!(!is_broken(&Status::internal("bug")));
    }

    #[derive(Debug)]
    struct Away(&'static str);

    impl std::fmt::Display for Away {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("away")
        }
    }

    impl std::error::Error for Away {}

    impl Fault for Away {
        fn kind(&self) -> Kind {
            Kind::Unavailable
        }

        fn reason(&self) -> &'static str {
            self.0
        }
    }

    #[test]
    fn an_agent_that_is_away_is_no_broken_way_to_the_coordinator() {
        let status = |reason| windlass_shared::status::to_status(&Away(reason));
        assert!(!is_broken(&status("AGENT_AWAY")) && !is_broken(&status("AGENT_NOT_ANSWERING")));
        assert!(is_broken(&status("STOPPING")));
    }
}
