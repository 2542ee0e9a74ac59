//! One stream, from its welcome to its end. Only receiving waits; what follows from a message is done at once, and what is
//! to be said is handed over as far as the transport takes it.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tonic::Streaming;
use windlass_shared::convert::{self, FromCoordinator, ReportAck};
use windlass_shared::domain::{Credit, Reason, Seen, Traits, Welcome};
use windlass_shared::fault::Invalid;
use windlass_shared::limits::AGENT_ASKS_MAX;
use windlass_shared::pb;

use super::{Broken, Plan, Session};
use crate::answers::{Asked, Said};
use crate::config::GOODBYE_TIMEOUT;
use crate::executor::Input;
use crate::sys::boottime::Boottime;

/// How a stream ended.
#[derive(Debug)]
pub(super) enum End {
    /// As planned.
    Left,
    Broken(Broken),
}

pub(super) struct Stream<'a> {
    session: &'a mut Session,
    /// Number of the session.
    number: u64,
    up: mpsc::Sender<pb::ConnectRequest>,
    down: Streaming<pb::ConnectResponse>,
    lease_ttl: std::time::Duration,
    /// Silent until then, the coordinator is taken to be out of reach.
    deaf_at: Instant,
    beats: Interval,
    beat: u64,
    beat_due: bool,
    /// Heartbeats that are not acknowledged, with the moments they were said.
    beats_said: VecDeque<(u64, Boottime)>,
    /// What the coordinator was told that we take.
    credit_told: Credit,
    /// What it was told of the agent.
    traits_told: Arc<Traits>,
    /// The draining message went out.
    drain_told: bool,
    /// Answers to be said; at most as many as the coordinator lets wait.
    answers: VecDeque<Said>,
}

/// What woke the stream.
enum Woken {
    Beat,
    Deaf,
    Message(Option<pb::ConnectResponse>),
    Broken(Broken),
    Answer(Said),
    /// There may be something to say, or room to say it.
    Pump,
}

impl<'a> Stream<'a> {
    pub(super) fn new(
        session: &'a mut Session,
        up: mpsc::Sender<pb::ConnectRequest>,
        down: Streaming<pb::ConnectResponse>,
        (credit_told, traits_told): (Credit, Arc<Traits>),
        welcome: &Welcome,
    ) -> Self {
        let mut beats = tokio::time::interval(welcome.heartbeat_interval);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let lease_ttl = welcome.lease_ttl;
        let deaf_at = Instant::now() + lease_ttl;
        let number = welcome.session;
        Self {
            session,
            number,
            up,
            down,
            lease_ttl,
            deaf_at,
            beats,
            beat: 0,
            beat_due: false,
            beats_said: VecDeque::new(),
            credit_told,
            traits_told,
            drain_told: false,
            answers: VecDeque::new(),
        }
    }

    pub(super) async fn serve(mut self) -> End {
        loop {
            let full = !self.pump();
            if let Plan::Leave(reason) = self.session.plan() {
                return self.leave(reason).await;
            }
            let input = match self.next(full).await {
                Woken::Beat => {
                    self.beat_due = true;
                    None
                }
                Woken::Deaf => return End::Broken(Broken::Deaf),
                Woken::Broken(broken) => return End::Broken(broken),
                Woken::Message(None) => return End::Broken(Broken::Ended),
                Woken::Message(Some(message)) => match self.on_message(message) {
                    Ok(input) => input,
                    Err(invalid) => return End::Broken(invalid.into()),
                },
                Woken::Answer(said) => {
                    // One that was asked on another stream is nobody's answer any more.
                    self.answers.extend(Some(said).filter(|said| said.session == self.number));
                    None
                }
                Woken::Pump => None,
            };
            if let Some(input) = input {
                self.session.executor.send(input).await;
            }
        }
    }

    async fn next(&mut self, full: bool) -> Woken {
        let session = &mut *self.session;
        tokio::select! {
            // Signs of life first: no flood of messages may hide them.
            biased;
            _ = self.beats.tick() => Woken::Beat,
            () = tokio::time::sleep_until(self.deaf_at) => Woken::Deaf,
            // Without a sender there is no agent left that could have plans.
            _ = session.plan.changed() => Woken::Pump,
            () = session.overrun.notified() => Woken::Broken(Broken::Overrun),
            message = self.down.message() => match message {
                Ok(message) => Woken::Message(message),
                Err(status) => Woken::Broken(Broken::Status(Box::new(status))),
            },
            () = session.outbox.news(), if !full => Woken::Pump,
            () = session.pools.changed(), if !full => Woken::Pump,
            // The executor, which has the other end, outlives the session.
            Ok(()) = session.stuck.changed(), if !full => Woken::Pump,
            // Its other end may be gone: then nothing changes any more.
            Ok(()) = session.traits.changed(), if !full => Woken::Pump,
            Some(said) = session.desk.answer(), if !full => Woken::Answer(said),
            room = self.up.reserve(), if full => match room {
                Ok(_) => Woken::Pump,
                Err(_) => Woken::Broken(Broken::Ended),
            },
        }
    }

