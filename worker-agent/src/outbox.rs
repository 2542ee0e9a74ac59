//! Reports until the coordinator has them on record.
//!
//! ```text
//!  executor ─ push ─► [ 5 6 7 | 8 9 ] ─ take_batch ─► stream ─► coordinator ─ ack(7) ─► gone
//!                       sent    waits                     a new stream: rewind, everything is said again
//! ```
//! Every item has a number; a report carries the number of its last item, so a repeated one is known for what it is and an
//! acknowledgement covers everything before it.
//!
//! In memory in this version. The seam for a disk behind it is [`Outbox::push`], [`Outbox::ack`] and [`Outbox::forget`].

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use windlass_shared::domain::{Lease, News, ReportItem};
use windlass_shared::limits;

use crate::config::{OUTBOX_ITEMS_MAX, REPORTS_UNACKED_MAX};

/// Encoded items of one report; they reach it only by their details, of up to 4 KiB each.
const BATCH_BYTES_MAX: usize = limits::MESSAGE_BYTES_MAX / 4;
/// Encoded size of an item without its detail, generously.
const ITEM_BYTES: usize = 256;

/// Reports until they are acknowledged. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outbox(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    news: Notify,
    emptied: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    /// In order of their numbers, which have holes where leases were forgotten.
    items: VecDeque<(u64, ReportItem)>,
    /// Number of the newest item.
    newest: u64,
    /// Number of the newest item that the present stream was given.
    sent: u64,
}

impl Outbox {
    /// Keeps an item until it is acknowledged.
    pub(crate) fn push(&self, item: ReportItem) {
        let mut queue = self.queue();
        queue.newest += 1;
        let number = queue.newest;
        queue.items.push_back((number, item));
        drop(queue);
        self.0.news.notify_one();
    }

    /// Whether an agent that goes on like this would not know where to put its reports: it takes no new work.
    pub(crate) fn is_full(&self) -> bool {
        self.queue().items.len() >= OUTBOX_ITEMS_MAX
    }

    /// Everything that waits and fits one report, with its number. None: nothing waits, or too much is unacknowledged.
    pub(crate) fn take_batch(&self) -> Option<(u64, Vec<ReportItem>)> {
        self.queue().take_batch()
    }

    /// Everything up to this number is on record.
    pub(crate) fn ack(&self, number: u64) {
        self.change(|queue| {
            while queue.items.front().is_some_and(|(first, _)| *first <= number) {
                queue.items.pop_front();
            }
        });
        // Room in the window is news for whoever sends.
        self.0.news.notify_one();
    }

    /// Nobody wants to hear of this attempt any more.
    pub(crate) fn forget(&self, lease: &Lease) {
        self.change(|queue| queue.items.retain(|(_, item)| item.lease != *lease));
    }

    /// A new stream: everything is said again.
    pub(crate) fn rewind(&self) {
        self.queue().sent = 0;
        self.0.news.notify_one();
    }

    /// Attempts that are over, without that being on record.
    pub(crate) fn ended(&self) -> Vec<Lease> {
        let queue = self.queue();
        let over = queue.items.iter().filter(|(_, item)| !matches!(item.news, News::Started(_)));
        over.map(|(_, item)| item.lease).collect()
    }

    /// Returns when there may be something new to take.
    pub(crate) async fn news(&self) {
        self.0.news.notified().await;
    }

    /// Returns when everything is acknowledged.
    pub(crate) async fn emptied(&self) {
        loop {
            let emptied = self.0.emptied.notified();
            if self.is_empty() {
                return;
            }
            emptied.await;
        }
    }

    /// Whether everything is acknowledged.
    pub(crate) fn is_empty(&self) -> bool {
        self.queue().items.is_empty()
    }

