//! The process side: one small single-threaded process that forks every job, and one keeper a job that owns its tree.
//!
//! ```text
//!  agent (threads, tokio; subreaper)
//!    │ posix_spawn; Spawn down, Report up; its end of the socket closing means: kill everything and leave
//!  warden (one thread, subreaper) ── fork ──► keeper (subreaper), one an attempt ── fork ──► leader ──► its descendants
//!    ▲                                          │  ▲                                        │
//!    └───────── Report, one shared socket ──────┘  └───────── orphans, exits, ECHILD ───────┘
//! ```
//! Who kills what when somebody dies:
//!
//! | dead | noticed by | and then |
//! |---|---|---|
//! | leader | its keeper | survivors get a grace, then are killed until ECHILD: proof Keeper |
//! | keeper | warden (SIGCHLD) | leader dies by PDEATHSIG; the warden inherits the rest and sweeps: proof Swept |
//! | warden | keepers (socket) and agent | keepers kill their trees; the agent inherits and sweeps: proof Swept |
//! | agent | warden (socket) | every keeper is told to kill; the warden leaves when it has no child left |
//! | warden and agent | keepers | each kills its tree and leaves |
//!
//! A control group may hold a tree as well ([`containment`](crate::containment)); agent, warden and keeper hold it too, and each kills
//! by it. Keepers are in none of those: they outlive the kill, and say how the leader ended.
//!
//! Who is stopped (SIGSTOP), which a job can do to whatever runs as its user, is made to go on: a keeper by the warden, the warden by
//! the agent, and either by the kernel when its parent dies (PDEATHSIG is SIGCONT). Whoever is stopped without end is given up, with
//! what it supervised, as if it had died. A stopped *agent* is left as it is: that may be an operator's wish, and what must not outlive
//! it is fenced.
//!
//! What is fenced does not outlive the agent's lease, whatever the agent does: [`fence`].
//!
//! - [`wire`] the datagrams · [`spec`] what to start, as bytes, and [`confine`] how · [`ward`] the warden's loop, over its
//!   [`keepers`] · [`orphans`] what
//!   dead keepers left · [`errand`] a request and the fork of its leader · [`keeper`] one attempt, with its
//!   [`phase`] and its control group, the [`cage`] · [`outbox`] what waits for room · [`tree`] finding and killing
//!   what is below a process.
//!
//! Not here: tokio, threads, jobs, files, time limits of jobs. The agent's side of the conversation is
//! [`process`](crate::process).

mod cage;
mod confine;
mod errand;
mod fence;
mod keeper;
mod keepers;
mod orphans;
mod outbox;
mod phase;
mod spec;
mod tree;
mod ward;
mod wire;

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;
use std::time::Duration;

pub(crate) use spec::encode as encode_spec;
pub(crate) use tree::{Seen, Snapshot, Swept, sweep};
pub(crate) use wire::{DATAGRAM_MAX, Report, Request, Ticket};

use crate::sys::fork::SingleThread;
use crate::sys::spawn::FIRST_PASSED_FD;

/// The first argument that makes an executable of ours a warden.
pub const ROLE: &str = "__warden";

/// Where the warden finds its end of the agent's socket.
pub(crate) const AGENT_FD: i32 = FIRST_PASSED_FD;
/// Where it finds the agent's lock, if it was given one.
pub(crate) const LOCK_FD: i32 = FIRST_PASSED_FD + 1;

/// Tells a keeper to kill its tree. SIGTERM, so that an operator and the agent say the same.
pub(crate) const KILL_TREE: i32 = libc::SIGTERM;

/// Tells a keeper to signal its tree with the number queued beside it.
pub(crate) fn signal_tree() -> i32 {
    libc::SIGRTMIN()
}

/// How long things may take; the same for every attempt of one warden.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// From fork to exec.
    pub(crate) start: Duration,
    /// From the leader's end to the kill of what survives it.
    pub(crate) grace: Duration,
    /// From a kill to the word that it has not worked.
    pub(crate) proof: Duration,
}

impl Limits {
    /// As arguments after [`ROLE`], in milliseconds.
    pub(crate) fn to_args(self) -> [String; 3] {
        [self.start, self.grace, self.proof].map(|limit| limit.as_millis().to_string())
    }

    fn from_args(args: &[OsString]) -> Option<Self> {
        let millis = |arg: &OsString| arg.to_str()?.parse().ok().map(Duration::from_millis);
        let [start, grace, proof] = args else {
            return None;
        };
        Some(Self { start: millis(start)?, grace: millis(grace)?, proof: millis(proof)? })
    }
}

/// Plays the warden; `args` are those after [`ROLE`]. Only [`process::Warden`](crate::process::Warden) starts it: it expects
/// the agent's socket as descriptor 3.
#[must_use]
pub fn main(args: &[OsString]) -> ExitCode {
    // Unwinding out of a keeper would end in the warden's frames, of which it holds a copy: nothing may unwind here.
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::abort();
    }));
    let Some(limits) = Limits::from_args(args) else {
        eprintln!("windlass-warden: started by hand? It is a part of the agent and takes no user");
        return ExitCode::from(2);
    };
    match run(limits) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("windlass-warden: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(limits: Limits) -> io::Result<()> {
    crate::sys::signal::block_all();
    crate::sys::signal::default_all();
    let thread = SingleThread::check()?;
    let agent = thread.inherited(AGENT_FD)?;
    // Held by the warden and every keeper, and so until the last tree is gone: whoever gets it next finds the host clean.
    let lock = thread.inherited(LOCK_FD).ok();
    thread.close_from(LOCK_FD + 1);
    // The socket tells of the agent's end. What it takes is that we run: a job may have stopped us. That the signal also comes when
    // only the thread ends that started us does no harm.
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::CONT))?;
    // Not in the way of a umount, and no job can come to depend on it.
    rustix::process::chdir("/")?;
    rustix::thread::set_name(c"windlass-warden")?;
    ward::Ward::new(thread, agent, lock, limits)?.run()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_survive_the_command_line() {
        let limits = Limits {
            start: Duration::from_secs(10),
            grace: Duration::from_millis(1500),
            proof: Duration::from_secs(9),
        };
        let args = limits.to_args().map(OsString::from);
        assert_eq!(Limits::from_args(&args), Some(limits));
        assert_eq!(Limits::from_args(&args[..2]), None);
        assert_eq!(Limits::from_args(&["a", "1", "2"].map(OsString::from)), None);
    }
}
