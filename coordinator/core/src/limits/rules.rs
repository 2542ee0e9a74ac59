//! What operators set: limits of single keys, and of all keys that begin alike.

use std::collections::BTreeMap;
use std::sync::Arc;

use windlass_shared::domain::LimitSettings;

use super::Key;

/// A key, or the beginning of keys.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Pattern {
    /// This key alone.
    Key(Key),
    /// Each key that begins so, on its own; the longest beginning wins, and a key's own limit over all.
    Prefix(Arc<str>),
}

#[derive(Debug, Default)]
pub(super) struct Rules {
    keys: BTreeMap<Key, LimitSettings>,
    prefixes: BTreeMap<Arc<str>, LimitSettings>,
    /// How many prefixes have this many bytes: a key is held against as many prefixes as there are lengths.
    lengths: BTreeMap<usize, u32>,
}

impl Rules {
    pub(super) fn set(&mut self, pattern: Pattern, settings: LimitSettings) {
        match pattern {
            Pattern::Key(key) => drop(self.keys.insert(key, settings)),
            Pattern::Prefix(prefix) => {
                let length = prefix.len();
                if self.prefixes.insert(prefix, settings).is_none() {
                    *self.lengths.entry(length).or_default() += 1;
                }
            }
        }
    }

    pub(super) fn remove(&mut self, pattern: &Pattern) {
        match pattern {
            Pattern::Key(key) => drop(self.keys.remove(key)),
            Pattern::Prefix(prefix) => {
                let known = self.prefixes.remove(prefix).is_some();
                let count = self.lengths.get_mut(&prefix.len()).filter(|_| known);
                if count.is_some_and(|count| std::mem::replace(count, *count - 1) == 1) {
                    self.lengths.remove(&prefix.len());
                }
            }
        }
    }

    /// What holds for a key; nothing where nothing was set.
    pub(super) fn of(&self, key: &Key) -> LimitSettings {
        let own = self.keys.get(key).copied();
        own.or_else(|| self.by_prefix(key)).unwrap_or_default()
    }

    fn by_prefix(&self, key: &Key) -> Option<LimitSettings> {
        let Key::Named(name) = key else { return None };
        let lengths = self.lengths.keys().rev();
        lengths.filter_map(|length| self.prefixes.get(name.get(..*length)?).copied()).next()
    }
}
