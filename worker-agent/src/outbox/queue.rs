//! The outbox in memory: what waits, in order, and what of it the present stream was given.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use windlass_shared::domain::{Lease, News, ReportItem};
use windlass_shared::limits;

use super::record::{self, Record};
use crate::config::REPORTS_UNACKED_MAX;
use crate::logs::Offsets;

/// Encoded items of one report; they reach it by their results, of up to 256 KiB each, and their details, of up to 4 KiB.
const BATCH_BYTES_MAX: usize = limits::MESSAGE_BYTES_MAX / 4;
/// Encoded size of an item without its detail and its result, generously.
const ITEM_BYTES: usize = 256;

#[derive(Debug)]
struct Kept {
    number: u64,
    item: ReportItem,
    /// How far its logs were shipped when that was written last.
    shipped: Offsets,
    /// Bytes of its record on disk; 0: not there yet.
    bytes: usize,
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    /// In order of their numbers, which have holes where leases were forgotten. Those on disk come before those that are not.
    items: VecDeque<Kept>,
    /// Number of the newest item.
    newest: u64,
    /// Number of the newest item that the present stream was given.
    sent: u64,
    /// Ends of attempts whose logs are still being shipped, with their numbers.
    unshipped: BTreeMap<Lease, u64>,
    /// Bytes on disk of all that is kept.
    live: u64,
}

impl Queue {
    /// What a former life left. Starts without an end go: whatever became of those attempts, they run no more, and the
    /// coordinator learns it from their absence.
    pub(super) fn restore(records: Vec<(Record, usize)>) -> Self {
        let mut queue = Self::default();
        for (record, bytes) in records {
            match record {
                Record::News { number, shipped, item } => {
                    queue.newest = number;
                    queue.live += bytes as u64;
                    queue.items.push_back(Kept { number, item: *item, shipped, bytes });
                }
                Record::Acked { number } => {
                    queue.ack(number);
                }
                Record::Shipped { number, shipped } => {
                    if let Some(kept) = queue.find(number) {
                        kept.shipped = shipped;
                    }
                }
            }
        }
        let ended: BTreeSet<Lease> = queue.ended().into_iter().collect();
        queue.items.retain(|kept| ended.contains(&kept.item.lease));
        queue.items.iter_mut().for_each(Kept::lose_logs);
        queue.live = queue.items.iter().map(|kept| kept.bytes as u64).sum();
        queue
    }

    pub(super) fn push(&mut self, item: ReportItem, shipped: Offsets) {
        self.newest += 1;
        if shipped != Offsets::ALL {
            self.unshipped.insert(item.lease, self.newest);
        }
        self.items.push_back(Kept { number: self.newest, item, shipped, bytes: 0 });
    }

    /// Appends the records of all items that are not on disk, in order; their numbers and lengths.
    pub(super) fn write_unsaved(&self, out: &mut Vec<u8>) -> Vec<(u64, usize)> {
        let unsaved = self.items.iter().skip(self.saved());
        unsaved.map(|kept| (kept.number, record::write_news(out, kept.number, kept.shipped, &kept.item))).collect()
    }

    /// The record of this number, of so many bytes, is on disk. It may have been acknowledged or forgotten meanwhile.
    pub(super) fn note_saved(&mut self, number: u64, bytes: usize) {
        if let Some(kept) = self.find(number) {
            kept.bytes = bytes;
            self.live += bytes as u64;
        }
    }

    fn saved(&self) -> usize {
        self.items.partition_point(|kept| kept.bytes > 0)
    }

    /// Notes how far the logs of an attempt are; the record to write, where that is news about one on disk.
    pub(super) fn shipped(&mut self, lease: &Lease, shipped: Offsets) -> Option<Vec<u8>> {
        let number = *self.unshipped.get(lease)?;
        if shipped == Offsets::ALL {
            self.unshipped.remove(lease);
        }
        let kept = self.find(number).filter(|kept| kept.shipped != shipped)?;
        kept.shipped = shipped;
        // Its news may be on their way to the disk as they were before.
        Some(record::shipped(number, shipped))
    }

