//! A coordinator and agents as real processes, beside this executable; gone with it.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tonic::transport::{Channel, Endpoint};
use windlass_shared::pb;
use windlass_shared::pb::fleet_service_client::FleetServiceClient;
use windlass_shared::pb::job_service_client::JobServiceClient;
use windlass_worker_agent::containment::Choice;

const START_MAX: Duration = Duration::from_secs(30);

pub(crate) struct Cluster {
    home: TempDir,
    members: Vec<Child>,
    channel: Channel,
}

/// Starts a coordinator with its record in `home`; its address, once it serves.
fn start_coordinator(home: &Path) -> Result<(Child, String), OsString> {
    let mut command = Command::new(sibling("windlass-coordinator")?);
    command.arg("--data").arg(home.join("coordinator")).args(["--listen", "127.0.0.1:0"]);
    start_server(&mut command)
}

/// Starts what says `listening on URL` once it serves; that URL.
pub(crate) fn start_server(command: &mut Command) -> Result<(Child, String), OsString> {
    let mut server = start(command.stdout(Stdio::piped()))?;
    let mut line = String::new();
    if let Some(stdout) = &mut server.stdout {
        BufReader::new(stdout).read_line(&mut line).map_err(|err| format!("a server: {err}"))?;
    }
    match line.trim().strip_prefix("listening on ") {
        Some(url) => Ok((server, url.to_owned())),
        None => Err(format!("{} did not start", command.get_program().display()).into()),
    }
}

pub(crate) async fn connect(url: &str) -> Result<Channel, OsString> {
    let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|err| err.to_string())?;
    endpoint.connect().await.map_err(|err| err.to_string().into())
}

/// As the agent's flag has it.
pub(crate) fn word(containment: Choice) -> &'static str {
    match containment {
        Choice::Auto => "auto",
        Choice::Cgroup => "cgroup",
        Choice::Keeper => "keeper",
    }
}

pub(crate) fn sibling(name: &str) -> Result<PathBuf, OsString> {
    let own = std::env::current_exe().map_err(|err| format!("own path: {err}"))?;
    let path = own.with_file_name(name);
    if path.exists() {
        return Ok(path);
    }
    Err(format!("{} is missing; build it first: cargo build --release --workspace --examples", path.display()).into())
}

fn start(command: &mut Command) -> Result<Child, OsString> {
    // A lifeline: dropped with us, however we go.
    command.arg("--lifeline").stdin(Stdio::piped()).env("WINDLASS_LOG", "warn");
    command.spawn().map_err(|err| format!("{}: {err}", command.get_program().display()).into())
}

/// The example worker, which has every feature of the protocol.
pub(crate) fn worker() -> Result<PathBuf, OsString> {
    sibling("examples/worker")
}

impl Cluster {
    pub(crate) async fn start(agents: usize, slots: usize) -> Result<Self, OsString> {
        Self::start_with(agents, slots, 0, Choice::Keeper).await
    }

    /// Agents with a pool of so many example workers each, which have slots of their own.
    pub(crate) async fn start_with(
        agents: usize,
        slots: usize,
        workers: usize,
        containment: Choice,
    ) -> Result<Self, OsString> {
        let home = tempfile::tempdir().map_err(|err| format!("a temporary directory: {err}"))?;
        let (coordinator, url) = start_coordinator(home.path())?;
        let mut members = vec![coordinator];
        for n in 1..=agents {
            let mut command = Command::new(sibling("windlass-worker-agent")?);
            let all = (slots + workers).to_string();
            command.args(["--coordinator", &url, "--name", &format!("a{n}"), "--slots", &all, "--data"]);
            command.arg(home.path().join(n.to_string())).args(["--containment", word(containment)]);
            if workers > 0 {
                command.arg("--config").arg(pool_of(home.path(), workers)?);
            }
            members.push(start(&mut command)?);
        }
        let channel = connect(&url).await?;
        let cluster = Self { home, members, channel };
        tokio::time::timeout(START_MAX, cluster.connected(agents, workers > 0))
            .await
            .map_err(|_| "the agents did not connect")??;
        Ok(cluster)
    }

    async fn connected(&self, agents: usize, pools: bool) -> Result<(), OsString> {
        let mut fleet = FleetServiceClient::new(self.channel.clone());
        loop {
            let listed = fleet.list_agents(pb::ListAgentsRequest::default()).await.map_err(|err| err.to_string())?;
            let here = listed.into_inner().agents;
            let offers = |agent: &pb::Agent| !pools || agent.pools.iter().any(|pool| pool.capacity > 0);
            let serves = |agent: &&pb::Agent| agent.state() == pb::agent::State::Connected && offers(agent);
            if here.iter().filter(serves).count() == agents {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The coordinator is killed and started again with the same record; until it answers.
    pub(crate) async fn restart_coordinator(&mut self) -> Result<(), OsString> {
        self.members[0]
            .kill()
            .and_then(|()| self.members[0].wait())
            .map_err(|err| format!("the coordinator: {err}"))?;
        let (coordinator, url) = start_coordinator(self.home.path())?;
        self.members[0] = coordinator;
        self.channel = connect(&url).await?;
        Ok(())
    }

    /// Mebibytes the coordinator has in memory.
    pub(crate) fn coordinator_rss_mib(&self) -> Option<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.members[0].id())).ok()?;
        let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().strip_suffix(" kB")?;
        Some(kib.trim().parse::<f64>().ok()? / 1024.0)
    }

    /// The directory that holds all its members' directories.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    pub(crate) fn jobs(&self) -> JobServiceClient<Channel> {
        JobServiceClient::new(self.channel.clone())
            .max_decoding_message_size(windlass_shared::limits::MESSAGE_BYTES_MAX)
    }
}

/// An agent alone, with a pool of these workers; gone with this.
pub(crate) struct Agent {
    _home: TempDir,
    process: Child,
}

impl Agent {
    pub(crate) fn start(url: &str, worker: &Path, workers: usize) -> Result<Self, OsString> {
        let home = tempfile::tempdir().map_err(|err| format!("a temporary directory: {err}"))?;
        let mut command = Command::new(sibling("windlass-worker-agent")?);
        command.args(["--coordinator", url, "--name", "a", "--slots", &workers.to_string(), "--containment", "keeper"]);
        command.arg("--data").arg(home.path().join("a")).arg("--config").arg(pool_with(home.path(), worker, workers)?);
        Ok(Self { process: start(&mut command)?, _home: home })
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait(); // as below
    }
}

fn pool_of(home: &Path, workers: usize) -> Result<PathBuf, OsString> {
    pool_with(home, &worker()?, workers)
}

fn pool_with(home: &Path, worker: &Path, workers: usize) -> Result<PathBuf, OsString> {
    let path = home.join("agent.toml");
    let text = format!("[[pool]]\nname = \"bench\"\ncommand = [{:?}]\nmax = {workers}\n", worker.display().to_string());
    std::fs::write(&path, text).map_err(|err| format!("{}: {err}", path.display()))?;
    Ok(path)
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for member in &mut self.members {
            drop(member.stdin.take());
        }
        for member in &mut self.members {
            // What does not end by its lifeline is a finding of other tests; here it must only not stay.
            let _ = member.wait();
        }
    }
}
