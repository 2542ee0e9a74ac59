//! The queues: how much waits and runs in each, and which hand out nothing for now.

use std::collections::BTreeMap;
use std::sync::Arc;

use windlass_shared::domain::{DEFAULT_QUEUE, JobState, Pause, QueueRecord};

use crate::names::{NameId, Names};
use crate::scheduling::Blocks;
use crate::{Core, Effect, Mark, Refusal, Reply, Ticket};

/// Queues that may be paused at a time: each is a row and a name, and nobody means to pause more.
const QUEUES_PAUSED_MAX: usize = 10_000;

/// A queue that has jobs or is paused; any other is not there.
#[derive(Debug, Default)]
struct Queue {
    queued: u64,
    running: u64,
    /// Uses the name once.
    pause: Option<Pause>,
}

impl Queue {
    fn count(&mut self, state: JobState) -> Option<&mut u64> {
        match state {
            JobState::Blocked | JobState::Delayed | JobState::Queued | JobState::Coalesced => Some(&mut self.queued),
            JobState::Leased | JobState::Running | JobState::Cancelling => Some(&mut self.running),
            JobState::Succeeded | JobState::Failed | JobState::Cancelled | JobState::Expired => None,
        }
    }

    fn is_idle(&self) -> bool {
        self.queued == 0 && self.running == 0 && self.pause.is_none()
    }

    fn record(&self, name: Arc<str>) -> QueueRecord {
        QueueRecord { name, pause: self.pause.clone(), queued: self.queued, running: self.running }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Queues {
    table: BTreeMap<NameId, Queue>,
    paused: usize,
}

impl Queues {
    pub(crate) fn is_paused(&self, queue: NameId) -> bool {
        self.table.get(&queue).is_some_and(|queue| queue.pause.is_some())
    }

    pub(crate) fn pause_of(&self, queue: NameId) -> Option<&Pause> {
        self.table.get(&queue)?.pause.as_ref()
    }

    /// A job of the queue went from one state to another; none: it was not there, or is not any more.
    pub(crate) fn moved(&mut self, name: NameId, from: Option<JobState>, to: Option<JobState>) {
        let queue = self.table.entry(name).or_default();
        if let Some(count) = from.and_then(|state| queue.count(state)) {
            *count -= 1;
        }
        if let Some(count) = to.and_then(|state| queue.count(state)) {
            *count += 1;
        }
        if queue.is_idle() {
            self.table.remove(&name);
        }
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
    pub(crate) fn counts(&self) -> impl Iterator<Item = (NameId, u64, u64, bool)> {
        self.table.iter().map(|(id, queue)| (*id, queue.queued, queue.running, queue.pause.is_some()))
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
        self.restore_pause(name, pause.clone());
        out.push(Effect::Mark(Mark::Queue { name: name.clone(), pause: Some(pause) }));
        out.push(Effect::Reply(ticket, Reply::Queue(Ok(self.queue(name)))));
    }

    pub(crate) fn resume(&mut self, ticket: Ticket, name: &Arc<str>, out: &mut Vec<Effect>) {
        if let Some(id) = self.queues.resume(name, &mut self.jobs.names) {
            self.scheduler.block_queue(id, Blocks::PAUSE, false);
            out.push(Effect::Mark(Mark::Queue { name: name.clone(), pause: None }));
        }
        out.push(Effect::Reply(ticket, Reply::Queue(Ok(self.queue(name)))));
    }

    pub(crate) fn restore_pause(&mut self, name: &Arc<str>, pause: Pause) {
        let (id, new) = self.queues.pause(name, pause, &mut self.jobs.names);
        if new {
            self.scheduler.block_queue(id, Blocks::PAUSE, true);
        }
    }
}
