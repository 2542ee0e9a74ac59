//! All reels, and the line of streams that have something to ship.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::BytesMut;
use tokio::sync::Notify;
use windlass_shared::domain::{AgentCounter, Lease, LogChunk, LogStream, PushedLog};

use super::Offsets;
use super::options::{Bounds, LogOptions};
use super::reel::Reel;
use crate::config::{LOG_BUFFERS_ENDED, LOG_MESSAGE_BYTES_MAX, LOGS_UNACKED_BYTES_MAX};
use crate::counters::Counters;

/// Bytes of one stream before the next one has its turn.
const TURN_BYTES: usize = LOG_MESSAGE_BYTES_MAX / 4;
/// Pieces in one message; leases and lengths cost about 80 bytes each beside the data.
const PIECES_MAX: usize = 4_096;
/// What an attempt that is over costs beside its bytes, so that a crowd of silent ones is bounded too.
const REEL_BYTES: usize = 512;

/// What jobs write, until the coordinator has it. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Logs(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    hub: Mutex<Hub>,
    bounds: Bounds,
    counters: Counters,
    waiting: Notify,
    emptied: Notify,
}

#[derive(Debug, Default)]
struct Hub {
    reels: BTreeMap<Lease, Reel>,
    /// Streams with bytes that nobody was given, each once; entries of reels that are gone are passed over.
    line: VecDeque<(Lease, LogStream)>,
    /// Bytes under way.
    flying: usize,
    /// Attempts that are over and not shipped yet, oldest first, with what they cost.
    ended: VecDeque<(Lease, usize)>,
    ended_bytes: usize,
    /// The attempt whose newest was shown last: the next one is first the next time.
    shown: Option<Lease>,
}

impl Logs {
    /// Keeps so much of each attempt that runs, and [`LOG_BUFFERS_ENDED`] times as much of all that ended.
    pub(crate) fn new(options: &LogOptions, counters: Counters) -> Self {
        let (bounds, hub) = (options.bounds(), Mutex::default());
        Self(Arc::new(Shared { hub, bounds, counters, waiting: Notify::new(), emptied: Notify::new() }))
    }

    /// Takes what was read of a stream, leaving `read` empty.
    pub(super) fn append(&self, lease: Lease, stream: LogStream, read: &mut BytesMut) {
        let bytes = read.len() as u64;
        let mut hub = self.hub();
        let append = hub.reels.entry(lease).or_default().append(stream, read, &self.0.bounds);
        if append.queue {
            hub.line.push_back((lease, stream));
            hub.tidy_line();
        }
        drop(hub);
        self.0.counters.add(AgentCounter::LogBytes, bytes);
        self.0.counters.add(AgentCounter::LogDroppedBytes, append.lost);
        if append.queue {
            self.0.waiting.notify_one();
        }
        if append.first_loss {
            tracing::warn!(job = %lease.job, attempt = lease.attempt, "output is more than is kept, or comes faster than it ships: its middle is dropped");
        }
    }

    /// Takes what an attempt wrote.
    pub(crate) fn write(&self, lease: Lease, stream: LogStream, bytes: &[u8]) {
        self.append(lease, stream, &mut BytesMut::from(bytes));
    }

    /// Nothing more comes from this attempt.
    pub(crate) fn close(&self, lease: &Lease) {
        let lost = self.change(|hub| hub.close(lease, &self.0.bounds));
        self.0.counters.add(AgentCounter::LogDroppedBytes, lost);
        self.0.waiting.notify_one();
    }

    /// Nobody wants what this attempt wrote, nor what it still writes.
    pub(crate) fn discard(&self, lease: &Lease) {
        self.change(|hub| hub.discard(lease));
    }

    /// What waits, as far as it fits one message. None: nothing waits, or too much is unacknowledged.
    pub(super) fn take_batch(&self) -> Option<Vec<PushedLog>> {
        self.hub().take_batch()
    }

    /// What is newest of outputs that are past their fronts, as far as it fits one message: attempts have their turns. To be asked
    /// once a second.
    pub(super) fn take_newest(&self) -> Option<Vec<PushedLog>> {
        self.hub().take_newest(self.0.bounds.newest)
    }

    /// The coordinator has everything of this stream before `offset`.
    pub(super) fn ack(&self, lease: &Lease, stream: LogStream, offset: u64) {
        self.change(|hub| hub.ack(lease, stream, offset));
        self.0.waiting.notify_one();
    }

    /// How far the coordinator has what an attempt wrote; [`Offsets::ALL`] where nothing is left to ship.
    pub(crate) fn shipped(&self, lease: &Lease) -> Offsets {
        self.hub().reels.get(lease).map_or(Offsets::ALL, Reel::acked)
    }

