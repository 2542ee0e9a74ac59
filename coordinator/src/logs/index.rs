//! Where the records of a stream are in one segment.
//!
//! A record costs 12 bytes here once its segment is closed, about 20 before; a stream costs nothing else. Since each takes
//! at least 50 in its segment, all indexes together stay below a quarter of what is kept, and at 100 bytes a record at 8 %.

use std::collections::BTreeSet;

/// 64 random bits for each stream, as two halves so that an entry needs no padding. Two streams that share one would be told
/// apart by their headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tag(u32, u32);

impl Tag {
    pub(super) fn of_hash(hash: u64) -> Self {
        let [a, b, c, d, e, f, g, h] = hash.to_le_bytes();
        Self(u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]))
    }
}

/// What was there when the segment was opened or closed, sorted, and what came since.
#[derive(Debug, Default)]
pub(super) struct Index {
    sorted: Vec<(Tag, u32)>,
    newer: BTreeSet<(Tag, u32)>,
}

impl Index {
    pub(super) fn new(mut entries: Vec<(Tag, u32)>) -> Self {
        entries.sort_unstable();
        entries.shrink_to_fit();
        Self { sorted: entries, newer: BTreeSet::new() }
    }

    pub(super) fn insert(&mut self, tag: Tag, at: u32) {
        self.newer.insert((tag, at));
    }

    /// Nothing more comes: half the memory.
    pub(super) fn close(&mut self) {
        let mut entries = std::mem::take(&mut self.sorted);
        entries.reserve_exact(self.newer.len());
        entries.extend(std::mem::take(&mut self.newer));
        *self = Self::new(entries);
    }

    /// Positions in the order they were written.
    pub(super) fn positions(&self, tag: Tag) -> impl DoubleEndedIterator<Item = u32> {
        let rest = &self.sorted[self.sorted.partition_point(|(other, _)| *other < tag)..];
        // Most streams are in one or two segments: the second search is mostly spared.
        let there = rest.first().is_some_and(|(other, _)| *other == tag);
        let sorted = if there { &rest[..rest.partition_point(|(other, _)| *other == tag)] } else { &[] };
        sorted.iter().chain(self.newer.range((tag, 0)..=(tag, u32::MAX))).map(|(_, at)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_come_in_the_order_they_were_written_before_and_after_closing() {
        let [mine, other] = [3, 4].map(Tag::of_hash);
        let mut index = Index::new(vec![(mine, 9), (other, 7), (mine, 1)]);
        index.insert(other, 10);
        index.insert(mine, 11);
        let positions = |index: &Index, tag| index.positions(tag).collect::<Vec<_>>();
        assert_eq!(positions(&index, mine), [1, 9, 11]);
        index.close();
        assert_eq!(positions(&index, mine), [1, 9, 11]);
        assert_eq!(positions(&index, other), [7, 10]);
        assert_eq!(positions(&index, Tag::of_hash(5)), []);
    }
}
