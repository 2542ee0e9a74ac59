//! What operators set: limits of single keys, and of all keys that begin alike.

use std::collections::BTreeMap;
use std::ops::Bound;
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

impl Pattern {
    /// A beginning of keys is written with `*` at its end, which no key has.
    pub(crate) fn of(text: &Arc<str>) -> Self {
        text.strip_suffix('*').map_or_else(|| Self::Key(Key::Named(text.clone())), |prefix| Self::Prefix(prefix.into()))
    }

    /// As it is written.
    pub(crate) fn text(&self) -> Arc<str> {
        match self {
            Self::Key(Key::Named(name) | Key::Queue(name)) => name.clone(),
            Self::Prefix(prefix) => format!("{prefix}*").into(),
        }
    }
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

    /// What is set at exactly this.
    pub(super) fn get(&self, pattern: &Pattern) -> Option<LimitSettings> {
        match pattern {
            Pattern::Key(key) => self.keys.get(key).copied(),
            Pattern::Prefix(prefix) => self.prefixes.get(prefix).copied(),
        }
    }

    /// How many are set, queues' own not counted.
    pub(super) fn len(&self) -> usize {
        self.prefixes.len() + self.names_of_keys(None).count()
    }

    /// What holds for a key; nothing where nothing was set.
    pub(super) fn of(&self, key: &Key) -> LimitSettings {
        self.find(key).map(|(settings, _)| settings).unwrap_or_default()
    }

    /// What holds for a key, and where it was set.
    pub(super) fn find(&self, key: &Key) -> Option<(LimitSettings, Pattern)> {
        let own = self.keys.get(key).map(|settings| (*settings, Pattern::Key(key.clone())));
        own.or_else(|| self.by_prefix(key))
    }

    fn by_prefix(&self, key: &Key) -> Option<(LimitSettings, Pattern)> {
        let name = key.named()?;
        let prefixes = self.lengths.keys().rev().filter_map(|length| name.get(..*length));
        let mut found = prefixes.filter_map(|prefix| self.prefixes.get_key_value(prefix));
        found.next().map(|(prefix, settings)| (*settings, Pattern::Prefix(prefix.clone())))
    }

    /// Up to `limit` of each kind, as they are written, after `after`.
    pub(super) fn names(&self, after: Option<&str>, limit: usize) -> impl Iterator<Item = Arc<str>> {
        // `*` sorts before all that keys are made of, so beginnings sort as they do when it is written behind them.
        let from = match after.map(|after| (after, after.strip_suffix('*'))) {
            None => Bound::Unbounded,
            Some((_, Some(prefix))) => Bound::Excluded(prefix),
            Some((key, None)) => Bound::Included(key),
        };
        let prefixes = self.prefixes.range::<str, _>((from, Bound::Unbounded));
        let prefixes = prefixes.map(|(prefix, _)| Pattern::Prefix(prefix.clone()).text());
        prefixes.take(limit).chain(self.names_of_keys(after).take(limit))
    }

    fn names_of_keys(&self, after: Option<&str>) -> impl Iterator<Item = Arc<str>> {
        let from = after.map_or(Bound::Unbounded, |after| Bound::Excluded(Key::Named(after.into())));
        self.keys.range((from, Bound::Unbounded)).map_while(|(key, _)| key.named().cloned())
    }
}
