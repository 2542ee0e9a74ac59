//! `windlass dev`: a coordinator and an agent in the foreground, to try things on. What is submitted is kept.

use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use windlass_shared::pb;

use crate::client::{Client, DEFAULT_ADDRESS};
use crate::demo;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::humane::count;
use crate::interrupts::Interrupts;
use crate::member::{Log, Member};
use crate::output::{interject, print};
use crate::state;

/// A record of a million jobs is read in ten seconds; a loaded machine may need a few times that.
pub(super) const START_LIMIT: Duration = Duration::from_secs(60);
/// What running jobs have to finish in when all of it stops; told to the agent as its flag.
const DRAIN: &str = "5s";
/// Longest wait for the agent to leave in order: its drain, and the default grace of a job that was told to stop.
const DRAIN_LIMIT: Duration = Duration::from_secs(15);
/// Longest wait for whoever was told to stop at once: a kill with proof takes up to 10 s.
const STOP_LIMIT: Duration = Duration::from_secs(15);
/// How often we look whether the agent is there.
const POLL: Duration = Duration::from_millis(20);

/// Where, and how much at a time.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Directory for jobs, their logs and the agent's files [default: windlass/dev in your state directory]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Address to serve at, on this machine; port 0 takes any free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7070")]
    listen: SocketAddr,
    /// Commands to run at a time; the pool's worker comes on top [default: this host's processors]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    slots: Option<u32>,
    /// A label of the agent, which jobs may ask for; repeat for more
    #[arg(long, value_name = "KEY=VALUE")]
    label: Vec<String>,
    /// How much the agent has of something that jobs share, such as memory=64; repeat for more
    #[arg(long, value_name = "NAME=AMOUNT")]
    resource: Vec<String>,
    /// Devices of the agent by their ids, such as gpu=0,1, or gpu=auto; repeat for more kinds
    #[arg(long, value_name = "NAME=ID,...")]
    device: Vec<String>,
}

impl Args {
    /// What the agent says of itself, as its own flags.
    fn traits(&self) -> Vec<OsString> {
        let all = [("label", &self.label), ("resource", &self.resource), ("device", &self.device)];
        all.iter()
            .flat_map(|(flag, values)| values.iter().map(move |value| format!("--{flag}={value}").into()))
            .collect()
    }
}

/// Runs both until a signal comes or one of them goes.
pub(crate) async fn dev(args: Args) -> Result<Exit, Failure> {
    let mut interrupts = Interrupts::listen()?;
    let home = home(args.data.as_deref())?;
    is_free(args.listen)?;
    let slots = args.slots.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |n| n.get() as u32));
    let pool = demo::write(&home, std::env::var_os("PATH").as_deref())?;
    let traits = args.traits();
    check_traits(&traits)?;
    let mut pair = Pair::default();
    let began = tokio::select! {
        began = timeout(START_LIMIT, pair.start(&home, args.listen, slots, pool.as_deref(), &traits)) => Some(began),
        _ = interrupts.next() => None,
    };
    let result = match began {
        Some(Ok(Ok(url))) => {
            print(&banner(&url, slots, &home, pool.is_some()))?;
            tokio::select! {
                _ = interrupts.next() => Ok(Exit::OK),
                failure = pair.broke() => Err(failure),
            }
        }
        Some(Ok(Err(failure))) => Err(failure),
        Some(Err(_)) => Err(cannot_start(format!("it was not ready within {} s", START_LIMIT.as_secs()))),
        None => Ok(Exit::OK),
    };
    pair.stop(&mut interrupts).await;
    result
}

// Before anything starts, as with the port.
fn check_traits(traits: &[OsString]) -> Result<(), Failure> {
    let args: Vec<OsString> = std::iter::once("--data=/".into()).chain(traits.iter().cloned()).collect();
    let wrong =
        |why: &dyn std::fmt::Display| Failure::usage(why.to_string().trim_start_matches("error: ").trim().to_owned());
    let options = windlass_worker_agent::Options::parse_args(&args).map_err(|err| wrong(&err))?;
    options.check().map_err(|err| wrong(&err))
}

fn home(data: Option<&Path>) -> Result<PathBuf, Failure> {
    let home = match data {
        Some(data) => std::path::absolute(data).map_err(|err| Failure::io("find the working directory", &err))?,
        None => state::dir(|name| std::env::var_os(name))
            .ok_or_else(|| Failure::usage("there is no home directory to keep jobs in").remedy("--data DIR"))?
            .join("dev"),
    };
    std::fs::create_dir_all(&home).map_err(|err| Failure::io(format_args!("make {}", home.display()), &err))?;
    Ok(home)
}

