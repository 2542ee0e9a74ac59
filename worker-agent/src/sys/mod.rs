//! What the operating system offers, as safe functions: the only place with `unsafe`, an argument beside each block.
//!
//! | file | gives |
//! |---|---|
//! | [`spawn`] | posix_spawn of our own executable, from a process with threads |
//! | [`fork`] | fork, only with a token that says "one thread" |
//! | [`child`] | the way from fork to exec, by raw calls over prepared memory |
//! | [`confine`] | the part of that way that limits what the program may do |
//! | [`trail`] | how far a child has come on that way |
//! | [`users`] | users and groups, as the host's name service knows them |
//! | [`wait`] | reaping, with resource usage |
//! | [`signal`] | masks, signalfd, signals by pidfd |
//! | [`boottime`] | the clock that counts sleep, and an alarm by it |
//! | [`fd`] | sealed memory, pipes, datagrams that carry descriptors |
//!
//! Numbers here are the kernel's (errno, signo, pid); what they mean is decided by the callers.
#![allow(unsafe_code)] // the one place: each block argues for itself

pub(crate) mod boottime;
pub(crate) mod child;
pub(crate) mod confine;
pub(crate) mod fd;
pub(crate) mod fork;
pub(crate) mod signal;
pub(crate) mod spawn;
pub(crate) mod trail;
pub(crate) mod users;
pub(crate) mod wait;

use std::io;

/// The usual C convention: below zero means "see errno".
fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
