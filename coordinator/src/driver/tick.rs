//! One tick: inputs to the core, its changes to the store, and then everything else it asked for.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;
use windlass_core::{Admitted, Effect, Input, Refusal, Reply, Ticket};
use windlass_shared::clock;
use windlass_shared::convert::ReportAck;
use windlass_shared::domain::{AgentRecord, Assignment, Grant, Lease, LimitRecord};
use windlass_shared::ids::{AgentId, JobId, SessionId};
use windlass_shared::time::Now;

use super::crash::Point;
use super::finished::Requeued;
use super::repeats::{Others, Repeats, Resolved};
use super::story;
use super::words;
use super::{Control, Driver, LimitWish, Submit, Waiting, Wish};
use crate::counters::Tally;
use crate::sessions::{LetGo, ToAgent};
use crate::store::{Batch, CommitError, ReadError};

type Limited = Result<Box<LimitRecord>, Refusal>;

impl Driver {
    pub(super) async fn tick(
        &mut self,
        control: &mut Vec<Control>,
        submits: &mut Vec<Submit>,
    ) -> Result<(), CommitError> {
        let now = clock::now();
        let mut effects = Vec::new();
        // Looks first: before the inputs of this tick, the core knows nothing that is not on record.
        for message in &mut *control {
            if let Control::Look(look) = message
                && let Some(look) = look.take()
            {
                look(&self.core, now);
            }
        }
        let (mut batch, mut repeats) = (Batch::default(), Repeats::default());
        let mut purged = Vec::new();
        for message in control.extract_if(.., |message| matches!(message, Control::OfFinished(_))) {
            if let Control::OfFinished(ask) = message {
                purged.extend(self.on_finished(now, ask, &mut repeats, &mut batch, &mut effects));
            }
        }
        for message in control.drain(..) {
            match message {
                Control::Word(word) => self.on_word(now, word, &mut repeats, &mut effects),
                message => self.on_control(now, message, &mut effects),
            }
        }
        for submit in submits.drain(..) {
            self.on_submit(now, submit, &mut repeats, &mut batch, &mut effects);
        }
        batch.requests = repeats.into_requests();
        // The newest stamps first: nobody is judged by what was known before.
        for (session, at) in self.registry.take_stamps() {
            self.core.handle_into(now, Input::Alive { session, at }, &mut effects);
        }
        self.core.handle_into(now, Input::Tick, &mut effects);
        let rest = self.commit(batch, effects).await?;
        for effect in rest {
            self.release(effect);
        }
        for (to, went) in purged {
            let _ = to.send(went); // a caller that left is no error
        }
        self.progress.mark(clock::moment());
        Ok(())
    }

    fn on_control(&mut self, now: Now, message: Control, out: &mut Vec<Effect>) {
        let input = match message {
            Control::Cancel { job, detail, reply } => {
                Input::Cancel { ticket: self.ticket(Waiting::Cancel(reply)), job, detail }
            }
            Control::UpdateJob { job, priority, queue, reply } => {
                Input::Update { ticket: self.ticket(Waiting::Updated(reply)), job, priority, queue }
            }
            Control::Purge { queue, detail, reply } => {
                Input::Purge { ticket: self.ticket(Waiting::Purged(reply)), queue, detail }
            }
            Control::Look(_) | Control::Word(_) | Control::OfFinished(_) => return, // answered, and taken apart before
            Control::Pause { queue, pause, reply } => {
                Input::Pause { ticket: self.ticket(Waiting::Queue(reply)), queue, pause }
            }
            Control::Resume { queue, reply } => Input::Resume { ticket: self.ticket(Waiting::Queue(reply)), queue },
            Control::UpdateQueue { queue, settings, fields, reply } => {
                Input::UpdateQueue { ticket: self.ticket(Waiting::Queue(reply)), queue, settings, fields }
            }
            Control::Limit { key, wish, reply } => self.wish(key, wish, reply),
            Control::Order { agent, wish, reply } => self.order(agent, wish, reply),
            Control::Hello { session, hello } => Input::Hello { session, hello },
            Control::Report { session, sequence, items } => Input::Report { session, sequence, items },
            Control::Credit { session, credit } => Input::Credit { session, credit },
            Control::Draining { session } => Input::Draining { session },
            Control::Goodbye { session } => Input::Goodbye { session },
            Control::Closed { session, heard } => {
                // Its last stamp is in no registry any more.
                self.core.handle_into(now, Input::Alive { session, at: heard }, out);
                Input::Closed { session }
            }
        };
        self.core.handle_into(now, input, out);
    }

