//! The lanes of one shape that wait, in the order they go: the queue's share first, then the key's, then the head's place.
//!
//! ```text
//!   shape ─► queues by tag ─► keys by tag ─► lanes by the place of their head
//!              "etl"   4         "ann"  9       [7 …]  [12 …]
//!              "web"   6         "bob" 11       [8 …]
//! ```
//!
//! A tag changes in every shape at once, and nobody goes to all of them: what is noted here may be too low, never too high, since
//! tags only grow. Whoever comes first by its note is looked at again, and goes back to where it belongs if the note was old.

use std::collections::{BTreeMap, BTreeSet};

use super::lanes::LaneId;
use super::place::Place;
use super::shares::{ShareId, Shares, Virtual};

/// How a lane stands against all others; least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    queue: Virtual,
    key: Virtual,
    place: Place,
}

#[derive(Debug, Default)]
pub(crate) struct Waiting {
    order: BTreeSet<(Rank, ShareId)>,
    queues: BTreeMap<ShareId, OfQueue>,
    /// Who comes first by the notes, as long as none of them changes: most looks find that it does still.
    top: Option<Top>,
}

#[derive(Debug, Clone, Copy)]
struct Top {
    rank: Rank,
    queue: ShareId,
    key: ShareId,
    lane: LaneId,
}

#[derive(Debug)]
struct OfQueue {
    order: BTreeSet<(Virtual, Place, ShareId)>,
    keys: BTreeMap<ShareId, OfKey>,
    /// Its entry in the shape's order.
    noted: Option<Rank>,
}

#[derive(Debug, Default)]
struct OfKey {
    lanes: BTreeSet<(Place, LaneId)>,
    noted: Option<(Virtual, Place)>,
}

impl Waiting {
    pub(crate) fn is_empty(&self) -> bool {
        self.queues.is_empty()
    }

    /// The head of a lane is another, or there is one where there was none, or none any more.
    pub(crate) fn update(
        &mut self,
        shares: &Shares,
        (key, lane): (ShareId, LaneId),
        before: Option<Place>,
        after: Option<Place>,
    ) {
        if before == after {
            return;
        }
        self.top = None;
        let queue = shares.queue_of(key);
        let empty = || OfQueue { order: BTreeSet::new(), keys: BTreeMap::new(), noted: None };
        let of_queue = self.queues.entry(queue).or_insert_with(empty);
        let of_key = of_queue.keys.entry(key).or_default();
        before.map(|place| of_key.lanes.remove(&(place, lane)));
        after.map(|place| of_key.lanes.insert((place, lane)));
        let gone = of_key.lanes.is_empty();
        of_queue.note(key, shares.tag(key));
        if gone {
            of_queue.keys.remove(&key);
        }
        let gone = of_queue.keys.is_empty();
        self.note(queue, shares.tag(queue));
        if gone {
            self.queues.remove(&queue);
        }
    }

    fn note(&mut self, id: ShareId, tag: Virtual) {
        let Some(of_queue) = self.queues.get_mut(&id) else { return };
        let rank = of_queue.order.first().map(|(key, place, _)| Rank { queue: tag, key: *key, place: *place });
        let before = std::mem::replace(&mut of_queue.noted, rank);
        if before != rank {
            self.top = None;
            before.map(|rank| self.order.remove(&(rank, id)));
            rank.map(|rank| self.order.insert((rank, id)));
        }
    }

    /// The lane to serve first, the queue it is of, and how it stands.
    pub(crate) fn first(&mut self, shares: &Shares) -> Option<(Rank, ShareId, LaneId)> {
        let holds = |top: &Top| (shares.tag(top.queue), shares.tag(top.key)) == (top.rank.queue, top.rank.key);
        if !self.top.as_ref().is_some_and(holds) {
            self.top = self.find_first(shares);
        }
        self.top.map(|top| (top.rank, top.queue, top.lane))
    }

    fn find_first(&mut self, shares: &Shares) -> Option<Top> {
        loop {
            let (noted, queue) = *self.order.first()?;
            let of_queue = self.queues.get_mut(&queue)?;
            of_queue.bring_up_to_date(shares);
            self.note(queue, shares.tag(queue));
            let (rank, first) = *self.order.first()?;
            if (rank, first) == (noted, queue) {
                let (key, lane) = self.queues.get(&queue)?.first()?;
                return Some(Top { rank, queue, key, lane });
            }
        }
    }

    /// Every lane that waits, for checks and for counts of them.
    pub(crate) fn lanes(&self) -> impl Iterator<Item = (Place, LaneId)> {
        let keys = self.queues.values().flat_map(|of_queue| of_queue.keys.values());
        keys.flat_map(|of_key| of_key.lanes.iter().copied())
    }

    /// Whether no note is later than the truth. For checks only.
    pub(crate) fn is_sound(&self, shares: &Shares) -> bool {
        let of_queue = |(id, of_queue): (&ShareId, &OfQueue)| {
            let keys = of_queue.keys.iter().all(|(key, of_key)| {
                let noted = of_key.noted.is_some_and(|(tag, place)| {
                    tag <= shares.tag(*key) && of_key.lanes.first().is_some_and(|first| first.0 == place)
                });
                noted && of_key.noted.is_some_and(|(tag, place)| of_queue.order.contains(&(tag, place, *key)))
            });
            let noted = of_queue.noted.is_some_and(|rank| {
                rank.queue <= shares.tag(*id)
                    && self.order.contains(&(rank, *id))
                    && of_queue.order.first().is_some_and(|first| (rank.key, rank.place) <= (first.0, first.1))
            });
            keys && noted && of_queue.order.len() == of_queue.keys.len()
        };
        self.order.len() == self.queues.len() && self.queues.iter().all(of_queue)
    }
}

impl OfQueue {
    fn note(&mut self, id: ShareId, tag: Virtual) {
        let Some(of_key) = self.keys.get_mut(&id) else { return };
        let entry = of_key.lanes.first().map(|(place, _)| (tag, *place));
        let before = std::mem::replace(&mut of_key.noted, entry);
        if before != entry {
            before.map(|(tag, place)| self.order.remove(&(tag, place, id)));
            entry.map(|(tag, place)| self.order.insert((tag, place, id)));
        }
    }

    fn bring_up_to_date(&mut self, shares: &Shares) {
        while let Some((tag, _, key)) = self.order.first().copied() {
            let now = shares.tag(key);
            if tag == now {
                return;
            }
            self.note(key, now);
        }
    }

    fn first(&self) -> Option<(ShareId, LaneId)> {
        let (_, _, key) = self.order.first()?;
        self.keys.get(key)?.lanes.first().map(|(_, lane)| (*key, *lane))
    }
}
