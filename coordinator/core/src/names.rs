//! Names of queues and handlers, each kept once however many jobs wait under it, and forgotten with its last user.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::ops::Bound;
use std::sync::Arc;

/// A name's place, counted from 1, so that one that may be absent has 4 bytes too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NameId(NonZeroU32);

impl NameId {
    fn of(at: u32) -> Self {
        Self(NonZeroU32::MIN.saturating_add(at))
    }

    fn at(self) -> usize {
        self.0.get() as usize - 1
    }
}

#[derive(Debug, Default, Clone)]
pub(crate) struct Names {
    entries: Vec<(Arc<str>, u32)>,
    by_name: BTreeMap<Arc<str>, u32>,
    free: Vec<u32>,
}

impl Names {
    /// The place of `name`, with one more user.
    pub(crate) fn add(&mut self, name: &Arc<str>) -> NameId {
        if let Some(&at) = self.by_name.get(name) {
            self.entries[at as usize].1 += 1;
            return NameId::of(at);
        }
        let at = self.free.pop().unwrap_or_else(|| {
            self.entries.push((name.clone(), 0));
            u32::try_from(self.entries.len() - 1).expect("jobs and agents are bounded, and so are the names in use")
        });
        self.entries[at as usize] = (name.clone(), 1);
        self.by_name.insert(name.clone(), at);
        NameId::of(at)
    }

    /// One user more of a name that is in use.
    pub(crate) fn share(&mut self, id: NameId) {
        self.entries[id.at()].1 += 1;
    }

    pub(crate) fn get(&self, id: NameId) -> &Arc<str> {
        &self.entries[id.at()].0
    }

    /// The place of a name that is in use.
    pub(crate) fn find(&self, name: &str) -> Option<NameId> {
        self.by_name.get(name).copied().map(NameId::of)
    }

    /// The names in use after `after`, in order.
    pub(crate) fn after(&self, after: Option<&str>) -> impl Iterator<Item = (&Arc<str>, NameId)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.by_name.range::<str, _>((from, Bound::Unbounded)).map(|(name, at)| (name, NameId::of(*at)))
    }

    /// Names in use, with how many users each has. For checks only.
    pub(crate) fn users(&self) -> impl Iterator<Item = (NameId, u32)> {
        self.by_name.values().map(|at| (NameId::of(*at), self.entries[*at as usize].1))
    }

    /// One user less.
    pub(crate) fn remove(&mut self, id: NameId) {
        let (name, users) = &mut self.entries[id.at()];
        *users -= 1;
        if *users == 0 {
            self.by_name.remove(name);
            self.free.push(id.0.get() - 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept_once_and_forgotten_with_its_last_user() {
        let mut names = Names::default();
        let (one, two) = (names.add(&"a".into()), names.add(&"a".into()));
        assert_eq!(one, two);
        names.remove(one);
        assert_eq!(&**names.get(two), "a");
        names.remove(two);
        let three = names.add(&"b".into());
        assert_eq!(three, one, "the place is used again");
        assert_eq!(names.entries.len(), 1);
    }
}
