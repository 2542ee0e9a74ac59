//! What a tree has in memory, by /proc: the sum of its processes' resident sets.
//!
//! A page that several of them share counts in each, so this is never below what the tree takes, and above it where workers
//! were forked from a large parent. What is exact (PSS) costs a walk through every page table, each half second.

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::sync::Arc;

use rustix::process::Pid;

use crate::warden::{Seen, Snapshot};

/// Who is in a tree.
#[derive(Debug)]
pub(crate) enum Members {
    /// All that is below this process, without itself.
    Below(Pid),
    /// These, by the word of their control group.
    These(Vec<i32>),
}

/// How to find a tree, now and again.
#[derive(Clone)]
pub struct Tree(Arc<dyn Fn() -> Option<Members> + Send + Sync>);

impl Tree {
    /// `find` says who is in it, or that it is gone.
    pub(crate) fn new(find: impl Fn() -> Option<Members> + Send + Sync + 'static) -> Self {
        Self(Arc::new(find))
    }
}

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tree").field(&(self.0)()).finish()
    }
}

/// One look at all processes, for any number of trees.
#[derive(Debug)]
pub(crate) struct Look(Snapshot);

impl Look {
    /// # Errors
    /// Where /proc cannot be read.
    pub(crate) fn take() -> io::Result<Self> {
        Snapshot::take().map(Self)
    }

    /// Bytes that `tree` had in memory; None where it was gone.
    pub(crate) fn bytes_of(&self, tree: &Tree) -> Option<u64> {
        Some(match (tree.0)()? {
            Members::Below(root) => bytes(&self.0.below(root, &HashSet::new())),
            Members::These(pids) => bytes(&self.0.these(&pids)),
        })
    }
}

fn bytes(processes: &[Seen]) -> u64 {
    let pages: u64 = processes.iter().map(|seen| seen.resident_pages).sum();
    pages.saturating_mul(rustix::param::page_size() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_adds_up_this_process_and_nothing_of_a_tree_that_is_gone() {
        let me = rustix::process::getpid();
        let parent = rustix::process::getppid();
        let look = Look::take().unwrap();
        let own = look.0.all().iter().find(|seen| seen.pid == me).copied().unwrap();
        let page = rustix::param::page_size() as u64;
        assert_eq!(bytes(&[own, own]), own.resident_pages * page * 2);
        let tree = Tree::new(move || parent.map(Members::Below));
        assert!(look.bytes_of(&tree).unwrap() >= own.resident_pages * page, "we are below our parent");
        let listed = Tree::new(move || Some(Members::These(vec![me.as_raw_pid()])));
        assert_eq!(look.bytes_of(&listed), Some(own.resident_pages * page));
        assert_eq!(look.bytes_of(&Tree::new(|| None)), None);
    }
}
