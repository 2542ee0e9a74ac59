//! What a job says of its retries beyond a preset and a number.

use super::delay::Delay;
use super::rules::{Failure, RetryRule};

/// Delays, rules, and what becomes of a job whose attempts are used up. Jobs that say the same may share one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct RetryPlan {
    /// In place of the preset's delays.
    pub delay: Option<Delay>,
    /// In order: the first that matches decides. What none matches is tried again, as without rules.
    pub rules: Box<[RetryRule]>,
    /// Whether the job is a dead letter when its attempts are used up.
    pub dead_letter: bool,
}

impl RetryPlan {
    /// The rule that decides, with its number from 1.
    #[must_use]
    pub fn rule_for(&self, failure: &Failure<'_>) -> Option<(usize, &RetryRule)> {
        (1..).zip(&self.rules).find(|(_, rule)| rule.when.matches(failure))
    }
}

#[cfg(test)]
mod tests {
    use super::super::rules::{Action, Again, Match, Reasons};
    use super::*;
    use crate::domain::Reason;

    #[test]
    fn the_first_rule_that_matches_decides() {
        let when = |reason| Match { reasons: Reasons::from_iter([reason]), ..Match::default() };
        let rules = [
            RetryRule { when: when(Reason::Signal), action: Action::Fail },
            RetryRule { when: when(Reason::Signal), action: Action::DeadLetter },
            RetryRule { when: when(Reason::ExitCode), action: Action::Retry(Again::default()) },
        ];
        let plan = RetryPlan { rules: rules.into(), ..RetryPlan::default() };
        let decided = |reason| {
            let failure = Failure { reason, exit_code: None, signal: None, error_code: None, nth: 1 };
            plan.rule_for(&failure).map(|(number, rule)| (number, rule.action.clone()))
        };
        assert_eq!(decided(Reason::Signal), Some((1, Action::Fail)));
        assert_eq!(decided(Reason::ExitCode), Some((3, Action::Retry(Again::default()))));
        assert_eq!(decided(Reason::RunTimeout), None);
    }
}