// Looked at before anything starts: whoever finds the port taken should read that, and not a log.
pub(super) fn is_free(listen: SocketAddr) -> Result<(), Failure> {
    let Err(err) = std::net::TcpListener::bind(listen) else { return Ok(()) };
    let what = format!("cannot serve at --listen {listen}: {err}");
    Err(Failure::new(Exit::CONFIG, "LISTEN", what).remedy("--listen 127.0.0.1:0 takes any free port"))
}

pub(super) fn cannot_start(why: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::OTHER, "DEV", format!("cannot start: {why}"))
}

fn banner(url: &str, slots: u32, home: &Path, pool: bool) -> String {
    let elsewhere = url != DEFAULT_ADDRESS;
    let address = if elsewhere { format!("  export WINDLASS_ADDRESS={url}\n") } else { String::new() };
    let call = "  windlass submit --handler upper --input '\"hello\"' --wait    # or sleep 2, or fail '\"why\"': see worker.py there\n";
    let call = if pool { call } else { "" };
    format!(
        "\
windlass is up at {url}, with {} for commands; jobs are kept in {}

In another terminal:
{address}  windlass run -- echo hello
  windlass submit --each 'src/**/*.rs' -- wc -l
  windlass job watch
{call}
Ctrl-C stops it.
",
        count(slots as usize, "slot"),
        home.display()
    )
}

/// The two children.
#[derive(Debug, Default)]
pub(super) struct Pair {
    coordinator: Option<Member>,
    agent: Option<Member>,
}

impl Pair {
    /// Starts both; the address of the coordinator, once the agent is connected.
    pub(super) async fn start(
        &mut self,
        home: &Path,
        listen: SocketAddr,
        slots: u32,
        pool: Option<&Path>,
        traits: &[OsString],
    ) -> Result<String, Failure> {
        let (data, listen) = (home.join("coordinator"), listen.to_string());
        let args = ["__coordinator", "--lifeline", "--listen", &listen, "--data"].map(OsStr::new);
        let args = args.into_iter().chain([data.as_os_str()]);
        let coordinator = self.coordinator.insert(Member::start("coordinator", args, Stdio::piped(), Log::Shown)?);
        let url = match coordinator.listening().await {
            Ok(url) => url,
            Err(why) => return Err(refused(coordinator, why).await),
        };
        let mut args = agent_args(home, &url, slots, pool);
        args.extend_from_slice(traits);
        let agent =
            self.agent.insert(Member::start("agent", args.iter().map(OsString::as_os_str), Stdio::null(), Log::Shown)?);
        let client = Client::connect(&url, None).await?;
        loop {
            let agents = client.list_agents().await.map_err(|status| client.failure("list the agents", &status))?;
            if agents.iter().any(|agent| agent.state() == pb::agent::State::Connected) {
                return Ok(url);
            }
            if let Some(gone) = agent.gone() {
                return Err(refused(agent, gone).await);
            }
            sleep(POLL).await;
        }
    }

    /// Comes back where one of them is gone.
    pub(super) async fn broke(&mut self) -> Failure {
        let (Some(coordinator), Some(agent)) = (&mut self.coordinator, &mut self.agent) else {
            return std::future::pending().await;
        };
        let (who, ended) = tokio::select! {
            ended = coordinator.ended() => ("coordinator", ended),
            ended = agent.ended() => ("agent", ended),
        };
        let how = ended.map_or_else(|err| err.to_string(), |status| status.to_string());
        Failure::new(Exit::OTHER, "DEV", format!("the {who} ended by itself ({how}); its log is above"))
    }

    /// Stops the agent first, so that it can give back and report what it has; then the coordinator.
    pub(super) async fn stop(mut self, interrupts: &mut Interrupts) {
        if let Some(agent) = &mut self.agent {
            drain(agent, interrupts).await;
        }
        for member in self.agent.iter_mut().chain(&mut self.coordinator) {
            member.let_go();
            member.end_by(Instant::now() + STOP_LIMIT).await;
        }
    }
}

