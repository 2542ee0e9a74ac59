//! A core on a bench: inputs by short names, effects as lines a person can read. Every step checks the whole state.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use windlass_core::{Admitted, Core, Effect, Input, Live, Mark, Options, Reply, Submission, Ticket};
use windlass_shared::domain::{
    AgentHello, AttemptState, Credit, Exit, ExitStatus, JobHeader, JobRecord, Lease, LimitRecord, LimitSettings, News,
    OrderKind, Outcome, Pause, PoolOffer, Preset, Proof, QueueField, QueueSettings, Reason, ReportItem, RetryPolicy,
};
use windlass_shared::ids::{AgentId, JobId, SessionId};
use windlass_shared::time::{Moment, Now, Timestamp};

/// Jobs and agents are numbered; sessions are `agent * 10 + nth`.
pub(crate) struct Rig {
    pub(crate) core: Core,
    pub(crate) now: Now,
    ticket: u64,
    leases: BTreeMap<(u8, u32), Lease>,
    names: BTreeMap<SessionId, String>,
    options: Options,
    /// What a store would hold: the newest record of every job, and its newest attempt.
    rows: BTreeMap<JobId, Live>,
    /// And what operators decided, by whom it is about.
    marks: BTreeMap<String, Mark>,
}

/// Of every job here.
pub(crate) const SPEC_BYTES: u32 = 10;

pub(crate) fn job(n: u8) -> JobId {
    JobId::from_bytes([n; 16])
}

pub(crate) fn agent(n: u8) -> AgentId {
    AgentId::from_bytes([n; 16])
}

pub(crate) fn header(priority: i8, retry: RetryPolicy) -> JobHeader {
    JobHeader { priority, retry, ..JobHeader::default() }
}

pub(crate) fn hello(n: u8, slots: u32) -> AgentHello {
    AgentHello {
        id: agent(n),
        name: format!("a{n}").into(),
        instance: 1,
        boot_id: "boot".into(),
        session: 1,
        slots,
        credit: takes(slots),
        inventory: Vec::new(),
        host: "host".into(),
        version: "0".into(),
        seen: None,
        answers_asks: true,
        traits: Arc::default(),
    }
}

/// A pool of so many workers that takes as many calls.
pub(crate) fn pool(name: &str, handlers: &[&str], workers: u32) -> PoolOffer {
    let handlers = handlers.iter().map(|handler| Arc::from(*handler)).collect();
    PoolOffer { pool: name.into(), handlers, workers, capacity: workers }
}

/// An agent that has pools, and no slots for commands.
pub(crate) fn hello_with(n: u8, pools: &[PoolOffer]) -> AgentHello {
    AgentHello { credit: Credit { pools: pools.to_vec(), ..Credit::default() }, ..hello(n, 0) }
}

/// A call, with as many attempts as it may need.
pub(crate) fn call(handler: &str, priority: i8) -> JobHeader {
    let retry = RetryPolicy { preset: Preset::Default, attempts_max: 9 };
    JobHeader { handler: Some(handler.into()), ..header(priority, retry) }
}

/// Credit for that many commands.
pub(crate) fn takes(capacity: u32) -> Credit {
    Credit { capacity, ..Credit::default() }
}

pub(crate) fn outcome(state: AttemptState, reason: Option<Reason>) -> Box<Outcome> {
    let exit = Exit {
        status: ExitStatus::Code(0),
        user_time: Duration::ZERO,
        system_time: Duration::ZERO,
        max_rss_bytes: 0,
        wall_time: Duration::ZERO,
        proof: Proof::Keeper,
    };
    let exit = Some(exit);
    Box::new(Outcome { exit, ..Outcome::bare(state, reason) })
}

impl Default for Rig {
    fn default() -> Self {
        Self::new(Options::default())
    }
}

