//! How many retries there may be beside first attempts, so that a failing dependency is not hit harder for failing.
//!
//! The budget of Finagle (`RetryBudget`): over ten seconds, a fifth as many retries as first attempts, and ten a second on top so
//! that little traffic may be retried at all. What is used up comes back as time passes; nothing fails for it.

use std::time::Duration;

use super::window::Window;
use crate::time::Moment;

/// Time that deposits and withdrawals count.
pub const BUDGET_WINDOW: Duration = Duration::from_secs(10);
/// Greatest ratio: ten retries to a first attempt is no budget.
pub const RATIO_MILLI_MAX: u32 = 10_000;
/// Greatest floor, in retries a second.
pub const FLOOR_MAX: u32 = 1_000_000;

/// What may be retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BudgetTerms {
    /// Retries allowed for each first attempt, in thousandths.
    pub ratio_milli: u32,
    /// Retries a second allowed beside.
    pub floor: u32,
}

impl BudgetTerms {
    /// A fifth of first attempts, and ten a second.
    pub const DEFAULT: Self = Self { ratio_milli: 200, floor: 10 };
    /// None at all: the kill switch.
    pub const NONE: Self = Self { ratio_milli: 0, floor: 0 };
}

impl Default for BudgetTerms {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// When to ask again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exhausted {
    /// Not before this: then the oldest retries no longer count.
    Until(Moment),
    /// Not as long as these terms hold.
    Stopped,
}

/// What was deposited and withdrawn of late.
#[derive(Debug, Clone)]
pub struct RetryBudget {
    terms: BudgetTerms,
    window: Window,
}

const FIRST: usize = 0;
const RETRY: usize = 1;

impl RetryBudget {
    /// One that nothing was taken from.
    #[must_use]
    pub fn new(terms: BudgetTerms) -> Self {
        Self { terms, window: Window::new(BUDGET_WINDOW) }
    }

    /// The terms that hold.
    #[must_use]
    pub fn terms(&self) -> BudgetTerms {
        self.terms
    }

    /// From now on others hold; what was deposited and withdrawn counts on.
    pub fn set_terms(&mut self, terms: BudgetTerms) {
        self.terms = terms;
    }

    /// A first attempt was made.
    pub fn deposit(&mut self, now: Moment) {
        self.window.add(now, FIRST, 1);
    }

    /// Retries that may be made at this moment.
    #[must_use]
    pub fn left(&mut self, now: Moment) -> u64 {
        let [firsts, retries] = self.window.sums(now);
        let floor = u64::from(self.terms.floor) * BUDGET_WINDOW.as_secs();
        (firsts * u64::from(self.terms.ratio_milli) / 1_000 + floor).saturating_sub(retries)
    }

    /// Whether one may be made; nothing is taken.
    ///
    /// # Errors
    /// Where none may: when to ask again.
    pub fn look(&mut self, now: Moment) -> Result<(), Exhausted> {
        if self.left(now) > 0 {
            return Ok(());
        }
        let stopped = self.terms == BudgetTerms::NONE;
        Err(if stopped { Exhausted::Stopped } else { Exhausted::Until(self.window.next_slot()) })
    }

    /// One is made.
    pub fn withdraw(&mut self, now: Moment) {
        self.window.add(now, RETRY, 1);
    }
}

#[cfg(test)]
mod tests {
    use super::super::dice::Dice;
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment(seconds * 1_000_000_000)
    }

    fn taken(budget: &mut RetryBudget, now: Moment) -> u64 {
        let mut taken = 0;
        while budget.look(now).is_ok() {
            budget.withdraw(now);
            taken += 1;
        }
        taken
    }

    #[test]
    fn a_fifth_of_the_first_attempts_and_ten_a_second_may_be_retried() {
        let mut budget = RetryBudget::new(BudgetTerms::DEFAULT);
        assert_eq!(taken(&mut budget, at(0)), 100, "ten a second over ten seconds");
        for _ in 0..50 {
            budget.deposit(at(1));
        }
        assert_eq!(taken(&mut budget, at(1)), 10);
        assert_eq!(budget.look(at(1)), Err(Exhausted::Until(at(2))));
    }

    #[test]
    fn what_was_used_up_comes_back_as_time_passes() {
        let mut budget = RetryBudget::new(BudgetTerms { ratio_milli: 0, floor: 1 });
        assert_eq!(taken(&mut budget, at(3)), 10);
        assert_eq!(taken(&mut budget, at(12)), 0);
        assert_eq!(taken(&mut budget, at(13)), 10);
    }

    #[test]
    fn no_budget_is_no_retry_until_the_terms_change() {
        let mut budget = RetryBudget::new(BudgetTerms::NONE);
        budget.deposit(at(0));
        assert_eq!(budget.look(at(9)), Err(Exhausted::Stopped));
        budget.set_terms(BudgetTerms { ratio_milli: 1_000, floor: 0 });
        assert_eq!(taken(&mut budget, at(9)), 1, "what was deposited meanwhile counts");
    }

    /// In no ten seconds are there more retries than the terms allow for the first attempts of the ten before and the ten themselves.
    #[test]
    fn in_any_window_retries_stay_within_the_terms() {
        for seed in 0..20 {
            let mut dice = Dice(seed);
            let mut budget = RetryBudget::new(BudgetTerms { ratio_milli: 200, floor: 2 });
            let mut log: Vec<(u64, bool)> = Vec::new();
            let mut ms = 0;
            for _ in 0..600 {
                ms += dice.roll(30);
                let now = Moment(ms * 1_000_000);
                if dice.roll(2) == 0 {
                    budget.deposit(now);
                    log.push((ms, false));
                } else if budget.look(now).is_ok() {
                    budget.withdraw(now);
                    log.push((ms, true));
                }
                let since = |span: u64| log.iter().filter(move |(at, _)| at + span > ms);
                let firsts = since(10_000).filter(|(_, retry)| !retry).count() as u64;
                // Whole slots count: of the last nine seconds every retry does.
                let retries = since(9_000).filter(|(_, retry)| *retry).count() as u64;
                let before = log.iter().filter(|(at, retry)| !retry && at + 20_000 > ms).count() as u64;
                assert!(retries <= before.max(firsts) * 200 / 1_000 + 20, "seed {seed} at {ms} ms: {retries}");
            }
        }
    }
}