// The workers of the pool have slots of their own beside those for commands.
fn agent_args(home: &Path, url: &str, slots: u32, pool: Option<&Path>) -> Vec<OsString> {
    let slots = slots + pool.map_or(0, |_| demo::WORKERS);
    let mut args: Vec<OsString> =
        ["__agent", "--lifeline", "--coordinator", url, "--name", "dev"].map(Into::into).into();
    args.extend(["--slots", &slots.to_string(), "--drain-timeout", DRAIN, "--data"].map(OsString::from));
    args.push(home.join("agent").into());
    if let Some(config) = pool {
        args.extend(["--config".into(), config.into()]);
    }
    args
}

// Each further signal is passed on: the agent takes the second for "urgent", the third for "now".
async fn drain(agent: &mut Member, interrupts: &mut Interrupts) {
    if agent.gone().is_some() {
        return;
    }
    interject(&format!("stopping; jobs that run have {DRAIN} to finish, Ctrl-C again stops them now"));
    let deadline = Instant::now() + DRAIN_LIMIT;
    loop {
        agent.ask_to_stop();
        tokio::select! {
            _ = agent.ended() => return,
            () = tokio::time::sleep_until(deadline) => return,
            _ = interrupts.next() => {}
        }
    }
}

// Its log is on the screen and says why; 78 says that it is ours to change.
async fn refused(member: &mut Member, why: String) -> Failure {
    let code = timeout(STOP_LIMIT, member.ended()).await.ok().and_then(Result::ok).and_then(|status| status.code());
    let failure = cannot_start(format!("{why}; its log is above"));
    match code {
        Some(78) => Failure { exit: Exit::CONFIG, ..failure }.remedy("another --listen or --data"),
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_taken_is_named_with_its_flag_and_78() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let failure = is_free(taken.local_addr().expect("an address")).expect_err("taken");
        assert_eq!(failure.exit, Exit::CONFIG);
        assert!(failure.what.contains("--listen") && failure.to_string().contains("127.0.0.1:0"), "{failure}");
    }

    #[test]
    fn the_banner_has_three_commands_that_can_be_typed_as_they_are() {
        let text = banner(DEFAULT_ADDRESS, 4, Path::new("/d"), false);
        let commands: Vec<_> = text.lines().filter(|line| line.starts_with("  ")).collect();
        assert_eq!(commands.len(), 3);
        assert!(commands.iter().all(|line| line.starts_with("  windlass ")), "{text}");
        assert!(text.contains("4 slots") && text.contains("/d"), "{text}");
    }

    #[test]
    fn at_another_address_the_commands_are_told_where() {
        let text = banner("http://127.0.0.1:9", 1, Path::new("/d"), false);
        assert!(text.contains("  export WINDLASS_ADDRESS=http://127.0.0.1:9\n  windlass run"), "{text}");
    }

    #[test]
    fn with_a_pool_one_line_more_says_what_it_can_be_asked() {
        let text = banner(DEFAULT_ADDRESS, 4, Path::new("/d"), true);
        assert_eq!(text.lines().count(), banner(DEFAULT_ADDRESS, 4, Path::new("/d"), false).lines().count() + 1);
        assert!(text.contains("  windlass submit --handler upper --input '\"hello\"' --wait"), "{text}");
    }

    #[test]
    fn what_the_agent_cannot_say_of_itself_is_refused_before_anything_starts() {
        let traits = |args: &[&str]| args.iter().map(OsString::from).collect::<Vec<_>>();
        assert!(check_traits(&traits(&["--label=zone=a", "--resource=memory=1.5", "--device=gpu=0,1"])).is_ok());
        let failure = check_traits(&traits(&["--resource=memory=lots"])).expect_err("no amount");
        assert_eq!(failure.exit, Exit::USAGE);
        assert!(failure.what.contains("--resource") && failure.what.contains("such as 2 or 1.5"), "{failure}");
        let failure = check_traits(&traits(&["--device=gpu=0,0"])).expect_err("twice");
        assert_eq!(failure.what, "--device gpu: names a device twice; name each once");
    }

    #[test]
    fn the_agent_has_a_slot_more_for_each_worker_of_the_pool() {
        let args = |pool| agent_args(Path::new("/d"), "http://h:1", 4, pool).join(OsStr::new(" "));
        let common = "--lifeline --coordinator http://h:1 --name dev";
        let without = format!("__agent {common} --slots 4 --drain-timeout 5s --data /d/agent");
        assert_eq!(args(None), OsStr::new(&without));
        let with = format!("{without} --config /d/agent.toml").replace("--slots 4", "--slots 5");
        assert_eq!(args(Some(Path::new("/d/agent.toml"))), OsStr::new(&with));
    }
}
