//! A coordinator and agents as real processes, beside this executable; gone with it.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tonic::transport::{Channel, Endpoint};
use windlass_shared::pb;
use windlass_shared::pb::fleet_service_client::FleetServiceClient;
use windlass_shared::pb::job_service_client::JobServiceClient;

const START_MAX: Duration = Duration::from_secs(30);

pub(crate) struct Cluster {
    _home: TempDir,
    members: Vec<Child>,
    channel: Channel,
}

fn sibling(name: &str) -> Result<PathBuf, OsString> {
    let own = std::env::current_exe().map_err(|err| format!("own path: {err}"))?;
    let path = own.with_file_name(name);
    if path.exists() {
        return Ok(path);
    }
    Err(format!("{} is missing; build it first: cargo build --release --workspace", path.display()).into())
}

fn start(command: &mut Command) -> Result<Child, OsString> {
    // A lifeline: dropped with us, however we go.
    command.arg("--lifeline").stdin(Stdio::piped()).env("WINDLASS_LOG", "warn");
    command.spawn().map_err(|err| format!("{}: {err}", command.get_program().display()).into())
}

impl Cluster {
    pub(crate) async fn start(agents: usize, slots: usize) -> Result<Self, OsString> {
        let home = tempfile::tempdir().map_err(|err| format!("a temporary directory: {err}"))?;
        let mut command = Command::new(sibling("windlass-coordinator")?);
        command.arg("--data").arg(home.path().join("coordinator"));
        let mut coordinator = start(command.args(["--listen", "127.0.0.1:0"]).stdout(Stdio::piped()))?;
        let mut line = String::new();
        if let Some(stdout) = &mut coordinator.stdout {
            BufReader::new(stdout).read_line(&mut line).map_err(|err| format!("the coordinator: {err}"))?;
        }
        let url = line.trim().strip_prefix("listening on ").ok_or("the coordinator did not start")?.to_owned();
        let mut members = vec![coordinator];
        for n in 1..=agents {
            let mut command = Command::new(sibling("windlass-worker-agent")?);
            command.args(["--coordinator", &url, "--name", &format!("a{n}"), "--slots", &slots.to_string(), "--data"]);
            members.push(start(command.arg(home.path().join(n.to_string())))?);
        }
        let endpoint = Endpoint::from_shared(url).map_err(|err| err.to_string())?;
        let channel = endpoint.connect().await.map_err(|err| err.to_string())?;
        let cluster = Self { _home: home, members, channel };
        tokio::time::timeout(START_MAX, cluster.connected(agents))
            .await
            .map_err(|_| "the agents did not connect")??;
        Ok(cluster)
    }

    async fn connected(&self, agents: usize) -> Result<(), OsString> {
        let mut fleet = FleetServiceClient::new(self.channel.clone());
        loop {
            let listed = fleet.list_agents(pb::ListAgentsRequest::default()).await.map_err(|err| err.to_string())?;
            let here = listed.into_inner().agents;
            if here.iter().filter(|agent| agent.state() == pb::agent::State::Connected).count() == agents {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) fn jobs(&self) -> JobServiceClient<Channel> {
        JobServiceClient::new(self.channel.clone())
            .max_decoding_message_size(windlass_shared::limits::MESSAGE_BYTES_MAX)
    }
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
