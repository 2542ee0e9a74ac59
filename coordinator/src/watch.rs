//! The newest changes of all jobs, for everyone who watches. A bounded ring: who is slower than it is told so, and never
//! buffered for.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use windlass_shared::domain::Event;
use windlass_shared::fault::{Fault, Kind};
use windlass_shared::ids::JobId;

use crate::bells::Bells;

/// Events looked at for one page: bounds the time the ring is locked when few events pass the filter.
const EVENTS_SCANNED_MAX: usize = 20_000;

/// The revision asked for is not one this coordinator can go on from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadRevision {
    #[error("changes after revision {asked} are no longer kept; the oldest that can be asked for is {oldest}")]
    TooOld { asked: u64, oldest: u64 },
    #[error("revision {asked} is ahead of this coordinator, which is at {newest}: it is not the one that told you")]
    Ahead { asked: u64, newest: u64 },
}

impl Fault for BadRevision {
    fn kind(&self) -> Kind {
        match self {
            Self::TooOld { .. } => Kind::OutOfRange,
            Self::Ahead { .. } => Kind::DataLoss,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::TooOld { .. } => "REVISION_TOO_OLD",
            Self::Ahead { .. } => "REVISION_AHEAD",
        }
    }
}

/// Some of the changes after a revision.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Events {
    pub(crate) events: Vec<Event>,
    /// Ask again after this one.
    pub(crate) revision: u64,
}

/// The newest changes.
#[derive(Debug)]
pub(crate) struct Watch {
    ring: Mutex<Ring>,
    newest: watch::Sender<u64>,
    bells: Bells,
}

#[derive(Debug)]
struct Ring {
    events: VecDeque<Event>,
    kept_max: usize,
    /// Everything after this revision is kept.
    oldest: u64,
}

impl Watch {
    /// A ring of `kept_max` changes that goes on at `revision`, with what is on record of the changes before.
    pub(crate) fn resume(revision: u64, events: Vec<Event>, kept_max: usize, bells: Bells) -> Self {
        // Everything after the change before the first one kept is kept; where none is, everything after now.
        let oldest = events.first().map_or(revision, |first| first.revision - 1);
        let mut ring = Ring { events: VecDeque::new(), kept_max, oldest };
        ring.push(events);
        Self { ring: Mutex::new(ring), newest: watch::Sender::new(revision), bells }
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows changes that are durable now, oldest first.
    pub(crate) fn publish(&self, events: Vec<Event>) {
        let Some(newest) = events.last().map(|event| event.revision) else { return };
        self.bells.ring_all(events.iter().map(|event| event.job));
        self.ring().push(events);
        self.newest.send_replace(newest);
    }

    pub(crate) fn newest(&self) -> u64 {
        *self.newest.borrow()
    }

    /// Up to `limit` changes after a revision, of these jobs or, where none is named, of all.
    pub(crate) fn after(&self, revision: u64, jobs: &BTreeSet<JobId>, limit: usize) -> Result<Events, BadRevision> {
        let newest = self.newest();
        if revision > newest {
            return Err(BadRevision::Ahead { asked: revision, newest });
        }
        self.ring().after(revision, jobs, limit)
    }

    /// Waits until there is a change after `revision`.
    pub(crate) async fn changed(&self, revision: u64) {
        let mut newest = self.newest.subscribe();
        // Fails only when the sender is gone, and that is ours.
        let _ = newest.wait_for(|newest| *newest > revision).await;
    }
}

impl Ring {
    fn push(&mut self, events: Vec<Event>) {
        self.events.extend(events);
        while self.events.len() > self.kept_max {
            if let Some(gone) = self.events.pop_front() {
                self.oldest = gone.revision;
            }
        }
    }

    fn after(&self, revision: u64, jobs: &BTreeSet<JobId>, limit: usize) -> Result<Events, BadRevision> {
        if revision < self.oldest {
            return Err(BadRevision::TooOld { asked: revision, oldest: self.oldest });
        }
        let mut page = Events { events: Vec::new(), revision };
        let start = self.events.partition_point(|event| event.revision <= revision);
        for event in self.events.range(start..).take(EVENTS_SCANNED_MAX) {
            if jobs.is_empty() || jobs.contains(&event.job) {
                if page.events.len() == limit {
                    break;
                }
                page.events.push(event.clone());
            }
            page.revision = event.revision;
        }
        Ok(page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_shared::domain::JobState;
    use windlass_shared::time::Timestamp;

    fn event(revision: u64, job: u8) -> Event {
        let job = JobId::from_bytes([job; 16]);
        Event { revision, time: Timestamp(0), job, state: JobState::Queued, attempt: 0, agent: None, reason: None }
    }

    fn revisions(page: &Events) -> Vec<u64> {
        page.events.iter().map(|event| event.revision).collect()
    }

    #[test]
    fn a_watcher_that_goes_on_from_where_it_was_misses_nothing_and_sees_nothing_twice() {
        let watch = Watch::resume(0, Vec::new(), 100, Bells::default());
        watch.publish((1..=5).map(|n| event(n, 1)).collect());
        let first = watch.after(0, &BTreeSet::new(), 3).expect("kept");
        assert_eq!((revisions(&first), first.revision), (vec![1, 2, 3], 3));
        let second = watch.after(first.revision, &BTreeSet::new(), 3).expect("kept");
        assert_eq!((revisions(&second), second.revision), (vec![4, 5], 5));
        assert_eq!(watch.after(5, &BTreeSet::new(), 3), Ok(Events { events: vec![], revision: 5 }));
    }

    #[test]
    fn a_filter_moves_the_revision_past_what_it_leaves_out() {
        let watch = Watch::resume(0, Vec::new(), 100, Bells::default());
        watch.publish(vec![event(1, 1), event(2, 2), event(3, 1)]);
        let only = BTreeSet::from([JobId::from_bytes([2; 16])]);
        let page = watch.after(0, &only, 10).expect("kept");
        assert_eq!((revisions(&page), page.revision), (vec![2], 3));
    }

    #[test]
    fn what_is_not_kept_is_refused_rather_than_skipped() {
        let watch = Watch::resume(0, Vec::new(), 2, Bells::default());
        watch.publish((1..=5).map(|n| event(n, 1)).collect());
        let refused = watch.after(2, &BTreeSet::new(), 10);
        assert_eq!(refused, Err(BadRevision::TooOld { asked: 2, oldest: 3 }));
        assert_eq!(revisions(&watch.after(3, &BTreeSet::new(), 10).expect("kept")), vec![4, 5]);
        assert_eq!(watch.after(9, &BTreeSet::new(), 10), Err(BadRevision::Ahead { asked: 9, newest: 5 }));
    }

    #[test]
    fn watchers_go_on_over_a_restart_as_far_back_as_changes_are_on_record() {
        let watch = Watch::resume(5, (3..=5).map(|n| event(n, 1)).collect(), 100, Bells::default());
        assert_eq!(revisions(&watch.after(2, &BTreeSet::new(), 10).expect("kept")), vec![3, 4, 5]);
        assert_eq!(revisions(&watch.after(4, &BTreeSet::new(), 10).expect("kept")), vec![5]);
        assert_eq!(watch.after(1, &BTreeSet::new(), 10), Err(BadRevision::TooOld { asked: 1, oldest: 2 }));
        let empty = Watch::resume(5, Vec::new(), 100, Bells::default());
        assert_eq!(empty.after(5, &BTreeSet::new(), 10), Ok(Events { events: vec![], revision: 5 }));
        assert_eq!(empty.after(4, &BTreeSet::new(), 10), Err(BadRevision::TooOld { asked: 4, oldest: 5 }));
    }
}
