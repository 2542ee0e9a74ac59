//! What an agent has room for: commands in its exec room, calls in the room of each of its pools.
//!
//! What is held counts against the room it was given to until it is settled, whatever the agent says of its pools meanwhile: a
//! pool that is no longer offered takes nothing, and goes with the last call it holds.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use windlass_shared::domain::{Credit, PoolOffer, PoolRecord};

use crate::names::{NameId, Names};
use crate::scheduling::Class;

/// A room of one agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RoomId(u32);

impl RoomId {
    pub(crate) const EXEC: Self = Self(0);
    /// For calls whose pool is not known: after a restart until the hello, and where no pool offers their handler any more.
    pub(crate) const STRAY: Self = Self(1);
}

#[derive(Debug, Default)]
pub(crate) struct Room {
    /// Its pool; the exec room and the stray one have none.
    pool: Option<Arc<str>>,
    handlers: Vec<NameId>,
    /// Attempts that run at a time: slots, or workers.
    width: u32,
    capacity: u32,
    /// Whether the agent still has it.
    offered: bool,
    pub(crate) held: u32,
}

impl Room {
    pub(crate) fn has_room(&self) -> bool {
        self.held < self.capacity
    }

    pub(crate) fn width(&self) -> u32 {
        self.width
    }

    /// Slots or workers that have something to do.
    pub(crate) fn taken(&self) -> u32 {
        self.held.min(self.width)
    }

    /// Attempts a slot in 1/65536: exact enough to order any two rooms of up to 20,000 attempts.
    pub(crate) fn load(&self) -> u64 {
        (u64::from(self.held) << 16) / u64::from(self.width.max(1))
    }

    fn record(&self, names: &Names) -> Option<PoolRecord> {
        let handlers = self.handlers.iter().map(|handler| names.get(*handler).clone()).collect();
        let (workers, capacity) = (self.width, self.capacity);
        let offer = PoolOffer { pool: self.pool.clone()?, handlers, workers, capacity };
        Some(PoolRecord { offer, held: self.held })
    }
}

#[derive(Debug)]
pub(crate) struct Rooms {
    table: BTreeMap<RoomId, Room>,
    by_handler: BTreeMap<NameId, RoomId>,
    next: u32,
}

impl Default for Rooms {
    fn default() -> Self {
        let table = [RoomId::EXEC, RoomId::STRAY].map(|id| (id, Room::default())).into();
        Self { table, by_handler: BTreeMap::new(), next: 2 }
    }
}

impl Rooms {
    /// What the agent takes from now on, all of it.
    pub(crate) fn offer(&mut self, credit: &Credit, names: &mut Names) {
        let before = std::mem::take(&mut self.by_handler);
        for (id, room) in &mut self.table {
            let exec = *id == RoomId::EXEC;
            // They change while an agent lives: pools are scaled, and come and go.
            room.width = if exec { credit.slots.unwrap_or(room.width) } else { 0 };
            // Without a slot of its own, what an agent says it takes beyond its slots could wait there for ever.
            room.capacity = if exec && room.width > 0 { credit.capacity } else { 0 };
            room.offered = exec;
            room.handlers.clear();
        }
        credit.pools.iter().for_each(|offer| self.offer_pool(offer, names));
        // After the new ones, so that a name that stays is not forgotten in between.
        before.into_keys().for_each(|handler| names.remove(handler));
        self.tidy();
    }

    fn offer_pool(&mut self, offer: &PoolOffer, names: &mut Names) {
        let id = self.of_pool(&offer.pool);
        let room = self.table.entry(id).or_default();
        room.pool = Some(offer.pool.clone());
        (room.width, room.capacity, room.offered) = (offer.workers, offer.capacity, true);
        for handler in &offer.handlers {
            let handler = names.add(handler);
            match self.by_handler.entry(handler) {
                Entry::Vacant(place) => {
                    place.insert(id);
                    room.handlers.push(handler);
                }
                // One pool a handler: the first has it.
                Entry::Occupied(_) => names.remove(handler),
            }
        }
    }

    fn of_pool(&mut self, pool: &Arc<str>) -> RoomId {
        let known = self.table.iter().find(|(_, room)| room.pool.as_ref() == Some(pool));
        known.map(|(id, _)| *id).unwrap_or_else(|| {
            self.next += 1;
            RoomId(self.next - 1)
        })
    }

    pub(crate) fn set_slots(&mut self, slots: u32) {
        self.get_mut(RoomId::EXEC).width = slots;
    }

    /// Where work of a class belongs.
    pub(crate) fn place(&self, class: Class) -> RoomId {
        match class {
            Class::Exec => RoomId::EXEC,
            Class::Call(handler) => self.by_handler.get(&handler).copied().unwrap_or(RoomId::STRAY),
        }
    }

    /// Whether work of the class belongs here at all, though there may be no room for it now.
    pub(crate) fn offers(&self, class: Class) -> bool {
        match self.place(class) {
            RoomId::STRAY => false,
            RoomId::EXEC => self.get(RoomId::EXEC).width > 0,
            _ => true,
        }
    }

    pub(crate) fn get(&self, id: RoomId) -> &Room {
        self.table.get(&id).expect("a room stays as long as anything in it is held")
    }

    pub(crate) fn get_mut(&mut self, id: RoomId) -> &mut Room {
        self.table.get_mut(&id).expect("a room stays as long as anything in it is held")
    }

    /// What the room takes: nothing, where its pool is no longer offered.
    pub(crate) fn classes(&self, id: RoomId) -> impl Iterator<Item = Class> {
        let exec = (id == RoomId::EXEC).then_some(Class::Exec);
        let handlers = self.table.get(&id).map_or(&[][..], |room| &room.handlers);
        exec.into_iter().chain(handlers.iter().copied().map(Class::Call))
    }

    /// What belongs here at all, in order.
    pub(crate) fn all_classes(&self) -> Vec<Class> {
        let exec = (self.get(RoomId::EXEC).width > 0).then_some(Class::Exec);
        exec.into_iter().chain(self.by_handler.keys().copied().map(Class::Call)).collect()
    }

    /// Lets go of rooms that are neither offered nor hold anything.
    pub(crate) fn tidy(&mut self) {
        let kept = |id: &RoomId, room: &Room| *id <= RoomId::STRAY || room.held > 0 || room.offered;
        self.table.retain(|id, room| kept(id, room));
    }

    /// Nothing is held anywhere: it will be placed anew.
    pub(crate) fn clear_held(&mut self) {
        self.table.values_mut().for_each(|room| room.held = 0);
        self.tidy();
    }

    /// Gives the names back.
    pub(crate) fn forget(self, names: &mut Names) {
        self.by_handler.into_keys().for_each(|handler| names.remove(handler));
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (RoomId, &Room)> {
        self.table.iter().map(|(id, room)| (*id, room))
    }

    /// Attempts that run at a time, and that are taken at a time, in all rooms.
    pub(crate) fn totals(&self) -> (u32, u32) {
        self.table.values().fold((0, 0), |(width, capacity), room| {
            (room.width.saturating_add(width), room.capacity.saturating_add(capacity))
        })
    }

    /// The pools, by name.
    pub(crate) fn pools(&self, names: &Names) -> Vec<PoolRecord> {
        let mut pools: Vec<PoolRecord> = self.table.values().filter_map(|room| room.record(names)).collect();
        pools.sort_unstable_by(|a, b| a.offer.pool.cmp(&b.offer.pool));
        pools
    }

    /// Handlers named, for checks of the names' counts.
    pub(crate) fn handlers(&self) -> impl Iterator<Item = NameId> {
        self.by_handler.keys().copied()
    }
}
