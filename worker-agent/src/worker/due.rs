//! What follows from the time.

use tokio::time::Instant;
use windlass_shared::domain::{Reason, WorkerExit};

use super::pace::LONG;
use super::pool::{NO_WORKER_MAX, Pool};
use super::seat::{Seat, State};
use super::step::Now;
use crate::halt::Halt;

impl Pool {
    /// Does what is due.
    pub(super) fn on_time(&mut self, now: Now) {
        for ix in 0..self.seats.len() {
            self.seat_on_time(ix, now);
        }
    }

    fn seat_on_time(&mut self, ix: usize, now: Now) {
        let timeout = self.options.start_timeout_s;
        let seat = &mut self.seats[ix];
        if seat.state == State::Ready && seat.life.age_until().is_some_and(|until| until <= now.at) {
            seat.life.due = Some(WorkerExit::RecycledAge);
        }
        match seat.state {
            State::Starting(until) if until <= now.at => {
                seat.break_off(WorkerExit::BootTimeout, format!("it said no hello within {timeout} s"));
            }
            State::Backoff(until) if until <= now.at => seat.state = State::Off,
            State::Retiring(until) if until <= now.at && seat.window.is_empty() => seat.kill_overdue(),
            State::Ready if seat.window.is_empty() => seat.check_pulse(now.at),
            State::Ready | State::Retiring(_) => self.flight_on_time(ix, now),
            _ => {}
        }
    }

    fn flight_on_time(&mut self, ix: usize, now: Now) {
        let seat = &mut self.seats[ix];
        let begin_until = seat.begin_until();
        let Some(flight) = seat.window.front_mut() else { return };
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now.at);
        if due(flight.told_at()) {
            self.news.extend(flight.tell_start());
        }
        let (id, age) = (flight.id, flight.age(now.at));
        let (kill, timeout) = (due(flight.kill_at), due(flight.timeout_at()));
        if let Some(age) = age.filter(|age| *age >= LONG) {
            self.pace.takes(age);
            seat.recall(1..);
        }
        if due(begin_until) {
            let why = format!("it neither began nor gave back {id} within 10 s");
            seat.break_off(WorkerExit::Unresponsive, why);
        } else if kill {
            seat.kill_overdue();
        } else if timeout {
            flight_stop(seat, Halt { reason: Reason::RunTimeout, kill: false });
            self.press(ix, now.at);
        }
    }

    /// When something is due next.
    pub(super) fn deadline(&self, now: Instant) -> Option<Instant> {
        // What waits is looked at when the last worker has become slow.
        let slow_at = self.seats.iter().filter_map(|seat| Some(seat.window.front()?.began?.at + LONG)).max();
        let slow_at = slow_at.filter(|at| !self.waiting.is_empty() && *at > now);
        let elsewhere_at = self.deserted.filter(|_| !self.elsewhere).map(|since| since + NO_WORKER_MAX);
        let probe_at = self.breaker.probe_at().filter(|_| self.leaving.is_none());
        let sizing_at = self.sizing.deadline(&self.policy, &self.census).filter(|_| self.leaving.is_none());
        self.seats
            .iter()
            .filter_map(Seat::deadline)
            .chain(slow_at)
            .chain(elsewhere_at)
            .chain(sizing_at)
            .chain(probe_at)
            .min()
    }
}

fn flight_stop(seat: &mut Seat, halt: Halt) {
    if let Some(flight) = seat.window.front_mut() {
        flight.stop = Some(halt.after(flight.stop));
    }
}