    /// A new stream to the coordinator: what was under way on the old one is handed out again.
    pub(super) fn rewind(&self) {
        self.hub().rewind();
        self.0.waiting.notify_one();
    }

    /// Whether a stream to the coordinator is wanted: something was never handed out, or may be shown.
    pub(super) fn wants_stream(&self) -> bool {
        let hub = self.hub();
        !hub.line.is_empty() || (self.0.bounds.newest > 0 && hub.reels.values().any(Reel::is_past_front))
    }

    /// Returns when there may be something to take.
    pub(super) async fn waiting(&self) {
        self.0.waiting.notified().await;
    }

    /// Returns when the coordinator has everything of every attempt that is over.
    pub(crate) async fn emptied(&self) {
        loop {
            let emptied = self.0.emptied.notified();
            if self.is_empty() {
                return;
            }
            emptied.await;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.hub().reels.is_empty()
    }

    fn change<T>(&self, change: impl FnOnce(&mut Hub) -> T) -> T {
        let mut hub = self.hub();
        let changed = change(&mut hub);
        if hub.reels.is_empty() {
            self.0.emptied.notify_waiters();
        }
        changed
    }

    fn hub(&self) -> MutexGuard<'_, Hub> {
        self.0.hub.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hub {
    /// How many bytes were dropped, of this attempt and of older ones.
    fn close(&mut self, lease: &Lease, bounds: &Bounds) -> u64 {
        let Some(reel) = self.reels.get_mut(lease) else { return 0 };
        let (streams, mut lost) = reel.close(bounds);
        self.line.extend(streams.map(|stream| (*lease, stream)));
        if reel.is_done() {
            self.reels.remove(lease);
            return lost;
        }
        let cost = reel.kept() + REEL_BYTES;
        self.ended.push_back((*lease, cost));
        self.ended_bytes += cost;
        let ended_max = bounds.spool.saturating_mul(usize::try_from(LOG_BUFFERS_ENDED).unwrap_or(usize::MAX));
        while self.ended_bytes > ended_max && self.ended.len() > 1 {
            lost += self.drop_oldest();
        }
        lost
    }

    // An attempt that wrote nothing yet is not here, and is not noted: with nobody to close it, the note would stay for ever.
    // What it writes between here and its kill is shipped, and dropped by the coordinator.
    fn discard(&mut self, lease: &Lease) {
        let Some(reel) = self.reels.get_mut(lease) else { return };
        self.flying -= reel.discard();
        if reel.is_done() {
            self.reels.remove(lease);
        }
    }

    // The line of the ended keeps entries of reels that were shipped since: they are let go here or by `ack`.
    fn drop_oldest(&mut self) -> u64 {
        let Some((lease, cost)) = self.ended.pop_front() else { return 0 };
        self.ended_bytes -= cost;
        let Some(mut reel) = self.reels.remove(&lease) else { return 0 };
        let kept = reel.kept();
        let flying = reel.discard();
        self.flying -= flying;
        tracing::warn!(job = %lease.job, attempt = lease.attempt, "output of an attempt that is over is dropped unshipped");
        kept.saturating_sub(flying) as u64
    }

    // With nobody to ship to, nobody takes entries out either: those of reels that were let go must not gather.
    fn tidy_line(&mut self) {
        if self.line.len() > 4 * self.reels.len() + 1_024 {
            let reels = &self.reels;
            self.line.retain(|(lease, _)| reels.contains_key(lease));
        }
    }

    fn take_batch(&mut self) -> Option<Vec<PushedLog>> {
        let mut batch = Vec::new();
        let mut room = LOG_MESSAGE_BYTES_MAX;
        while self.flying < LOGS_UNACKED_BYTES_MAX && room > 0 && batch.len() < PIECES_MAX {
            let Some((lease, stream)) = self.line.pop_front() else { break };
            let Some(reel) = self.reels.get_mut(&lease) else { continue };
            let (next, more) = reel.next(stream, room.min(TURN_BYTES));
            if more {
                self.line.push_back((lease, stream));
            }
            let Some((offset, data)) = next else { continue };
            room -= data.len();
            self.flying += data.len();
            batch.push(PushedLog { lease, chunk: LogChunk { stream, offset, data } });
        }
        (!batch.is_empty()).then_some(batch)
    }

    fn take_newest(&mut self, each_max: usize) -> Option<Vec<PushedLog>> {
        let mut newest = Vec::new();
        let mut room = LOG_MESSAGE_BYTES_MAX;
        let from = self.shown.map_or(Bound::Unbounded, Bound::Excluded);
        let turns: Vec<Lease> = self.reels.range((from, Bound::Unbounded)).map(|(lease, _)| *lease).collect();
        let again = self.reels.keys().copied().take_while(|lease| self.shown.is_some_and(|shown| *lease <= shown));
        for lease in turns.into_iter().chain(again.collect::<Vec<_>>()) {
            if room < 2 * each_max || newest.len() >= PIECES_MAX {
                break;
            }
            let Some(reel) = self.reels.get_mut(&lease).filter(|reel| reel.is_past_front()) else { continue };
            for chunk in reel.newest(each_max) {
                room -= chunk.data.len();
                newest.push(PushedLog { lease, chunk });
            }
            self.shown = Some(lease);
        }
        (!newest.is_empty()).then_some(newest)
    }

    fn ack(&mut self, lease: &Lease, stream: LogStream, offset: u64) {
        let Some(reel) = self.reels.get_mut(lease) else { return };
        self.flying -= reel.ack(stream, offset);
        if reel.is_done() {
            self.reels.remove(lease);
        }
        while self.ended.front().is_some_and(|(lease, _)| !self.reels.contains_key(lease)) {
            self.drop_oldest();
        }
    }

    fn rewind(&mut self) {
        self.line.clear();
        self.flying = 0;
        for (lease, reel) in &mut self.reels {
            self.line.extend(reel.rewind().map(|stream| (*lease, stream)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_shared::ids::JobId;

    fn lease(token: u64) -> Lease {
        let job = JobId::new(token, &[0; 10]);
        Lease { job, generation: 1, attempt: 1, incarnation: 1, epoch: 1, fencing_token: token }
    }

    fn logs(spool_bytes: u64) -> Logs {
        Logs::new(&LogOptions { spool_bytes, ..LogOptions::default() }, Counters::default())
    }

    fn write(logs: &Logs, token: u64, data: &[u8]) {
        logs.append(lease(token), LogStream::Stdout, &mut BytesMut::from(data));
    }

    fn batch(logs: &Logs) -> Vec<(u64, u64, usize)> {
        let batch = logs.take_batch().unwrap_or_default();
        batch.iter().map(|log| (log.lease.fencing_token, log.chunk.offset, log.chunk.data.len())).collect()
    }

    #[test]
    fn short_outputs_of_many_attempts_go_in_one_message() {
        let logs = logs(1 << 20);
        for token in 1..=3 {
            write(&logs, token, b"hello\n");
        }
        assert_eq!(batch(&logs), [(1, 0, 6), (2, 0, 6), (3, 0, 6)]);
        assert_eq!(batch(&logs), []);
    }

    #[test]
    fn a_flood_takes_turns_and_stops_at_the_window() {
        let logs = logs(64 << 20);
        write(&logs, 1, &vec![b'x'; 32 << 20]);
        write(&logs, 2, b"y");
        assert_eq!(batch(&logs)[..2], [(1, 0, TURN_BYTES), (2, 0, 1)]);
        let mut under_way = 0;
        while let Some(batch) = logs.take_batch() {
            let bytes: usize = batch.iter().map(|log| log.chunk.data.len()).sum();
            assert!(bytes <= LOG_MESSAGE_BYTES_MAX);
            under_way += bytes;
        }
        assert!(under_way <= LOGS_UNACKED_BYTES_MAX + LOG_MESSAGE_BYTES_MAX);
        logs.ack(&lease(1), LogStream::Stdout, u64::try_from(TURN_BYTES).unwrap());
        assert_eq!(batch(&logs).len(), 1);
    }

    #[test]
    fn a_reel_goes_when_the_attempt_is_over_and_the_coordinator_has_everything() {
        let logs = logs(1 << 20);
        write(&logs, 1, b"abc");
        assert_eq!(batch(&logs), [(1, 0, 3)]);
        logs.ack(&lease(1), LogStream::Stdout, 3);
        assert_eq!(logs.shipped(&lease(1)), Offsets { stdout: 3, stderr: 0 });
        assert!(!logs.is_empty());
        logs.close(&lease(1));
        assert!(logs.is_empty());
        assert_eq!(logs.shipped(&lease(1)), Offsets::ALL);
    }

    #[test]
    fn what_was_under_way_on_a_broken_stream_is_shipped_again_from_the_acknowledged_offset() {
        let logs = logs(1 << 20);
        write(&logs, 1, b"abc");
        assert_eq!(batch(&logs), [(1, 0, 3)]);
        logs.ack(&lease(1), LogStream::Stdout, 3);
        write(&logs, 1, b"de");
        assert_eq!(batch(&logs), [(1, 3, 2)]);
        logs.rewind();
        assert!(logs.wants_stream());
        assert_eq!(batch(&logs), [(1, 3, 2)]);
    }

    #[test]
    fn what_nobody_wants_is_dropped_also_when_it_comes_later() {
        let logs = logs(1 << 20);
        write(&logs, 1, b"abc");
        logs.discard(&lease(1));
        write(&logs, 1, b"def");
        assert_eq!(batch(&logs), []);
        logs.close(&lease(1));
        assert!(logs.is_empty());
    }

    #[test]
    fn of_floods_what_is_newest_is_shown_in_turns_that_fit_one_message() {
        let logs = Logs::new(&LogOptions { newest_bytes: 256 << 10, ..LogOptions::default() }, Counters::default());
        let flood = |token| write(&logs, token, &vec![b'x'; 17 << 20]);
        (1..=6).for_each(flood);
        assert!(logs.take_newest().is_none(), "what is kept comes first");
        for token in 1..=6 {
            logs.ack(&lease(token), LogStream::Stdout, 17 << 20);
        }
        while logs.take_batch().is_some() {}
        let turn = || -> Vec<u64> {
            let newest = logs.take_newest().unwrap_or_default();
            newest.iter().for_each(|log| assert_eq!((log.chunk.end(), log.chunk.data.len()), (17 << 20, 256 << 10)));
            newest.iter().map(|log| log.lease.fencing_token).collect()
        };
        assert_eq!((turn(), turn(), turn()), (vec![1, 2, 3], vec![4, 5, 6], vec![]), "and nothing twice");
        write(&logs, 2, b"more");
        let more = logs.take_newest().expect("it goes on");
        assert_eq!((more.len(), more[0].chunk.offset, &*more[0].chunk.data), (1, 17 << 20, &b"more"[..]));
        logs.close(&lease(2));
        assert!(logs.take_newest().is_none(), "its end is shipped");
    }

    #[test]
    fn what_was_held_back_until_the_end_is_handed_out_then() {
        let logs = logs(1 << 20);
        write(&logs, 1, &vec![b'x'; 3 << 20]);
        let front = (1 << 20) - (256 << 10);
        let shipped: usize = std::iter::from_fn(|| logs.take_batch()).flatten().map(|log| log.chunk.data.len()).sum();
        assert_eq!(shipped, front);
        logs.close(&lease(1));
        assert!(logs.wants_stream());
        assert_eq!(batch(&logs), [(1, (3 << 20) - (256 << 10), 256 << 10)]);
        logs.ack(&lease(1), LogStream::Stdout, 3 << 20);
        assert!(logs.is_empty());
    }

    #[test]
    fn every_byte_that_is_written_counts_and_so_does_every_one_that_is_dropped() {
        let counters = Counters::default();
        let logs = Logs::new(&LogOptions { spool_bytes: 1 << 20, ..LogOptions::default() }, counters.clone());
        let moved = || counters.moved();
        write(&logs, 1, b"abc");
        assert_eq!(moved(), [(AgentCounter::LogBytes, 3)]);
        // Of one output, all but its front and its end.
        for _ in 0..3 {
            write(&logs, 2, &vec![b'x'; 1 << 20]);
        }
        logs.close(&lease(2));
        let (mut written, mut dropped) = (3 + (3 << 20), 2 << 20);
        assert_eq!(moved(), [(AgentCounter::LogBytes, written), (AgentCounter::LogDroppedBytes, dropped)]);
        // Of attempts that are over, the oldest as a whole.
        for token in 3..=6 {
            write(&logs, token, &vec![b'x'; 1 << 20]);
            logs.close(&lease(token));
            written += 1 << 20;
        }
        let kept: u64 = logs.hub().reels.values().map(|reel| reel.kept() as u64).sum();
        dropped = written - kept;
        assert_eq!(moved(), [(AgentCounter::LogBytes, written), (AgentCounter::LogDroppedBytes, dropped)]);
        // What nobody wants is no loss.
        logs.discard(&lease(1));
        assert_eq!(moved(), [(AgentCounter::LogBytes, written), (AgentCounter::LogDroppedBytes, dropped)]);
    }

    #[test]
    fn ended_attempts_that_nobody_fetches_are_bounded_and_the_oldest_go() {
        let logs = logs(1 << 20);
        for token in 1..=6 {
            write(&logs, token, &vec![b'x'; 1 << 20]);
            logs.close(&lease(token));
        }
        let kept: Vec<u64> = logs.hub().reels.keys().map(|lease| lease.fencing_token).collect();
        assert_eq!(kept, [4, 5, 6]);
    }
}
