//! A leader's own confinement: system calls over memory prepared before the fork, in an order in which each step still has the right
//! to be taken.
//!
//! ```text
//! oom score ─► niceness ─► limits ─► umask ─► ambient capabilities, groups, gid, uid ─► no new privileges
//! ```
//! What follows (working directory, program) is looked up with the user's rights and no more.

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{self, Gid, Resource as Kernels, Rlimit, Uid};
use rustix::thread;

use crate::process::{Confinement, Limit, Resource, Stage, User};

/// A confinement with all that its steps point at.
pub(crate) struct Steps<'a> {
    confinement: &'a Confinement,
    groups: Vec<Gid>,
}

impl<'a> Steps<'a> {
    /// Before the fork: this allocates.
    pub(crate) fn new(confinement: &'a Confinement) -> Self {
        let groups = confinement.user.iter().flat_map(|user| user.groups.iter().copied().map(Gid::from_raw)).collect();
        Self { confinement, groups }
    }

    /// In the child: no allocation, no lock. The error is the stage with its errno.
    pub(super) fn take(&self) -> Result<(), (Stage, Errno)> {
        let Confinement { oom_score_adj, nice, limits, umask, user, no_new_privs } = self.confinement;
        if let Some(score) = oom_score_adj {
            set_oom_score(*score).map_err(|errno| (Stage::OomScore, errno))?;
        }
        if *nice != 0 {
            be_nice(*nice).map_err(|errno| (Stage::Nice, errno))?;
        }
        limits.iter().try_for_each(set_limit).map_err(|errno| (Stage::Limits, errno))?;
        if let Some(mask) = umask {
            process::umask(Mode::from_raw_mode(*mask));
        }
        if let Some(user) = user {
            self.become_user(user).map_err(|errno| (Stage::User, errno))?;
        }
        if *no_new_privs {
            thread::set_no_new_privs(true).map_err(|errno| (Stage::Privileges, errno))?;
        }
        Ok(())
    }

    /// Groups while there is still the right to, the user last. By the raw calls: libc's would first look for other threads.
    fn become_user(&self, user: &User) -> Result<(), Errno> {
        // Of an agent that has its rights by ambient capabilities and not as root, a change of user takes none. Kernels before 4.3
        // have no such set.
        let _ = thread::clear_ambient_capability_set();
        let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
        thread::set_thread_groups(&self.groups)?;
        thread::set_thread_res_gid(gid, gid, gid)?;
        thread::set_thread_res_uid(uid, uid, uid)
    }
}

fn set_oom_score(score: i32) -> Result<(), Errno> {
    let file = rustix::fs::open(c"/proc/self/oom_score_adj", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut text = [0; DECIMAL_MAX];
    rustix::io::write(&file, decimal(score, &mut text)).map(drop)
}

/// Longest decimal of an `i32`, with its sign.
const DECIMAL_MAX: usize = 11;

/// The number as text, at the end of `text`.
fn decimal(number: i32, text: &mut [u8; DECIMAL_MAX]) -> &[u8] {
    let (mut rest, mut at) = (number.unsigned_abs(), DECIMAL_MAX);
    while at == DECIMAL_MAX || rest > 0 {
        at -= 1;
        text[at] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
    }
    if number < 0 {
        at -= 1;
        text[at] = b'-';
    }
    &text[at..]
}

/// Relative, so that an agent that was made nicer passes that on. A session may be scheduled as one among sessions, by its own
/// niceness (autogroup); the process's then says nothing to others, so the session is given the same.
fn be_nice(more: i32) -> Result<(), Errno> {
    let nice = (process::getpriority_process(None)? + more).clamp(-20, 19);
    process::setpriority_process(None, nice)?;
    let session = rustix::fs::open(c"/proc/self/autogroup", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty());
    if let Ok(session) = session {
        let mut text = [0; DECIMAL_MAX];
        // Refused more than ten times a second without privileges; then it is the process alone that is nice.
        let _ = rustix::io::write(&session, decimal(nice, &mut text));
    }
    Ok(())
}

fn set_limit(limit: &Limit) -> Result<(), Errno> {
    let resource = kernels(limit.resource);
    let now = process::getrlimit(resource);
    let maximum = least(limit.hard, now.maximum);
    let current = least(limit.soft.or(now.current), maximum);
    process::setrlimit(resource, Rlimit { current, maximum })
}

/// The lower of two limits, None being none.
fn least(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        _ => one.or(other),
    }
}

fn kernels(resource: Resource) -> Kernels {
    match resource {
        Resource::Core => Kernels::Core,
        Resource::Nofile => Kernels::Nofile,
        Resource::Fsize => Kernels::Fsize,
        Resource::Cpu => Kernels::Cpu,
        Resource::Data => Kernels::Data,
        Resource::Stack => Kernels::Stack,
        Resource::Memlock => Kernels::Memlock,
        Resource::Nproc => Kernels::Nproc,
        Resource::AddressSpace => Kernels::As,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_written_as_people_write_it() {
        for number in [0, 5, 500, -17, 1000, i32::MAX, i32::MIN] {
            assert_eq!(decimal(number, &mut [0; DECIMAL_MAX]), number.to_string().as_bytes());
        }
    }

    #[test]
    fn no_limit_is_above_every_limit() {
        assert_eq!([least(Some(1), Some(2)), least(None, Some(2)), least(Some(1), None)], [Some(1), Some(2), Some(1)]);
        assert_eq!(least(None, None), None);
    }
}