    fn change(&self, change: impl FnOnce(&mut Queue)) {
        let mut queue = self.queue();
        change(&mut queue);
        if queue.items.is_empty() {
            self.0.emptied.notify_waiters();
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Nothing in here can panic half-way.
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn take_batch(&mut self) -> Option<(u64, Vec<ReportItem>)> {
        let first = self.items.partition_point(|(number, _)| *number <= self.sent);
        let room = REPORTS_UNACKED_MAX.saturating_sub(first).min(limits::REPORT_ITEMS_MAX);
        let mut bytes = 0;
        let fits = |(_, item): &&(u64, ReportItem)| {
            bytes += size(item);
            bytes <= BATCH_BYTES_MAX
        };
        let mut last = self.sent;
        let batch = self.items.iter().skip(first).take(room).take_while(fits);
        let batch: Vec<_> = batch
            .map(|(number, item)| {
                last = *number;
                item.clone()
            })
            .collect();
        self.sent = last;
        (!batch.is_empty()).then_some((last, batch))
    }
}

fn size(item: &ReportItem) -> usize {
    match &item.news {
        News::Ended(outcome) => ITEM_BYTES + outcome.detail.as_ref().map_or(0, |detail| detail.len()),
        News::Started(_) | News::Returned(_) => ITEM_BYTES,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_shared::domain::Reason;
    use windlass_shared::ids::JobId;
    use windlass_shared::time::Timestamp;

    fn lease(token: u64) -> Lease {
        let job = JobId::new(token, &[0; 10]);
        Lease { job, generation: 1, attempt: 1, incarnation: 1, epoch: 1, fencing_token: token }
    }

    fn returned(token: u64) -> ReportItem {
        ReportItem { lease: lease(token), news: News::Returned(Reason::Drain) }
    }

    fn taken(outbox: &Outbox) -> Option<(u64, Vec<u64>)> {
        let (number, items) = outbox.take_batch()?;
        Some((number, items.iter().map(|item| item.lease.fencing_token).collect()))
    }

    #[test]
    fn what_waits_goes_in_one_report_and_only_once_a_stream() {
        let outbox = Outbox::default();
        outbox.push(returned(1));
        outbox.push(returned(2));
        assert_eq!(taken(&outbox), Some((2, vec![1, 2])));
        outbox.push(returned(3));
        assert_eq!(taken(&outbox), Some((3, vec![3])));
        assert_eq!(taken(&outbox), None);
    }

    #[test]
    fn a_new_stream_hears_again_what_was_not_acknowledged_under_the_same_numbers() {
        let outbox = Outbox::default();
        for token in 1..=3 {
            outbox.push(returned(token));
        }
        assert_eq!(taken(&outbox), Some((3, vec![1, 2, 3])));
        outbox.ack(1);
        outbox.rewind();
        outbox.push(returned(4));
        assert_eq!(taken(&outbox), Some((4, vec![2, 3, 4])));
        outbox.ack(4);
        assert!(outbox.is_empty());
    }

    #[test]
    fn the_forgotten_are_neither_said_nor_held() {
        let outbox = Outbox::default();
        outbox.push(ReportItem { lease: lease(1), news: News::Started(Timestamp(1)) });
        outbox.push(returned(1));
        outbox.push(returned(2));
        assert_eq!(outbox.ended(), [lease(1), lease(2)]);
        outbox.forget(&lease(1));
        assert_eq!(outbox.ended(), [lease(2)]);
        assert_eq!(taken(&outbox), Some((3, vec![2])));
    }

    #[test]
    fn reports_stop_at_the_window_until_something_is_acknowledged() {
        let outbox = Outbox::default();
        let all = REPORTS_UNACKED_MAX as u64 + 10;
        for token in 1..=all {
            outbox.push(returned(token));
        }
        let mut last = 0;
        while let Some((number, items)) = outbox.take_batch() {
            assert!(items.len() <= limits::REPORT_ITEMS_MAX);
            last = number;
        }
        assert_eq!(last, REPORTS_UNACKED_MAX as u64);
        outbox.ack(5);
        assert_eq!(outbox.take_batch().map(|(number, items)| (number, items.len())), Some((last + 5, 5)));
    }
}
