//! The queues: how much waits and runs in each, which hand out nothing for now, and what operators set of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use windlass_shared::domain::{DEFAULT_QUEUE, JobState, Pause, QueueRecord, QueueSettings};

use crate::names::{NameId, Names};
use crate::scheduling::Blocks;
use crate::{Core, Effect, Mark, Refusal, Reply, Ticket};

/// Queues that may be paused at a time: each is a row and a name, and nobody means to pause more.
const QUEUES_PAUSED_MAX: usize = 10_000;

/// A queue that has jobs, or of which something is decided; any other is not there.
#[derive(Debug, Default)]
struct Queue {
    waiting: Load,
    running: Load,
    /// Uses the name once.
    pause: Option<Pause>,
    /// Uses the name once.
    settings: Option<Arc<QueueSettings>>,
}

/// Jobs, and the bytes of their specs.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) jobs: u64,
    pub(crate) bytes: u64,
}

/// A queue as it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) waiting: Load,
    pub(crate) running: Load,
    /// What is decided of it, each of which uses its name.
    pub(crate) decisions: u32,
}

impl Queue {
    fn load(&mut self, state: JobState) -> Option<&mut Load> {
        match state {
            JobState::Blocked | JobState::Delayed | JobState::Queued | JobState::Coalesced => Some(&mut self.waiting),
            JobState::Leased | JobState::Running | JobState::Cancelling => Some(&mut self.running),
            JobState::Succeeded | JobState::Failed | JobState::Cancelled | JobState::Expired => None,
        }
    }

    fn counted(&self) -> Counted {
        let decisions = u32::from(self.pause.is_some()) + u32::from(self.settings.is_some());
        Counted { waiting: self.waiting, running: self.running, decisions }
    }

    fn is_idle(&self) -> bool {
        let Counted { waiting, running, decisions } = self.counted();
        waiting.jobs == 0 && running.jobs == 0 && decisions == 0
    }