    fn find(&mut self, number: u64) -> Option<&mut Kept> {
        let at = self.items.binary_search_by_key(&number, |kept| kept.number).ok()?;
        self.items.get_mut(at)
    }

    /// Everything up to this number is on record; the number of the last one that was not before.
    pub(super) fn ack(&mut self, number: u64) -> Option<u64> {
        let mut last = None;
        while self.items.front().is_some_and(|kept| kept.number <= number) {
            last = self.items.pop_front().map(|kept| {
                let Lease { job, attempt, .. } = kept.item.lease;
                tracing::debug!(%job, attempt, news = kept.item.news.name(), "report is on record");
                self.let_go(&kept)
            });
        }
        last
    }

    pub(super) fn forget(&mut self, lease: &Lease) {
        for kept in std::mem::take(&mut self.items) {
            if kept.item.lease == *lease {
                self.let_go(&kept);
            } else {
                self.items.push_back(kept);
            }
        }
    }

    fn let_go(&mut self, kept: &Kept) -> u64 {
        self.live -= kept.bytes as u64;
        if self.unshipped.get(&kept.item.lease) == Some(&kept.number) {
            self.unshipped.remove(&kept.item.lease);
        }
        kept.number
    }

    pub(super) fn rewind(&mut self) {
        self.sent = 0;
    }

    /// Of what is on disk, unless `unsaved_too`.
    pub(super) fn take_batch(&mut self, unsaved_too: bool) -> Option<(u64, Vec<ReportItem>)> {
        let first = self.items.partition_point(|kept| kept.number <= self.sent);
        let ready = if unsaved_too { self.items.len() } else { self.saved() };
        let room = REPORTS_UNACKED_MAX.min(ready).saturating_sub(first).min(limits::REPORT_ITEMS_MAX);
        let mut bytes = 0;
        let fits = |kept: &&Kept| {
            bytes += size(&kept.item);
            bytes <= BATCH_BYTES_MAX
        };
        let mut last = self.sent;
        let batch = self.items.iter().skip(first).take(room).take_while(fits);
        let batch: Vec<_> = batch
            .map(|kept| {
                last = kept.number;
                kept.item.clone()
            })
            .collect();
        self.sent = last;
        (!batch.is_empty()).then_some((last, batch))
    }

    pub(super) fn ended(&self) -> Vec<Lease> {
        let over = self.items.iter().filter(|kept| !matches!(kept.item.news, News::Started(_)));
        over.map(|kept| kept.item.lease).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// Bytes on disk of all that is kept.
    pub(super) fn live(&self) -> u64 {
        self.live
    }

    /// The records of all that is on disk, for a file without the past.
    pub(super) fn records(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        for kept in self.items.iter_mut().filter(|kept| kept.bytes > 0) {
            kept.bytes = record::write_news(&mut all, kept.number, kept.shipped, &kept.item);
        }
        self.live = all.len() as u64;
        all
    }
}

impl Kept {
    /// What was not shipped when its agent died is lost: the end of a log that can still arrive is where it is now, or its
    /// followers would wait for the rest for ever.
    fn lose_logs(&mut self) {
        let Offsets { stdout, stderr } = std::mem::replace(&mut self.shipped, Offsets::ALL);
        if let News::Ended(outcome) = &mut self.item.news {
            outcome.stdout_bytes = outcome.stdout_bytes.min(stdout);
            outcome.stderr_bytes = outcome.stderr_bytes.min(stderr);
        }
    }
}

fn size(item: &ReportItem) -> usize {
    match &item.news {
        News::Ended(outcome) => {
            let detail = outcome.detail.as_ref().map_or(0, |detail| detail.len());
            ITEM_BYTES + detail + outcome.result.as_ref().map_or(0, |result| result.value.len())
        }
        News::Started(_) | News::Returned(_) => ITEM_BYTES,
    }
}
