//! Against directories of plain files that play the kernel: what is read, what is written, and what becomes of a leaf.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::group::{Group, field};
use super::leaves::Nursery;
use super::limits::{Controllers, change};
use super::{Leaves, Limits};

const ALL: Controllers = Controllers { memory: true, pids: true, cpu: true };
const NONE: Controllers = Controllers { memory: false, pids: false, cpu: false };

/// A kernel that makes groups as directories with their files, and may be busy when one is to go.
#[derive(Debug, Clone)]
struct Fake(Arc<Kernel>);

#[derive(Debug)]
struct Kernel {
    dir: tempfile::TempDir,
    /// How often it still says EBUSY.
    busy: Mutex<u32>,
}

impl Fake {
    fn new() -> Self {
        Self(Arc::new(Kernel { dir: tempfile::tempdir().unwrap(), busy: Mutex::new(0) }))
    }

    fn path(&self, leaf: &str) -> PathBuf {
        self.0.dir.path().join(leaf)
    }

    fn set(&self, leaf: &str, file: &str, text: &str) {
        fs::write(self.path(leaf).join(file), text).unwrap();
    }

    fn get(&self, leaf: &str, file: &str) -> String {
        fs::read_to_string(self.path(leaf).join(file)).unwrap()
    }

    fn leaves(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.dir.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Nursery for Fake {
    fn make(&self, name: &str) -> io::Result<Group> {
        fs::create_dir(self.path(name))?;
        for (file, text) in FILES {
            self.set(name, file, text);
        }
        Group::open(&self.path(name))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut busy = self.0.busy.lock().unwrap();
        if let Some(less) = busy.checked_sub(1) {
            *busy = less;
            return Err(io::ErrorKind::ResourceBusy.into());
        }
        fs::remove_dir_all(self.path(name))
    }
}

/// A leaf as the kernel makes it.
const FILES: [(&str, &str); 11] = [
    ("cgroup.procs", ""),
    ("cgroup.kill", ""),
    ("cgroup.events", "populated 0\nfrozen 0\n"),
    ("memory.max", "max"),
    ("memory.high", "max"),
    ("memory.swap.max", "max"),
    ("memory.oom.group", "0"),
    ("memory.current", "4096\n"),
    ("memory.events", "low 0\nhigh 0\nmax 3\noom 2\noom_kill 2\noom_group_kill 1\n"),
    ("pids.max", "max"),
    ("cpu.weight", "100"),
];

fn fake(offered: Controllers) -> (Fake, Arc<Leaves>) {
    let fake = Fake::new();
    (fake.clone(), Arc::new(Leaves::new(fake, offered)))
}

fn limits(memory_bytes: u64, pids: u32) -> Limits {
    Limits { memory_bytes: Some(memory_bytes), pids: Some(pids), cpu_weight: None }
}

#[test]
fn a_memory_limit_is_four_files_and_its_end_takes_all_of_them_back() {
    let (fake, leaves) = fake(ALL);
    let read = || {
        let files = ["memory.high", "memory.max", "memory.swap.max", "memory.oom.group", "pids.max", "cpu.weight"];
        files.map(|file| fake.get("leaf-1", file))
    };
    let wanted = Limits { cpu_weight: Some(250), ..limits(1000, 64) };
    leaves.hold(&wanted).unwrap().give_back(true);
    assert_eq!(read(), ["900", "1000", "0", "1", "64", "250"]);
    leaves.hold(&Limits::default()).unwrap().give_back(true);
    assert_eq!(read(), ["max", "max", "max", "1", "max", "100"]);
    assert_eq!(fake.leaves(), ["leaf-1"], "the same one");
}

#[test]
fn a_limit_that_did_not_change_is_not_written_again() {
    let (fake, leaves) = fake(ALL);
    leaves.hold(&limits(1000, 64)).unwrap().give_back(true);
    fake.set("leaf-1", "memory.max", "untouched");
    leaves.hold(&limits(1000, 65)).unwrap().give_back(true);
    assert_eq!((fake.get("leaf-1", "memory.max"), fake.get("leaf-1", "pids.max")), ("untouched".into(), "65".into()));
}

#[test]
fn what_no_controller_keeps_is_not_written_and_a_kernel_without_swap_has_no_file_for_it() {
    let (fake, leaves) = fake(NONE);
    assert!(!leaves.limits_memory());
    leaves.hold(&limits(1000, 64)).unwrap().give_back(true);
    assert_eq!((fake.get("leaf-1", "memory.max"), fake.get("leaf-1", "pids.max")), ("max".into(), "max".into()));
    fs::remove_file(fake.path("leaf-1").join("memory.swap.max")).unwrap();
    let group = Group::open(&fake.path("leaf-1")).unwrap();
    change(&group, ALL, &Limits::default(), &limits(10, 1)).unwrap();
    assert_eq!(fake.get("leaf-1", "memory.max"), "10");
}

#[test]
fn a_limit_that_the_kernel_refuses_fails_the_hold_and_costs_the_leaf() {
    let (fake, leaves) = fake(ALL);
    leaves.hold(&Limits::default()).unwrap().give_back(true);
    fs::remove_file(fake.path("leaf-1").join("pids.max")).unwrap();
    assert_eq!(leaves.hold(&limits(10, 1)).unwrap_err().kind(), io::ErrorKind::NotFound);
    assert_eq!(fake.leaves(), [] as [&str; 0]);
}

#[test]
fn held_at_once_they_are_different_and_afterwards_used_again() {
    let (fake, leaves) = fake(NONE);
    let held = [(); 3].map(|()| leaves.hold(&Limits::default()).unwrap());
    assert_eq!(fake.leaves(), ["leaf-1", "leaf-2", "leaf-3"]);
    held.iter().for_each(|hold| hold.give_back(true));
    let again = [(); 3].map(|()| leaves.hold(&Limits::default()).unwrap());
    assert_eq!(fake.leaves(), ["leaf-1", "leaf-2", "leaf-3"]);
    // The first holds have none any more: what they do reaches nobody.
    held.iter().for_each(super::Hold::kill);
    assert!(again.iter().all(|hold| hold.group().is_some_and(|group| group.read("cgroup.kill").unwrap().is_empty())));
    assert!(held.iter().all(|hold| hold.group().is_none() && !hold.is_populated() && !hold.oom_killed()));
}

#[test]
fn one_that_was_killed_or_may_have_been_is_never_used_again() {
    let (fake, leaves) = fake(NONE);
    let hold = leaves.hold(&Limits::default()).unwrap();
    hold.kill();
    assert_eq!(fake.get("leaf-1", "cgroup.kill"), "1");
    hold.give_back(true);
    assert_eq!(fake.leaves(), [] as [&str; 0]);
    leaves.hold(&Limits::default()).unwrap().give_back(false);
    drop(leaves.hold(&Limits::default()).unwrap());
    assert_eq!(fake.leaves(), [] as [&str; 0]);
}

#[test]
fn what_a_tree_left_in_it_keeps_a_leaf_from_the_next() {
    let (fake, leaves) = fake(ALL);
    let hold = leaves.hold(&Limits::default()).unwrap();
    fake.set("leaf-1", "memory.current", "16777217\n");
    hold.give_back(true);
    assert_eq!(fake.leaves(), [] as [&str; 0], "its memory would be the next one's");
    let hold = leaves.hold(&Limits::default()).unwrap();
    fs::create_dir(fake.path("leaf-2").join("of-a-job")).unwrap();
    hold.give_back(true);
    assert_eq!(fake.leaves(), [] as [&str; 0], "a group with groups takes no processes");
}

#[test]
fn one_with_somebody_in_it_is_killed_until_it_is_empty_and_then_removed() {
    let (fake, leaves) = fake(NONE);
    let hold = leaves.hold(&Limits::default()).unwrap();
    fake.set("leaf-1", "cgroup.events", "populated 1\nfrozen 0\n");
    assert!(hold.is_populated());
    hold.give_back(true);
    assert_eq!(fake.get("leaf-1", "cgroup.kill"), "1");
    fake.set("leaf-1", "cgroup.kill", "");
    leaves.tend();
    assert_eq!(fake.get("leaf-1", "cgroup.kill"), "1", "once more");
    let other = leaves.hold(&Limits::default()).unwrap();
    assert_eq!(fake.leaves(), ["leaf-1", "leaf-2"]);
    other.give_back(true);
    fake.set("leaf-1", "cgroup.events", "populated 0\n");
    leaves.tend();
    assert_eq!(fake.leaves(), ["leaf-2"]);
}

#[test]
fn a_busy_kernel_is_asked_again_when_somebody_tends() {
    let (fake, leaves) = fake(NONE);
    *fake.0.busy.lock().unwrap() = 2;
    drop(leaves.hold(&Limits::default()).unwrap());
    leaves.tend();
    assert_eq!(fake.leaves(), ["leaf-1"]);
    leaves.tend();
    assert_eq!(fake.leaves(), [] as [&str; 0]);
}

#[test]
fn a_name_that_is_taken_is_passed_over_and_a_free_leaf_that_somebody_removed_is_not_given() {
    let (fake, leaves) = fake(NONE);
    fs::create_dir(fake.path("leaf-1")).unwrap();
    leaves.hold(&Limits::default()).unwrap().give_back(true);
    assert_eq!(fake.leaves(), ["leaf-1", "leaf-2"]);
    fs::remove_dir_all(fake.path("leaf-2")).unwrap();
    let _held = leaves.hold(&Limits::default()).unwrap();
    assert_eq!(fake.leaves(), ["leaf-1", "leaf-3"]);
}

#[test]
fn an_oom_kill_is_one_that_came_since_the_leaf_was_taken() {
    let (fake, leaves) = fake(ALL);
    let hold = leaves.hold(&limits(1000, 1)).unwrap();
    assert!(!hold.oom_killed(), "those before were somebody else's");
    fake.set("leaf-1", "memory.events", "low 0\nhigh 0\nmax 9\noom 9\noom_kill 2\noom_group_kill 1\n");
    assert!(!hold.oom_killed(), "reaching the limit is no kill");
    fake.set("leaf-1", "memory.events", "oom 10\noom_kill 3\noom_group_kill 2\n");
    assert!(hold.oom_killed());
    hold.give_back(true);
    assert!(!leaves.hold(&limits(1000, 1)).unwrap().oom_killed());
}

#[test]
fn without_a_controller_no_oom_kill_is_claimed() {
    let (fake, leaves) = fake(NONE);
    let hold = leaves.hold(&Limits::default()).unwrap();
    fake.set("leaf-1", "memory.events", "oom_kill 9\n");
    assert!(!hold.oom_killed());
}

#[test]
fn files_are_read_field_by_field_and_nonsense_is_no_answer() {
    assert_eq!(field("populated 1\nfrozen 0\n", "populated"), Some(1));
    assert_eq!(field("oom 4\noom_kill 7\n", "oom_kill"), Some(7));
    assert_eq!(field("oom_kill\n", "oom_kill"), None);
    assert_eq!(Controllers::parse("cpuset cpu io memory hugetlb pids\n"), ALL);
    assert_eq!(Controllers::parse("hugetlb cpuset\n"), NONE);
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("cgroup.events"), "frozen 0\n").unwrap();
    assert!(Group::open(dir.path()).unwrap().is_populated().is_err(), "then nobody may take it for empty");
    assert!(Group::open(Path::new("/no/such")).is_err());
}
