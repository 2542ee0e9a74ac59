//! Shapes: what matters to where work may run, each kept once, and which agents could ever run which.
//!
//! ```text
//!   shape                      could run it (able)      waits      might have room (maybe)
//!   exec                       1 2 3 4 5                3 lanes    2 5
//!   exec, gpu 1, zone in a b   2 4                      1 lane     nobody: costs nothing
//!   call resize                3                        -          -
//! ```
//!
//! `maybe` never lacks an agent that has room: one that gains room is put in for every shape that waits, and one is taken out when
//! it is looked at and has none. So no decision looks twice at an agent that is full.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use windlass_shared::domain::Placement;
use windlass_shared::time::Moment;

use super::balancer::Memory;
use super::bits::Bits;
use super::class::Class;
use super::waiting::Waiting;
use crate::names::{NameId, Names};
use crate::supply::Needs;

/// Place of a shape in its table, and of its bit in an agent's set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ShapeId(pub(crate) u32);

/// What makes two shapes the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ShapeKey {
    pub(crate) class: Class,
    pub(crate) placement: Placement,
}

/// Shapes without a job that are kept, so that work that comes and goes is not matched with all agents each time.
const UNUSED_MAX: usize = 64;

#[derive(Debug)]
pub(crate) struct Shape {
    pub(crate) key: Arc<ShapeKey>,
    /// What it takes of resources, by interned name.
    pub(crate) needs: Needs,
    /// Lanes of it, whether anything waits in them or not.
    lanes: u32,
    pub(crate) waiting: Waiting,
    /// Agents that could ever run it, by seat.
    pub(crate) able: Bits,
    /// Those that may have room for it, where it waits.
    pub(crate) maybe: Bits,
    pub(crate) memory: Memory,
    /// Since when it waits and no agent there is could ever run it, where that is looked at.
    pub(crate) hopeless_since: Option<Moment>,
}

#[derive(Debug, Default)]
pub(crate) struct Shapes {
    table: Vec<Option<Shape>>,
    free: Vec<u32>,
    by_key: BTreeMap<Arc<ShapeKey>, ShapeId>,
    unused: BTreeSet<(u64, ShapeId)>,
    unused_at: BTreeMap<ShapeId, u64>,
    stamp: u64,
}

impl Shapes {
    /// A shape that is there, with one more lane.
    pub(crate) fn find(&mut self, key: &ShapeKey) -> Option<ShapeId> {
        let id = *self.by_key.get(key)?;
        self.get_mut(id).lanes += 1;
        if let Some(stamp) = self.unused_at.remove(&id) {
            self.unused.remove(&(stamp, id));
        }
        Some(id)
    }

    /// A shape that was not there, with its first lane; none where there are `max` with lanes. Agents are still to be matched.
    pub(crate) fn add(&mut self, key: ShapeKey, max: usize, names: &mut Names) -> Option<ShapeId> {
        while self.by_key.len() >= max.max(1) {
            self.forget(names)?;
        }
        let needs = key.placement.resources.iter().map(|(name, milli)| (names.add(name), *milli)).collect();
        if let Class::Call(handler) = key.class {
            names.share(handler);
        }
        let key = Arc::new(key);
        let at = self.free.pop().unwrap_or_else(|| {
            self.table.push(None);
            u32::try_from(self.table.len() - 1).expect("shapes are bounded")
        });
        self.table[at as usize] = Some(Shape {
            key: key.clone(),
            needs,
            lanes: 1,
            waiting: Waiting::default(),
            able: Bits::default(),
            maybe: Bits::default(),
            memory: Memory::default(),
            hopeless_since: None,
        });
        self.by_key.insert(key, ShapeId(at));
        Some(ShapeId(at))
    }

    /// One lane less.
    pub(crate) fn remove(&mut self, id: ShapeId, names: &mut Names) {
        let shape = self.get_mut(id);
        shape.lanes -= 1;
        if shape.lanes > 0 {
            return;
        }
        self.stamp += 1;
        self.unused.insert((self.stamp, id));
        self.unused_at.insert(id, self.stamp);
        if self.unused.len() > UNUSED_MAX {
            self.forget(names);
        }
    }

    /// Forgets the shape that has been without a lane longest.
    fn forget(&mut self, names: &mut Names) -> Option<()> {
        let (_, id) = self.unused.pop_first()?;
        self.unused_at.remove(&id);
        let shape = self.table[id.0 as usize].take()?;
        self.by_key.remove(&shape.key);
        shape.names().for_each(|name| names.remove(name));
        self.free.push(id.0);
        Some(())
    }

    pub(crate) fn get(&self, id: ShapeId) -> &Shape {
        self.table[id.0 as usize].as_ref().expect("a shape stays as long as a lane is of it")
    }

    pub(crate) fn get_mut(&mut self, id: ShapeId) -> &mut Shape {
        self.table[id.0 as usize].as_mut().expect("a shape stays as long as a lane is of it")
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (ShapeId, &Shape)> {
        self.table.iter().zip(0u32..).filter_map(|(shape, at)| Some((ShapeId(at), shape.as_ref()?)))
    }

    /// The agent that has this seat can run exactly these.
    pub(crate) fn seat(&mut self, seat: u32, matches: &Bits) {
        for (shape, at) in self.table.iter_mut().zip(0u32..) {
            if let Some(shape) = shape {
                shape.able.put(seat, matches.has(at));
                shape.maybe.unset(seat);
            }
        }
    }
}

impl Shape {
    /// Names it keeps.
    pub(crate) fn names(&self) -> impl Iterator<Item = NameId> {
        let handler = match self.key.class {
            Class::Call(handler) => Some(handler),
            Class::Exec => None,
        };
        self.needs.iter().map(|(name, _)| *name).chain(handler)
    }
}
