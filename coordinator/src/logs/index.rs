//! Where the records of a stream are in one segment.
//!
//! A record costs 13 to 14 bytes here once its segment is closed, about 20 before; a stream costs nothing else. Since each
//! takes at least 50 in its segment, all indexes together stay below 30 % of what is kept, and at 100 bytes a record at 9 %.

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
    /// A bit for each tag that is in `sorted`, and for one in eight that is not: a stream that begins asks every segment
    /// whether it knows it, and a search in each would be most of what an append costs.
    filter: Vec<u64>,
    newer: BTreeSet<(Tag, u32)>,
}

impl Index {
    pub(super) fn new(mut entries: Vec<(Tag, u32)>) -> Self {
        entries.sort_unstable();
        entries.shrink_to_fit();
        // At least 8 bits an entry.
        let mut filter = vec![0_u64; (entries.len() / 8).next_power_of_two()];
        for (tag, _) in &entries {
            let (word, bit) = place(&filter, *tag);
            filter[word] |= bit;
        }
        Self { sorted: entries, filter, newer: BTreeSet::new() }
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
        let sorted = if self.may_have(tag) { self.search(tag) } else { &[] };
        sorted.iter().chain(self.newer.range((tag, 0)..=(tag, u32::MAX))).map(|(_, at)| *at)
    }

    fn may_have(&self, tag: Tag) -> bool {
        let (word, bit) = place(&self.filter, tag);
        self.filter.get(word).is_some_and(|bits| bits & bit != 0)
    }

    fn search(&self, tag: Tag) -> &[(Tag, u32)] {
        let rest = &self.sorted[self.sorted.partition_point(|(other, _)| *other < tag)..];
        &rest[..rest.partition_point(|(other, _)| *other == tag)]
    }
}

/// Word and bit of a tag, in a filter whose length is a power of two.
fn place(filter: &[u64], Tag(low, high): Tag) -> (usize, u64) {
    (low as usize & filter.len().saturating_sub(1), 1_u64 << (high % 64))
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
        assert!(positions(&index, Tag::of_hash(5)).is_empty());
    }
}