impl Rig {
    pub(crate) fn new(options: Options) -> Self {
        let mut options = options;
        (options.incarnation, options.epoch) = (7, 1);
        let core = Core::new(options.clone());
        Self {
            core,
            now: Now::default(),
            ticket: 0,
            leases: BTreeMap::new(),
            names: BTreeMap::new(),
            options,
            rows: BTreeMap::new(),
            marks: BTreeMap::new(),
        }
    }

    pub(crate) fn set_limit(&mut self, key: &str, settings: Option<LimitSettings>) -> Vec<String> {
        self.ticket += 1;
        self.step(Input::SetLimit { ticket: Ticket(self.ticket), key: key.into(), settings })
    }

    pub(crate) fn update_queue(&mut self, name: &str, settings: QueueSettings, fields: &[QueueField]) -> Vec<String> {
        self.ticket += 1;
        let (settings, fields) = (Box::new(settings), fields.to_vec());
        self.step(Input::UpdateQueue { ticket: Ticket(self.ticket), queue: name.into(), settings, fields })
    }

    /// For so long, or no more.
    pub(crate) fn cool(&mut self, key: &str, time: Option<Duration>) -> Vec<String> {
        self.ticket += 1;
        let cooldown = time.map(|time| (time, None));
        self.step(Input::SetCooldown { ticket: Ticket(self.ticket), key: key.into(), cooldown })
    }

    pub(crate) fn step(&mut self, input: Input) -> Vec<String> {
        let effects = self.core.handle(self.now, input);
        self.core.check();
        effects.iter().for_each(|effect| self.store(effect));
        effects.iter().map(|effect| self.show(effect)).collect()
    }

    fn store(&mut self, effect: &Effect) {
        if let Effect::Mark(mark) = effect {
            let of = match mark {
                Mark::Queue { name, .. } => name.to_string(),
                Mark::Agent { id, .. } => id.to_string(),
                Mark::Limit { key, .. } => format!("limit/{key}"),
                Mark::Cooldown { key, .. } => format!("cooldown/{key}"),
            };
            self.marks.insert(of, mark.clone());
        }
        let Effect::Record(change) = effect else { return };
        let row = self.rows.entry(change.job.id).or_insert_with(|| (change.job.clone(), None));
        row.0 = change.job.clone();
        row.1 = change.attempt.clone().or_else(|| row.1.take());
    }

    /// The coordinator is killed and starts again with what was stored; its monotonic clock begins anew.
    pub(crate) fn restart(&mut self) {
        self.options.epoch += 1;
        self.now.mono = Moment(0);
        let live = self.rows.values().filter(|(job, _)| !job.state.is_final()).cloned().collect();
        let marks = self.marks.values().cloned().collect();
        self.core = Core::restore(self.options.clone(), self.now, self.core.revision(), live, marks);
        self.core.check();
    }

    /// The same, from a copy of the record that goes on as another one.
    pub(crate) fn restart_as_another_record(&mut self) {
        self.options.incarnation += 1;
        self.restart();
    }

    /// The same, with another lease.
    pub(crate) fn restart_with_lease(&mut self, lease_ttl: Duration) {
        self.options.lease_ttl_before = std::mem::replace(&mut self.options.lease_ttl, lease_ttl);
        self.restart();
    }

    /// The devices of a job's newest attempt, as they are on record.
    pub(crate) fn devices(&self, n: u8) -> Vec<String> {
        let attempt = self.rows[&job(n)].1.as_ref().expect("it was leased");
        attempt.grants.iter().map(|grant| format!("{} {}", grant.device, grant.ids.join(","))).collect()
    }

    /// The newest record of a job.
    pub(crate) fn record(&self, n: u8) -> &JobRecord {
        &self.rows[&job(n)].0
    }

    pub(crate) fn ticket(&mut self) -> Ticket {
        self.ticket += 1;
        Ticket(self.ticket)
    }

    pub(crate) fn submit(&mut self, n: u8) -> Vec<String> {
        self.submit_as(n, header(0, RetryPolicy::NONE))
    }

