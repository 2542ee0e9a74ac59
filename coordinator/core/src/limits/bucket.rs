//! How much of a rate is used up: the generic cell rate algorithm (ITU-T I.371), with what is owed kept as an amount and not as a
//! time. The amount is exact in integers whatever the rate; a time would have to be rounded, and three a second would make two.
//!
//! ```text
//!   owed     ╭ a job's cost is added when it begins
//!   burst ───┼──────╮
//!            │      ╰──╮   paid off at the rate, down to nothing
//!        0 ──┴─────────╰────────►
//! ```

use windlass_shared::domain::Rate;
use windlass_shared::time::Moment;

/// What is owed, in thousandths of cost times nanoseconds of the period: each nanosecond pays off the rate's cost. At most
/// 10^9 thousandths times a year, 2^85.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Bucket {
    owed: u128,
    at: Moment,
}

impl Bucket {
    /// When this may begin; none: now.
    pub(super) fn opens_at(&self, now: Moment, rate: &Rate, cost: u32) -> Option<Moment> {
        // One that costs more than a burst would otherwise wait for ever: it goes when nothing is owed.
        let limit = amount(rate, rate.burst.max(cost.into()));
        let over = (self.owed_at(now, rate) + amount(rate, cost.into())).saturating_sub(limit);
        if over == 0 || cost == 0 {
            return None;
        }
        Some(paid_off(now, over, rate))
    }

    /// It begins.
    pub(super) fn take(&mut self, now: Moment, rate: &Rate, cost: u32) {
        *self = Self { owed: self.owed_at(now, rate) + amount(rate, cost.into()), at: now };
    }

    /// When nothing is owed any more; none: now.
    pub(super) fn rests_at(&self, now: Moment, rate: &Rate) -> Option<Moment> {
        let owed = self.owed_at(now, rate);
        (owed > 0).then(|| paid_off(now, owed, rate))
    }

    /// What is owed stays owed, as a cost, when another rate begins; without a rate nothing is.
    pub(super) fn change(&mut self, now: Moment, from: Option<&Rate>, to: Option<&Rate>) {
        let owed = match (from, to) {
            (Some(from), Some(to)) => self.owed_at(now, from) / period(from) * period(to),
            _ => 0,
        };
        *self = Self { owed, at: now };
    }

    fn owed_at(&self, now: Moment, rate: &Rate) -> u128 {
        let paid = now.since(self.at).as_nanos() * u128::from(rate.cost);
        self.owed.saturating_sub(paid)
    }
}

fn amount(rate: &Rate, cost: u64) -> u128 {
    u128::from(cost) * period(rate)
}

fn period(rate: &Rate) -> u128 {
    rate.period.as_nanos().max(1)
}

fn paid_off(now: Moment, owed: u128, rate: &Rate) -> Moment {
    let nanos = owed.div_ceil(u128::from(rate.cost.max(1)));
    Moment(now.0.saturating_add(u64::try_from(nanos).unwrap_or(u64::MAX)))
}