    /// Says what is to be said, the most urgent first; whether the transport took it all.
    fn pump(&mut self) -> bool {
        loop {
            let Ok(room) = self.up.try_reserve() else { return false };
            if std::mem::take(&mut self.beat_due) {
                self.beat += 1;
                self.beats_said.push_back((self.beat, Boottime::now()));
                room.send(convert::heartbeat(self.beat));
            } else if let (Plan::Draining(reason), false) = (self.session.plan(), self.drain_told) {
                self.drain_told = true;
                room.send(convert::draining(reason));
            } else if let Some(credit) = credit_news(self.session, &mut self.credit_told, &mut self.traits_told) {
                room.send(convert::credit(&credit));
            } else if let Some((number, items)) = self.session.outbox.take_batch() {
                room.send(convert::report(number, &items));
            } else if let Some(Said { id, answer, .. }) = self.answers.pop_front() {
                room.send(convert::answer(id, answer));
            } else {
                return true;
            }
        }
    }

    /// What the executor is to know of it.
    fn on_message(&mut self, message: pb::ConnectResponse) -> Result<Option<Input>, Invalid> {
        Ok(match convert::from_coordinator(message)? {
            Some(FromCoordinator::HeartbeatAck(number)) => {
                self.deaf_at = Instant::now() + self.lease_ttl;
                self.on_heard(number);
                None
            }
            Some(FromCoordinator::Assign(session, assignments)) if session == self.number => {
                Some(Input::Assign(assignments))
            }
            Some(FromCoordinator::Assign(session, assignments)) => {
                let dropped = assignments.len();
                tracing::warn!(session, ours = self.number, dropped, "assignment of another session, dropped");
                None
            }
            Some(FromCoordinator::Stop(orders)) => Some(Input::Stop(orders)),
            Some(FromCoordinator::Recall(leases)) => Some(Input::Recall(leases)),
            Some(FromCoordinator::ReportAck(ReportAck { sequence, stale, revision })) => {
                if let Some(seen) = self.session.horizon.get() {
                    self.session.horizon.see(Seen { revision, ..seen });
                }
                self.session.outbox.ack(sequence);
                (!stale.is_empty()).then_some(Input::Stale(stale))
            }
            Some(FromCoordinator::Ask(id, ask)) => {
                let refused = self.session.desk.take(Asked { session: self.number, id, ask });
                // A coordinator that asks more than it lets wait gets no answer to that.
                self.answers.extend(refused.filter(|_| self.answers.len() < AGENT_ASKS_MAX));
                None
            }
            Some(FromCoordinator::Welcome(_)) => return Err(Invalid::one("welcome", "must come once")),
            // Newer than we are.
            None => None,
        })
    }

    /// The coordinator's lease runs from when it read the heartbeat: later than we said it, and that is all we know.
    fn on_heard(&mut self, number: u64) {
        let mut said = None;
        while let Some((_, at)) = self.beats_said.pop_front_if(|(beat, _)| *beat <= number) {
            said = Some(at);
        }
        if let Some(said) = said {
            self.session.touch.heard(said, self.lease_ttl);
        }
    }

    /// Takes leave, and waits for the end of the stream: dropped at once, it would be reset and its last words lost.
    async fn leave(mut self, reason: Reason) -> End {
        // The coordinator must not be told that nothing is held while it has not heard of all that ended.
        let complete = self.session.outbox.is_empty();
        let farewell = async {
            // Where nothing ran, the plan went from staying to leaving in one step.
            if !self.drain_told {
                let _ = self.up.send(convert::draining(reason)).await;
            }
            if complete {
                let _ = self.up.send(convert::goodbye()).await;
            }
            drop(self.up);
            while let Ok(Some(_)) = self.down.message().await {}
        };
        let _ = tokio::time::timeout(GOODBYE_TIMEOUT, farewell).await;
        End::Left
    }
}

/// What the agent takes, and of itself what it has not said, where either is news; it is told then.
fn credit_news(session: &Session, credit_told: &mut Credit, traits_told: &mut Arc<Traits>) -> Option<Credit> {
    let (credit, traits) = (session.credit(), session.traits.borrow().clone());
    let traits = (!Arc::ptr_eq(&traits, traits_told)).then_some(traits);
    if traits.is_none() && credit == *credit_told {
        return None;
    }
    if let Some(traits) = &traits {
        traits_told.clone_from(traits);
    }
    credit_told.clone_from(&credit);
    Some(Credit { traits, ..credit })
}