    pub(crate) fn submit_as(&mut self, n: u8, header: JobHeader) -> Vec<String> {
        let ticket = self.ticket();
        self.step(Input::Submit { ticket, jobs: vec![Submission { job: job(n), header, spec_bytes: SPEC_BYTES }] })
    }

    pub(crate) fn submit_retrying(&mut self, n: u8, attempts_max: u16) -> Vec<String> {
        self.submit_as(n, header(0, RetryPolicy { preset: Preset::Default, attempts_max }))
    }

    pub(crate) fn cancel(&mut self, n: u8) -> Vec<String> {
        let ticket = self.ticket();
        self.step(Input::Cancel { ticket, job: job(n), detail: None })
    }

    pub(crate) fn update(&mut self, n: u8, priority: Option<i8>, queue: Option<&str>) -> Vec<String> {
        let ticket = self.ticket();
        self.step(Input::Update { ticket, job: job(n), priority, queue: queue.map(Into::into) })
    }

    pub(crate) fn purge(&mut self, queue: &str) -> Vec<String> {
        let ticket = self.ticket();
        self.step(Input::Purge { ticket, queue: queue.into(), detail: Some("mistake".into()) })
    }

    /// As the driver does: with the record as it is stored.
    pub(crate) fn requeue(&mut self, n: u8) -> Vec<String> {
        let (ticket, record) = (self.ticket(), self.record(n).clone());
        self.step(Input::Requeue { ticket, jobs: vec![record] })
    }

    pub(crate) fn cordon(&mut self, n: u8) -> Vec<String> {
        let ticket = self.ticket();
        self.step(Input::Cordon { ticket, agent: agent(n), reason: Some("disk".into()) })
    }

    pub(crate) fn drain(&mut self, n: u8, deadline: Option<Duration>) -> Vec<String> {
        let ticket = self.ticket();
        self.step(Input::Drain { ticket, agent: agent(n), deadline, reason: None })
    }

    pub(crate) fn uncordon(&mut self, n: u8) -> Vec<String> {
        let ticket = self.ticket();
        self.step(Input::Uncordon { ticket, agent: agent(n) })
    }

    pub(crate) fn abandon(&mut self, n: u8) -> Vec<String> {
        let ticket = self.ticket();
        self.step(Input::Abandon { ticket, job: job(n), detail: None })
    }

    pub(crate) fn force_lost(&mut self, n: u8) -> Vec<String> {
        let ticket = self.ticket();
        self.step(Input::ForceLost { ticket, agent: agent(n), detail: None })
    }

    pub(crate) fn pause(&mut self, queue: &str) -> Vec<String> {
        let ticket = self.ticket();
        self.step(Input::Pause { ticket, queue: queue.into(), pause: Pause::default() })
    }

    pub(crate) fn resume(&mut self, queue: &str) -> Vec<String> {
        let ticket = self.ticket();
        self.step(Input::Resume { ticket, queue: queue.into() })
    }

    /// Agent `n` says hello on its first session, with pools and no slots for commands.
    pub(crate) fn join_with(&mut self, n: u8, pools: &[PoolOffer]) -> Vec<String> {
        self.greet(u64::from(n) * 10, hello_with(n, pools))
    }

    /// Agent `n` says hello on its first session.
    pub(crate) fn join(&mut self, n: u8, slots: u32) -> Vec<String> {
        self.greet(u64::from(n) * 10, hello(n, slots))
    }

    pub(crate) fn greet(&mut self, session: u64, hello: AgentHello) -> Vec<String> {
        self.names.insert(SessionId(session), format!("{}/{}", hello.name, session % 10));
        self.step(Input::Hello { session: SessionId(session), hello: Box::new(hello) })
    }

    pub(crate) fn lease(&self, n: u8, attempt: u32) -> Lease {
        self.leases[&(n, attempt)]
    }

    pub(crate) fn find_lease(&self, n: u8, attempt: u32) -> Option<Lease> {
        self.leases.get(&(n, attempt)).copied()
    }

