//! A counter as it is shown.

use std::sync::Arc;

/// A number that only grows while its process lives, or, where its name does not end with `_total`, says how things stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counter {
    /// Its name: part of the API, and of whatever scrapes it.
    pub name: &'static str,
    /// What it is about, by name; never a job.
    pub labels: Vec<(&'static str, Arc<str>)>,
    /// The number.
    pub value: u64,
}

impl Counter {
    /// One with these labels.
    #[must_use]
    pub fn new(name: &'static str, labels: &[(&'static str, &str)], value: u64) -> Self {
        let labels = labels.iter().map(|(label, text)| (*label, Arc::from(*text))).collect();
        Self { name, labels, value }
    }
}
