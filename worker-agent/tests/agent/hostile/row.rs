//! What a row says.

use std::path::Path;
use std::time::Duration;

use windlass_shared::domain::{AttemptState, ExitStatus, Outcome, Proof, Reason};
use windlass_shared::pb;

use super::site::Site;
use crate::{bytes, exec, millis};

/// A look at what is left, after the outcome.
pub(super) type Look = fn(&Site, &Outcome);

/// One hostile program, and what must come of it.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) work: Work,
    /// Called only once the agent's log says this.
    pub(super) called_after: Option<(&'static str, Duration)>,
    /// Cancelled once its standard output says this.
    pub(super) cancel_after: Option<&'static str>,
    pub(super) wants: Wants,
    /// It takes its neighbour down with it, by design.
    pub(super) costs_the_neighbour: bool,
    /// Nothing else runs on its agent.
    pub(super) alone: bool,
    pub(super) rounds: usize,
    /// Makes what it needs in the test's directory, which its arguments know as DIR.
    pub(super) makes: Option<fn(&Path)>,
    pub(super) looks: Option<Look>,
}

pub(super) enum Work {
    Command(Box<pb::JobSpec>),
    /// A worker in sh, of what is in [`calls`](super::calls); past its end it is a good one.
    Worker(String),
}

/// How it ends.
pub(super) struct Wants {
    pub(super) state: AttemptState,
    pub(super) reason: Option<Reason>,
    /// None: there is no process to tell of, or it does not matter how that left.
    pub(super) status: Option<ExitStatus>,
    pub(super) proofs: &'static [Proof],
    pub(super) detail: Option<&'static str>,
    /// From the assignment to the end.
    pub(super) within: Duration,
}

impl Row {
    fn new(name: &'static str, work: Work) -> Self {
        let wants = Wants {
            state: AttemptState::Succeeded,
            reason: None,
            status: None,
            proofs: &[Proof::Keeper],
            detail: None,
            within: Duration::from_secs(15),
        };
        let (costs_the_neighbour, alone) = (false, false);
        Self {
            name,
            work,
            called_after: None,
            cancel_after: None,
            wants,
            costs_the_neighbour,
            alone,
            rounds: 1,
            makes: None,
            looks: None,
        }
    }

    pub(super) fn command(name: &'static str, argv: &[&str]) -> Self {
        let spec = pb::JobSpec { stop_grace: Some(millis(200)), ..exec(argv) };
        Self::new(name, Work::Command(Box::new(spec))).exits(0)
    }

    pub(super) fn sh(name: &'static str, script: &str) -> Self {
        Self::command(name, &["sh", "-c", script])
    }

    pub(super) fn python(name: &'static str, script: &str) -> Self {
        Self::command(name, &["python3", "-S", "-c", script])
    }

    pub(super) fn worker(name: &'static str, script: &str) -> Self {
        Self::new(name, Work::Worker(script.to_owned()))
    }

    pub(super) fn cancelled_after(mut self, text: &'static str) -> Self {
        self.cancel_after = Some(text);
        self.ends(AttemptState::Cancelled, Reason::CancelRequested).by_signal(9)
    }

    pub(super) fn called_after(mut self, text: &'static str, within: Duration) -> Self {
        self.called_after = Some((text, within));
        self
    }

    pub(super) fn times_out(mut self) -> Self {
        if let Work::Command(spec) = &mut self.work {
            spec.run_timeout = Some(millis(500));
        }
        self.ends(AttemptState::TimedOut, Reason::RunTimeout).by_signal(9)
    }

    pub(super) fn ends(mut self, state: AttemptState, reason: Reason) -> Self {
        (self.wants.state, self.wants.reason) = (state, Some(reason));
        self
    }

    pub(super) fn exits(mut self, code: u8) -> Self {
        self.wants.status = Some(ExitStatus::Code(code));
        if code == 0 { self } else { self.ends(AttemptState::Failed, Reason::ExitCode) }
    }

    /// A worker's code, which is no answer.
    pub(super) fn leaves_with(mut self, code: u8) -> Self {
        self.wants.status = Some(ExitStatus::Code(code));
        self
    }

    /// Its own doing, or that of an order where one of the above goes before.
    pub(super) fn by_signal(mut self, number: u8) -> Self {
        self.wants.status = Some(ExitStatus::Signal { number, core_dumped: false });
        self
    }

    pub(super) fn dies_of(self, number: u8) -> Self {
        self.ends(AttemptState::Failed, Reason::Signal).by_signal(number)
    }

    /// How its process left is no matter, or not known.
    pub(super) fn anyhow(mut self) -> Self {
        self.wants.status = None;
        self
    }

    pub(super) fn supervision_is_lost(mut self) -> Self {
        self.wants.proofs = &[Proof::Swept];
        self.wants.status = Some(ExitStatus::Unknown);
        self.ends(AttemptState::Interrupted, Reason::SupervisorLost)
    }

    pub(super) fn breaks_the_protocol(mut self, how: &'static str) -> Self {
        self.wants.detail = Some(how);
        self.ends(AttemptState::Failed, Reason::WorkerProtocol)
    }

    pub(super) fn does_not_start(mut self, detail: &'static str) -> Self {
        (self.wants.status, self.wants.detail) = (None, Some(detail));
        self.ends(AttemptState::Failed, Reason::SpawnFailed)
    }

    pub(super) fn within(mut self, within: Duration) -> Self {
        self.wants.within = within;
        self
    }

    pub(super) fn costs_the_neighbour(mut self) -> Self {
        self.costs_the_neighbour = true;
        self
    }

    pub(super) fn alone(mut self) -> Self {
        self.alone = true;
        self
    }

    pub(super) fn rounds(mut self, rounds: usize) -> Self {
        self.rounds = rounds;
        self
    }

    pub(super) fn makes(mut self, makes: fn(&Path)) -> Self {
        self.makes = Some(makes);
        self
    }

    pub(super) fn looks(mut self, look: Look) -> Self {
        self.looks = Some(look);
        self
    }

    pub(super) fn in_cwd(mut self, cwd: &str) -> Self {
        if let Some(exec) = self.exec() {
            exec.cwd = cwd.into();
        }
        self
    }

    fn exec(&mut self) -> Option<&mut pb::Exec> {
        let Work::Command(spec) = &mut self.work else { return None };
        match &mut spec.work {
            Some(pb::job_spec::Work::Exec(exec)) => Some(exec),
            _ => None,
        }
    }

    /// As it is assigned, in this directory.
    pub(super) fn spec(&mut self, dir: &Path) -> Vec<u8> {
        let here = |text: &mut String| *text = text.replace("DIR", dir.to_str().unwrap());
        if let Some(exec) = self.exec() {
            exec.argv.iter_mut().for_each(here);
            here(&mut exec.cwd);
        }
        let Work::Command(spec) = &self.work else { panic!("{} is a worker's", self.name) };
        bytes(spec)
    }
}

impl Wants {
    pub(super) fn check(&self, name: &str, outcome: &Outcome) {
        assert_eq!((outcome.state, outcome.reason), (self.state, self.reason), "{name}: {outcome:?}");
        if let Some(detail) = self.detail {
            let said = outcome.detail.as_deref().unwrap_or_default();
            assert!(said.contains(detail), "{name}: {said:?}");
        }
        if let Some(exit) = &outcome.exit {
            assert!(self.proofs.contains(&exit.proof), "{name}: {exit:?}");
        }
        let Some(wanted) = self.status else { return };
        let exit = outcome.exit.as_ref().unwrap_or_else(|| panic!("{name}: no exit"));
        assert_eq!(exit.status, wanted, "{name}");
    }
}