    /// Agent `a` reports on its first session.
    pub(crate) fn report(&mut self, a: u8, n: u8, attempt: u32, news: News) -> Vec<String> {
        self.report_on(u64::from(a) * 10, self.lease(n, attempt), news)
    }

    pub(crate) fn report_on(&mut self, session: u64, lease: Lease, news: News) -> Vec<String> {
        self.step(Input::Report { session: SessionId(session), sequence: 1, items: vec![ReportItem { lease, news }] })
    }

    pub(crate) fn started(&mut self, a: u8, n: u8, attempt: u32) -> Vec<String> {
        self.report(a, n, attempt, News::Started(Timestamp(0)))
    }

    pub(crate) fn ended(
        &mut self,
        a: u8,
        n: u8,
        attempt: u32,
        state: AttemptState,
        reason: Option<Reason>,
    ) -> Vec<String> {
        self.report(a, n, attempt, News::Ended(outcome(state, reason)))
    }

    pub(crate) fn succeeded(&mut self, a: u8, n: u8, attempt: u32) -> Vec<String> {
        self.ended(a, n, attempt, AttemptState::Succeeded, None)
    }

    pub(crate) fn failed(&mut self, a: u8, n: u8, attempt: u32) -> Vec<String> {
        self.ended(a, n, attempt, AttemptState::Failed, Some(Reason::ExitCode))
    }

    /// Moves both clocks and ticks, as the driver would: at least once a heartbeat interval, with no agent heard.
    pub(crate) fn pass(&mut self, time: Duration) -> Vec<String> {
        self.pass_hearing(time, &[])
    }

    /// The same, with these sessions' heartbeats arriving.
    pub(crate) fn pass_hearing(&mut self, time: Duration, sessions: &[u64]) -> Vec<String> {
        let end = self.now.mono.after(time);
        let mut out = Vec::new();
        while self.now.mono < end {
            let due = self.core.next_deadline().filter(|due| *due > self.now.mono).unwrap_or(end);
            let next = due.min(self.now.mono.after(self.options.heartbeat_interval())).min(end);
            self.now.wall = self.now.wall.after(next.since(self.now.mono));
            self.now.mono = next;
            for session in sessions {
                out.extend(self.step(Input::Alive { session: SessionId(*session), at: next }));
            }
            out.extend(self.step(Input::Tick));
        }
        out
    }

    fn show(&mut self, effect: &Effect) -> String {
        match effect {
            Effect::Mark(Mark::Queue { name, pause, settings }) => {
                let set = if settings.is_some() { ", set" } else { "" };
                format!("mark queue {name} {}{set}", if pause.is_some() { "paused" } else { "resumed" })
            }
            Effect::Mark(Mark::Agent { id, order }) => {
                let order = order.as_ref().map_or("active", |order| match order.kind {
                    OrderKind::Cordon => "cordoned",
                    OrderKind::Drain(None) => "draining",
                    OrderKind::Drain(Some(_)) => "draining with a deadline",
                });
                format!("mark agent {} {order}", id.as_bytes()[0])
            }
            Effect::Mark(Mark::Limit { key, settings }) => {
                format!("mark limit {key} {}", if settings.is_some() { "set" } else { "unset" })
            }
            Effect::Mark(Mark::Cooldown { key, cooldown }) => {
                format!("mark cooldown {key} {}", if cooldown.is_some() { "set" } else { "unset" })
            }
            Effect::Reply(_, reply) => show_reply(reply),
            Effect::Recall(session, leases) => {
                let leases: Vec<_> =
                    leases.iter().map(|lease| format!("{}.{}", lease.job.as_bytes()[0], lease.attempt)).collect();
                format!("recall {} from {}", leases.join(" "), self.name(*session))
            }
            Effect::Record(change) => {
                let n = change.job.id.as_bytes()[0];
                let why = change.job.reason.map(|reason| format!(" ({})", reason.name())).unwrap_or_default();
                let attempt = change.attempt.as_ref().map(|a| format!(", {} {}", a.number, a.state.name()));
                format!("record {n} {}{why}{}", change.job.state.name(), attempt.unwrap_or_default())
            }
            Effect::Welcome(session, _) => format!("welcome {}", self.name(*session)),
            Effect::Assign(session, lease, _) => {
                let n = lease.job.as_bytes()[0];
                self.leases.insert((n, lease.attempt), *lease);
                format!("assign {n}.{} to {}", lease.attempt, self.name(*session))
            }
            Effect::Stop(session, order) => {
                let (n, attempt) = (order.lease.job.as_bytes()[0], order.lease.attempt);
                format!("stop {n}.{attempt} at {} ({})", self.name(*session), order.reason.name())
            }
            Effect::Ack(session, _, stale) if stale.is_empty() => format!("ack {}", self.name(*session)),
            Effect::Ack(session, _, _) => format!("ack {} stale", self.name(*session)),
            Effect::Close(session, why) => {
                use windlass_shared::fault::Fault;
                format!("close {} {}", self.name(*session), why.reason())
            }
        }
    }

