//! What jobs themselves say they did: one line a start and one an end, appended by the jobs' own processes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

pub(crate) struct Witness(PathBuf);

/// How often an item began, and how often it came to its end.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) starts: usize,
    pub(crate) ends: usize,
}

impl Witness {
    pub(crate) fn new(dir: &Path) -> Self {
        let path = dir.join("witness");
        fs::write(&path, "").expect("a file");
        Self(path)
    }

    /// Where it is written.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// A script that takes `seconds` and bears witness for item `{}`. One short append is one write, so lines stay whole.
    pub(crate) fn script(&self, seconds: &str) -> String {
        let path = self.0.display();
        format!("echo start {{}} >>{path}; sleep {seconds}; echo end {{}} >>{path}")
    }

    pub(crate) fn seen(&self) -> BTreeMap<String, Seen> {
        let mut seen: BTreeMap<String, Seen> = BTreeMap::new();
        for line in fs::read_to_string(&self.0).expect("the file").lines() {
            let (what, item) = line.split_once(' ').expect("two words");
            let entry = seen.entry(item.to_owned()).or_default();
            match what {
                "start" => entry.starts += 1,
                "end" => entry.ends += 1,
                other => panic!("a torn line: {other}"),
            }
        }
        seen
    }

    pub(crate) fn starts(&self) -> usize {
        self.seen().values().map(|seen| seen.starts).sum()
    }

    pub(crate) fn ends(&self) -> usize {
        self.seen().values().map(|seen| seen.ends).sum()
    }

    /// Every one of `items` items began once and ended once, and nothing else was heard of.
    pub(crate) fn assert_each_once(&self, items: usize) {
        let once = Seen { starts: 1, ends: 1 };
        let seen = self.seen();
        let odd: Vec<_> = seen.iter().filter(|(_, seen)| **seen != once).take(10).collect();
        assert!(odd.is_empty(), "not once: {odd:?}");
        assert_eq!(seen.len(), items);
    }
}