    fn record(&self, name: Arc<str>) -> QueueRecord {
        QueueRecord {
            name,
            pause: self.pause.clone(),
            queued: self.waiting.jobs,
            queued_bytes: self.waiting.bytes,
            running: self.running.jobs,
            settings: self.settings.clone(),
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Queues {
    table: BTreeMap<NameId, Queue>,
    paused: usize,
    set: usize,
}

impl Queues {
    pub(crate) fn is_paused(&self, queue: NameId) -> bool {
        self.table.get(&queue).is_some_and(|queue| queue.pause.is_some())
    }

    pub(crate) fn pause_of(&self, queue: NameId) -> Option<&Pause> {
        self.table.get(&queue)?.pause.as_ref()
    }

    /// What operators set of a queue; none: nothing.
    pub(crate) fn settings_of(&self, queue: NameId) -> Option<&Arc<QueueSettings>> {
        self.table.get(&queue)?.settings.as_ref()
    }

    /// Queues that have settings.
    pub(crate) fn with_settings(&self) -> usize {
        self.set
    }

    /// What waits in a queue.
    pub(crate) fn waiting_in(&self, queue: NameId) -> Load {
        self.table.get(&queue).map_or_else(Load::default, |queue| queue.waiting)
    }

    /// A job of the queue went from one state to another; none: it was not there, or is not any more. With the bytes of its spec.
    pub(crate) fn moved(&mut self, name: NameId, bytes: u32, from: Option<JobState>, to: Option<JobState>) {
        let queue = self.table.entry(name).or_default();
        if let Some(load) = from.and_then(|state| queue.load(state)) {
            load.jobs -= 1;
            load.bytes -= u64::from(bytes);
        }
        if let Some(load) = to.and_then(|state| queue.load(state)) {
            load.jobs += 1;
            load.bytes += u64::from(bytes);
        }
        if queue.is_idle() {
            self.table.remove(&name);
        }
    }

    /// None: nothing is set of it any more.
    pub(crate) fn set(&mut self, name: &Arc<str>, settings: Option<Arc<QueueSettings>>, names: &mut Names) {
        let id = names.add(name);
        let queue = self.table.entry(id).or_default();
        let (after, before) = (settings.is_some(), std::mem::replace(&mut queue.settings, settings).is_some());
        if queue.is_idle() {
            self.table.remove(&id);
        }
        self.set = self.set + usize::from(after) - usize::from(before);
        // The name that was added here stays for the settings, and goes with them.
        (usize::from(after)..usize::from(before) + 1).for_each(|_| names.remove(id));
    }

    /// Whether that changed anything but the reason.
    fn pause(&mut self, name: &Arc<str>, pause: Pause, names: &mut Names) -> (NameId, bool) {
        let id = names.add(name);
        let before = self.table.entry(id).or_default().pause.replace(pause);
        match before {
            Some(_) => names.remove(id),
            None => self.paused += 1,
        }
        (id, before.is_none())
    }

    fn resume(&mut self, name: &str, names: &mut Names) -> Option<NameId> {
        let id = names.find(name)?;
        let queue = self.table.get_mut(&id)?;
        queue.pause.take()?;
        self.paused -= 1;
        if queue.is_idle() {
            self.table.remove(&id);
        }
        names.remove(id);
        Some(id)
    }

    /// As counted, for checks.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (NameId, Counted)> {
        self.table.iter().map(|(id, queue)| (*id, queue.counted()))
    }
}

impl Core {
    /// A queue by name; one that is not there is empty.
    #[must_use]
    pub fn queue(&self, name: &str) -> QueueRecord {
        let found = self.jobs.names.find(name).and_then(|id| self.queues.table.get(&id));
        found.map_or_else(|| Queue::default().record(name.into()), |queue| queue.record(name.into()))
    }

    /// Up to `limit` queues that are there, and the default one, by name, after `after`. It looks at the names that are shown, and at
    /// those of handlers between them, however many queues there are.
    #[must_use]
    pub fn queues(&self, after: Option<&str>, limit: usize) -> Vec<QueueRecord> {
        let there = self.jobs.names.after(after).filter(|(_, id)| self.queues.table.contains_key(id));
        let mut shown: Vec<QueueRecord> = there.take(limit).map(|(name, _)| self.queue(name)).collect();
        let at = shown.partition_point(|queue| *queue.name < *DEFAULT_QUEUE);
        let is_there = shown.get(at).is_some_and(|queue| *queue.name == *DEFAULT_QUEUE);
        if !is_there && after.is_none_or(|after| DEFAULT_QUEUE > after) {
            shown.insert(at, self.queue(DEFAULT_QUEUE));
            shown.truncate(limit);
        }
        shown
    }

    pub(crate) fn pause(&mut self, ticket: Ticket, name: &Arc<str>, pause: Pause, out: &mut Vec<Effect>) {
        let limit = QUEUES_PAUSED_MAX;
        let again = self.queue(name).pause.is_some();
        if !again && self.queues.paused >= limit {
            out.push(Effect::Reply(ticket, Reply::Queue(Err(Refusal::PausesFull { limit }))));
            return;
        }
        self.restore_pause(name, pause);
        self.mark_queue(name, out);
        out.push(Effect::Reply(ticket, Reply::Queue(Ok(self.queue(name)))));
    }

    pub(crate) fn resume(&mut self, ticket: Ticket, name: &Arc<str>, out: &mut Vec<Effect>) {
        if let Some(id) = self.queues.resume(name, &mut self.jobs.names) {
            self.scheduler.block_queue(id, Blocks::PAUSE, false);
            self.mark_queue(name, out);
        }
        out.push(Effect::Reply(ticket, Reply::Queue(Ok(self.queue(name)))));
    }

    /// All that is decided of a queue, to be kept.
    pub(crate) fn mark_queue(&self, name: &Arc<str>, out: &mut Vec<Effect>) {
        let QueueRecord { name, pause, settings, .. } = self.queue(name);
        out.push(Effect::Mark(Mark::Queue { name, pause, settings }));
    }

    pub(crate) fn restore_pause(&mut self, name: &Arc<str>, pause: Pause) {
        let (id, new) = self.queues.pause(name, pause, &mut self.jobs.names);
        if new {
            self.scheduler.block_queue(id, Blocks::PAUSE, true);
        }
    }
}
