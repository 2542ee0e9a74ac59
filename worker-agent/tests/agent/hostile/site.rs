//! An agent with a neighbour on it, and who lives there.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use windlass_shared::domain::{AttemptState, ExitStatus, Lease, News, Outcome, Proof};

use crate::fake::{Fake, Stream};
use crate::{Agent, bytes, eventually, fifo, lease, open_gate, sh};

pub(super) const NEIGHBOUR: u64 = 1_000;

pub(super) struct Site {
    pub(super) fake: Fake,
    pub(super) agent: Agent,
    pub(super) stream: Stream,
    /// Ends that were told while another was waited for.
    ends: BTreeMap<Lease, Outcome>,
    /// Processes below the agent before anything hostile ran.
    before: BTreeSet<i32>,
}

/// A process below the agent.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) pid: i32,
    parent: i32,
    name: String,
    dead: bool,
}

impl Site {
    /// Once its neighbour runs, where there is one.
    pub(super) async fn open(fake: Fake, agent: Agent, stream: Stream, neighbour: bool) -> Self {
        let (ends, before) = (BTreeMap::new(), BTreeSet::new());
        let mut site = Self { fake, agent, stream, ends, before };
        if neighbour {
            let gate = fifo(&site.agent, "gate");
            let script = format!("echo up; read line < {}; echo done", gate.display());
            site.stream.assign(lease(NEIGHBOUR), &bytes(&sh(&script))).await;
            site.stream.started(lease(NEIGHBOUR)).await;
            site.fake.logs.says(lease(NEIGHBOUR), "up").await;
        }
        site.before = site.living().iter().map(|process| process.pid).collect();
        site
    }

    /// The end of this attempt. Of others only ends may be told meanwhile.
    pub(super) async fn end_of(&mut self, wanted: Lease, within: Duration) -> Outcome {
        let deadline = tokio::time::Instant::now() + within;
        loop {
            if let Some(outcome) = self.ends.remove(&wanted) {
                return outcome;
            }
            let item = tokio::time::timeout_at(deadline, self.stream.news()).await;
            let item = item.unwrap_or_else(|_| panic!("no end within {within:?}; alive: {:?}", self.living()));
            match item.news {
                News::Started(_) => {}
                News::Ended(outcome) => assert_eq!(self.ends.insert(item.lease, *outcome), None),
                News::Returned(reason) => panic!("{:?} came back: {reason:?}", item.lease),
            }
        }
    }

    /// Runs to its own end, whatever went on beside it.
    pub(super) async fn finish_neighbour(&mut self) {
        assert!(!self.ends.contains_key(&lease(NEIGHBOUR)), "the neighbour is gone: {:?}", self.ends);
        open_gate(self.agent.dir().join("gate")).await;
        let outcome = self.end_of(lease(NEIGHBOUR), Duration::from_secs(10)).await;
        assert_eq!((outcome.state, outcome.stdout_bytes), (AttemptState::Succeeded, 8));
        let exit = outcome.exit.unwrap();
        assert_eq!((exit.status, exit.proof), (ExitStatus::Code(0), Proof::Keeper));
    }

    pub(super) async fn leave(mut self) {
        assert!(self.ends.is_empty(), "more ended than was begun: {:?}", self.ends);
        self.agent.finish(&mut self.stream).await;
    }

    /// All below the agent, which is a subreaper: nobody leaves it alive. And whoever carries its cookie anywhere else.
    pub(super) fn living(&self) -> Vec<Process> {
        let all = Process::all();
        let mut below = BTreeSet::from([self.agent.pid().cast_signed()]);
        // A parent may have a larger number than its child.
        while all.iter().any(|process| below.contains(&process.parent) && below.insert(process.pid)) {}
        let cookie = format!("WINDLASS_AGENT_ID={}", self.stream.hello.id);
        let is_ours = |process: &Process| below.contains(&process.pid) || process.has(&cookie);
        let me = self.agent.pid().cast_signed();
        all.into_iter().filter(|process| !process.dead && process.pid != me && is_ours(process)).collect()
    }

    /// What nobody but the hostile one can have started. Its supervision may need another moment to leave.
    pub(super) fn strangers(&self) -> Vec<Process> {
        let is_strange = |process: &Process| {
            !self.before.contains(&process.pid) && !["windlass-keeper", "windlass-warden"].contains(&&*process.name)
        };
        self.living().into_iter().filter(is_strange).collect()
    }

    /// All as it was: no process more, and none less.
    pub(super) async fn is_as_before(&self) {
        let same = || self.living().iter().map(|process| process.pid).collect::<BTreeSet<_>>() == self.before;
        if !same() {
            eventually("the processes are those from before", same).await;
        }
    }

    /// As many processes as before, where some were replaced.
    pub(super) async fn has_as_many_as_before(&self) {
        eventually("there are as many processes as before", || self.living().len() == self.before.len()).await;
    }
}

impl Process {
    fn all() -> Vec<Self> {
        let numbers = std::fs::read_dir("/proc").unwrap();
        numbers.filter_map(|entry| Self::read(entry.ok()?.file_name().to_str()?.parse().ok()?)).collect()
    }

    fn read(pid: i32) -> Option<Self> {
        let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
        let stat = String::from_utf8_lossy(&stat);
        let (name, rest) = stat.split_once('(')?.1.rsplit_once(") ")?;
        let mut fields = rest.split(' ');
        let state = fields.next()?;
        let parent = fields.next()?.parse().ok()?;
        // A first thread that has left looks like a dead process while the others run on.
        let threads: u32 = fields.nth(15)?.parse().ok()?;
        Some(Self { pid, parent, name: name.to_owned(), dead: matches!(state, "Z" | "X") && threads <= 1 })
    }

    fn has(&self, variable: &str) -> bool {
        let environ = std::fs::read(format!("/proc/{}/environ", self.pid)).unwrap_or_default();
        environ.split(|byte| *byte == 0).any(|one| one == variable.as_bytes())
    }
}
