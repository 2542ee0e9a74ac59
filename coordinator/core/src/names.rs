//! Queue names, each kept once however many jobs wait under it, and forgotten with the last of them.

use std::collections::BTreeMap;
use std::sync::Arc;

/// A name's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NameId(u32);

#[derive(Debug, Default)]
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
            return NameId(at);
        }
        let at = self.free.pop().unwrap_or_else(|| {
            self.entries.push((name.clone(), 0));
            u32::try_from(self.entries.len() - 1).expect("jobs_live_max bounds the names in use")
        });
        self.entries[at as usize] = (name.clone(), 1);
        self.by_name.insert(name.clone(), at);
        NameId(at)
    }

    pub(crate) fn get(&self, id: NameId) -> &Arc<str> {
        &self.entries[id.0 as usize].0
    }

    /// One user less.
    pub(crate) fn remove(&mut self, id: NameId) {
        let (name, users) = &mut self.entries[id.0 as usize];
        *users -= 1;
        if *users == 0 {
            self.by_name.remove(name);
            self.free.push(id.0);
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