    fn name(&self, session: SessionId) -> &str {
        &self.names[&session]
    }
}

/// What came of an operator's word.
fn show_word(answer: Result<bool, windlass_core::Refusal>, done: &str) -> String {
    use windlass_shared::fault::Fault;
    match answer {
        Ok(true) => format!("reply {done}"),
        Ok(false) => "reply unknown".into(),
        Err(refusal) => format!("reply refused {}", refusal.reason()),
    }
}

fn show_reply(reply: &Reply) -> String {
    match reply {
        Reply::Agent(agent) => {
            let shown = agent.as_ref().map_or("unknown".to_owned(), |agent| format!("{:?}", agent.scheduling));
            format!("reply {shown}")
        }
        Reply::Submitted(answers) => {
            let show = |answer: &Result<Admitted, windlass_core::Refusal>| match answer {
                Ok(Admitted::New) => "ok".to_owned(),
                Ok(Admitted::Existing(job)) => format!("is {}", job.as_bytes()[0]),
                Err(refusal) => refusal.to_string(),
            };
            format!("reply {}", answers.iter().map(show).collect::<Vec<_>>().join(", "))
        }
        Reply::Updated(answer) => show_word(answer.clone(), "updated"),
        Reply::Purged { purged, more } => format!("reply purged {purged}{}", if *more { " of more" } else { "" }),
        Reply::Cancelled(known) => format!("reply {}", if *known { "ok" } else { "unknown" }),
        Reply::Requeued(answers) => {
            let show = |answer: &Result<(), windlass_core::Refusal>| match answer {
                Ok(()) => "ok".to_owned(),
                Err(refusal) => windlass_shared::fault::Fault::reason(refusal).to_owned(),
            };
            format!("reply requeued {}", answers.iter().map(show).collect::<Vec<_>>().join(", "))
        }
        Reply::Abandoned(answer) => show_word(answer.clone(), "abandoned"),
        Reply::ForcedLost(answer) => show_word(answer.clone().map(|agent| agent.is_some()), "forced lost"),
        Reply::Queue(Ok(queue)) => {
            let paused = if queue.pause.is_some() { " paused" } else { "" };
            format!("reply {}{paused} {}+{}", queue.name, queue.queued, queue.running)
        }
        Reply::Queue(Err(refusal)) | Reply::Limit(Err(refusal)) => format!("reply {refusal}"),
        Reply::Limit(Ok(limit)) => show_limit(limit),
    }
}

fn show_limit(limit: &LimitRecord) -> String {
    let units = limit.settings.units_max.map(|max| format!("{max} units"));
    let rate = limit.settings.rate.map(|_| "a rate".to_owned());
    let in_use = limit.units_in_use.map(|units| format!("{units} in use"));
    let cools = limit.cooldown.as_ref().map(|_| "cools".to_owned());
    let said: Vec<String> = [units, rate, in_use, cools].into_iter().flatten().collect();
    format!("reply limit {}: {}", limit.key, said.join(", "))
}
