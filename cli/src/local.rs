//! `run --local`: a throw-away coordinator and agents, [`Member`]s in a temporary directory.
//!
//! Where a lifeline ends, the child removes its own directory and tries to remove the one all share; so nothing stays
//! behind, however we go.

use std::ffi::OsStr;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};
use windlass_shared::pb;

use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::member::{Log, Member};
use crate::output::interject;

/// Starting takes a fraction of a second; a loaded machine may need a few.
const START_LIMIT: Duration = Duration::from_secs(30);
/// Stopping takes a moment. At worst, with a job that does not die, an agent kills, waits for the proof, gives its last words a
/// second and its warden as long again: 35 s by its own rules.
const STOP_LIMIT: Duration = Duration::from_secs(40);
/// How often we look whether the agents are there, and whether a child is gone.
const POLL: Duration = Duration::from_millis(20);

/// The cluster. Dropping it lets go of the lifelines, and the children end by themselves.
#[derive(Debug)]
pub(crate) struct Cluster {
    home: TempDir,
    coordinator: Option<Member>,
    agents: Vec<Member>,
}

impl Cluster {
    /// An empty one.
    pub(crate) fn new() -> Result<Self, Failure> {
        // What is in there is the caller's alone.
        let mode = Permissions::from_mode(0o700);
        let home = tempfile::Builder::new().prefix("windlass-").permissions(mode).tempdir();
        let home = home.map_err(|err| Failure::io("make a temporary directory", &err))?;
        Ok(Self { home, coordinator: None, agents: Vec::new() })
    }

    /// Starts everybody; returns once every agent is connected.
    pub(crate) async fn start(&mut self, agents: usize, slots: u32) -> Result<Client, Failure> {
        let outcome = match timeout(START_LIMIT, self.bring_up(agents, slots)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(failed(&format!("it was not ready within {} s", START_LIMIT.as_secs()))),
        };
        outcome.map_err(|failure| failure.because(self.logs()))
    }

    async fn bring_up(&mut self, agents: usize, slots: u32) -> Result<Client, Failure> {
        let url = self.start_coordinator().await?;
        for number in 1..=agents {
            self.start_agent(number, slots, &url)?;
        }
        let client = Client::connect(&url, None).await?;
        loop {
            let known =
                client.list_agents().await.map_err(|status| client.failure("list the local agents", &status))?;
            if known.iter().filter(|agent| agent.state() == pb::agent::State::Connected).count() == agents {
                return Ok(client);
            }
            if let Some(gone) = self.members().find_map(Member::gone) {
                return Err(failed(&gone));
            }
            sleep(POLL).await;
        }
    }

    async fn start_coordinator(&mut self) -> Result<String, Failure> {
        let data = self.home.path().join("coordinator");
        let args = ["__coordinator", "--listen", "127.0.0.1:0", "--lifeline", "--ephemeral", "--data"].map(OsStr::new);
        let args = args.into_iter().chain([data.as_os_str()]);
        let log = Log::Kept(self.home.path());
        let member = self.coordinator.insert(Member::start("coordinator", args, Stdio::piped(), log)?);
        member.listening().await.map_err(|why| failed(&why))
    }

    fn start_agent(&mut self, number: usize, slots: u32, url: &str) -> Result<(), Failure> {
        let name = format!("local-{number}");
        let data = self.home.path().join(format!("agent-{number}"));
        let slots = slots.to_string();
        let args = ["__agent", "--coordinator", url, "--name", &name, "--slots", &slots];
        // What runs is the caller's own, with all that the caller may do.
        let args = args
            .into_iter()
            .chain(["--unconfined", "--lifeline", "--ephemeral"])
            .map(OsStr::new)
            .chain([OsStr::new("--data"), data.as_os_str()]);
        self.agents.push(Member::start(&name, args, Stdio::null(), Log::Kept(self.home.path()))?);
        Ok(())
    }

    /// Comes back where the cluster can no longer finish anything: its coordinator or all of its agents are gone. Tells of
    /// each agent that goes before.
    pub(crate) async fn crashed(&mut self) -> Failure {
        let mut told = 0;
        loop {
            sleep(POLL * 10).await;
            let coordinator = self.coordinator.as_mut().and_then(Member::gone);
            let gone: Vec<String> = self.agents.iter_mut().filter_map(Member::gone).collect();
            let all_gone = (gone.len() == self.agents.len()).then(|| gone.join(", "));
            if let Some(gone) = coordinator.or(all_gone) {
                let what = format!("the local cluster broke down: {gone}");
                return Failure::new(Exit::OTHER, "LOCAL_CLUSTER", what).because(self.logs());
            }
            if gone.len() > told {
                told = gone.len();
                interject(&format!("{}; the others take over once its silence is proof", gone.join(", ")));
            }
        }
    }

    /// Ends everybody, agents first so that they can still take their leave, and removes every trace.
    pub(crate) async fn close(mut self) {
        end(&mut self.agents, Instant::now() + STOP_LIMIT).await;
        // A time of its own: slow agents must not cost the coordinator its leave.
        end(self.coordinator.as_mut_slice(), Instant::now() + STOP_LIMIT).await;
        let path = self.home.path().to_owned();
        // The last child has usually removed it already.
        if let Err(err) = self.home.close()
            && err.kind() != std::io::ErrorKind::NotFound
        {
            interject(&format!("cannot remove {}: {err}", path.display()));
        }
    }

    /// Leaves at once: the children end and clear up by themselves, as they would had we been killed.
    pub(crate) fn abandon(self) {
        // Kept by us, so that our removal does not run into theirs.
        let _ = self.home.keep();
    }

    fn members(&mut self) -> impl Iterator<Item = &mut Member> {
        self.coordinator.iter_mut().chain(&mut self.agents)
    }

    fn logs(&self) -> Vec<String> {
        self.coordinator.iter().chain(&self.agents).flat_map(Member::log_lines).collect()
    }
}

async fn end(members: &mut [Member], deadline: Instant) {
    members.iter_mut().for_each(Member::let_go);
    for member in members {
        member.end_by(deadline).await;
    }
}

fn failed(why: &str) -> Failure {
    Failure::new(Exit::OTHER, "LOCAL_CLUSTER", format!("cannot start the local cluster: {why}"))
}