    fn wish(&mut self, key: Arc<str>, wish: LimitWish, reply: oneshot::Sender<Limited>) -> Input {
        let ticket = self.ticket(Waiting::Limit(reply));
        match wish {
            LimitWish::Set(settings) => Input::SetLimit { ticket, key, settings: Some(settings) },
            LimitWish::Delete => Input::SetLimit { ticket, key, settings: None },
            LimitWish::Cool(time, reason) => Input::SetCooldown { ticket, key, cooldown: Some((time, reason)) },
            LimitWish::Warm => Input::SetCooldown { ticket, key, cooldown: None },
        }
    }

    fn order(&mut self, agent: AgentId, wish: Wish, reply: oneshot::Sender<Option<Box<AgentRecord>>>) -> Input {
        let ticket = self.ticket(Waiting::Agent(reply));
        match wish {
            Wish::Cordon { reason } => Input::Cordon { ticket, agent, reason },
            Wish::Drain { deadline, reason } => Input::Drain { ticket, agent, deadline, reason },
            Wish::Uncordon => Input::Uncordon { ticket, agent },
        }
    }

    fn on_submit(&mut self, now: Now, submit: Submit, repeats: &mut Repeats, batch: &mut Batch, out: &mut Vec<Effect>) {
        let mut jobs = Vec::new();
        let resolve = |incoming| repeats.resolve(incoming, now.wall, &*self.store, batch, &mut jobs);
        let mut resolved: Vec<Resolved> = submit.jobs.into_iter().map(resolve).collect();
        let new: Vec<JobId> = jobs.iter().map(|job| job.job).collect();
        let ticket = self.next_ticket();
        self.core.handle_into(now, Input::Submit { ticket, jobs }, out);
        // Rare, and dear: it looks at every request of the tick, of which there may be thousands of submits.
        let others = others(ticket, new, out);
        if !others.is_empty() {
            resolved.iter_mut().for_each(|one| one.correct(&others));
            repeats.correct(&others);
        }
        // The room is given back with the answer, so it is taken until what fills it is committed.
        self.waiting.insert(ticket, Waiting::Submit(resolved, submit.reply, submit.room));
    }

    pub(super) fn next_ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        Ticket(self.next_ticket)
    }

    pub(super) fn ticket(&mut self, waiting: Waiting) -> Ticket {
        let ticket = self.next_ticket();
        self.waiting.insert(ticket, waiting);
        ticket
    }

    /// Makes the changes durable and shows them; what is left may be released.
    async fn commit(&mut self, mut batch: Batch, effects: Vec<Effect>) -> Result<Vec<Effect>, CommitError> {
        let mut rest = Vec::new();
        // Thousands of changes, each moved once more at every growth otherwise.
        batch.changes.reserve(effects.iter().filter(|effect| matches!(effect, Effect::Record(_))).count());
        for effect in effects {
            match effect {
                Effect::Record(change) => batch.changes.push(*change),
                Effect::Mark(mark) => batch.marks.push(mark),
                other => rest.push(other),
            }
        }
        if !batch.is_empty() {
            let events = batch.changes.iter().map(windlass_core::Change::event).collect();
            let told = story::keep(&batch.changes);
            let tally = Tally::of(&batch.changes);
            self.pass(Point::BeforeCommit);
            self.store.commit(batch).await?;
            self.pass(Point::AfterCommit);
            story::on_record(&told);
            self.counters.count(&tally);
            self.watch.publish(events);
        }
        Ok(rest)
    }

    fn pass(&mut self, point: Point) {
        if let Some(crash_at) = &mut self.crash_at {
            crash_at.pass(point);
        }
    }

    fn release(&mut self, effect: Effect) {
        let reply = matches!(effect, Effect::Reply(..));
        let (before, after) =
            if reply { (Point::BeforeReply, Point::AfterReply) } else { (Point::BeforeSend, Point::AfterSend) };
        self.pass(before);
        self.hand_over(effect);
        self.pass(after);
    }

    fn hand_over(&mut self, effect: Effect) {
        match effect {
            Effect::Record(_) | Effect::Mark(_) => {} // taken out by `commit`
            Effect::Reply(ticket, reply) => self.reply(ticket, reply),
            Effect::Welcome(session, welcome) => self.registry.deliver(session, ToAgent::Welcome(welcome)),
            Effect::Assign(session, lease, grants) => self.assign(session, lease, grants),
            Effect::Recall(session, leases) => {
                story::recall(session, &leases);
                self.registry.deliver(session, ToAgent::Recall(leases));
            }
            Effect::Stop(session, order) => {
                story::stop(session, &order);
                self.registry.deliver(session, ToAgent::Stop(order));
            }
            Effect::Ack(session, sequence, stale) => {
                story::stale(session, &stale);
                let revision = self.core.revision();
                self.registry.deliver(session, ToAgent::Ack(ReportAck { sequence, stale, revision }));
            }
            Effect::Close(session, why) => self.registry.close(session, why),
        }
    }

    // A caller that left before its answer is no error: what it asked for is done and on record.
    fn reply(&mut self, ticket: Ticket, reply: Reply) {
        match (self.waiting.remove(&ticket), reply) {
            (Some(Waiting::Submit(resolved, to, _room)), Reply::Submitted(answers)) => {
                let mut answers = answers.into_iter();
                let taken = |resolved| match resolved {
                    Resolved::Known(known) => known,
                    Resolved::New(job) => match answers.next().unwrap_or(Ok(Admitted::New)) {
                        Ok(Admitted::New) => Ok(job),
                        Ok(Admitted::Existing(other)) => Ok(other),
                        Err(refusal) => Err(refusal.into()),
                    },
                };
                drop(to.send(resolved.into_iter().map(taken).collect()));
            }
            (Some(Waiting::Cancel(to)), Reply::Cancelled(known)) => drop(to.send(known)),
            (Some(Waiting::Updated(to)), Reply::Updated(answer)) => drop(to.send(answer)),
            (Some(Waiting::Purged(to)), Reply::Purged { purged, more }) => drop(to.send((purged, more))),
            (Some(Waiting::Queue(to)), Reply::Queue(queue)) => drop(to.send(queue)),
            (Some(Waiting::Limit(to)), Reply::Limit(limit)) => drop(to.send(limit)),
            (Some(Waiting::Agent(to)), Reply::Agent(agent)) => drop(to.send(agent)),
            (Some(Waiting::Requeue(said, to)), Reply::Requeued(_)) => drop(to.send(Ok(Requeued::Now(said)))),
            (Some(Waiting::Word(to)), Reply::Abandoned(answer)) => drop(to.send(words::said(answer))),
            (Some(Waiting::Word(to)), Reply::ForcedLost(answer)) => {
                drop(to.send(words::said(answer.map(|agent| agent.is_some()))));
            }
            (Some(_) | None, _) => {
                tracing::error!(?ticket, "a reply nobody waits for");
            }
        }
    }

    /// Gives the agent what it is to run. One that is damaged on disk goes out empty: the agent rejects it, and the job ends
    /// with that. One that cannot be read *now* is no reason to end a job: it is not delivered, and the stream is closed, so
    /// that the next hello of the same process shows it missing and it is given out again.
    fn assign(&self, session: SessionId, lease: Lease, grants: Vec<Grant>) {
        let job = lease.job;
        match self.store.spec(job) {
            Ok(Some(spec)) => self.registry.deliver(session, ToAgent::Assign(Assignment { lease, spec, grants })),
            Ok(None) => self.assign_nothing(session, lease, &"there is none"),
            Err(err @ ReadError::Corrupt { .. }) => self.assign_nothing(session, lease, &err),
            Err(err @ ReadError::Failed(_)) => {
                tracing::error!(%job, error = %err, "the spec of a job cannot be read now; its agent is to say hello again");
                self.registry.close(session, LetGo::Unreadable(job));
            }
        }
    }

    fn assign_nothing(&self, session: SessionId, lease: Lease, error: &dyn std::fmt::Display) {
        tracing::error!(job = %lease.job, %error, "the spec of a job is damaged");
        let (spec, grants) = (Bytes::new(), Vec::new());
        self.registry.deliver(session, ToAgent::Assign(Assignment { lease, spec, grants }));
    }
}

/// What the core made of the jobs of a submit, but for those that are on record as they came.
fn others(ticket: Ticket, jobs: Vec<JobId>, effects: &[Effect]) -> Others {
    let answers = effects.iter().rev().find_map(|effect| match effect {
        Effect::Reply(of, Reply::Submitted(answers)) if *of == ticket => Some(answers),
        _ => None,
    });
    let answered = jobs.into_iter().zip(answers.into_iter().flatten());
    let other = |(job, answer): (JobId, &Result<Admitted, Refusal>)| match answer {
        Ok(Admitted::New) => None,
        Ok(Admitted::Existing(other)) => Some((job, Some(*other))),
        Err(_) => Some((job, None)),
    };
    answered.filter_map(other).collect()
}
