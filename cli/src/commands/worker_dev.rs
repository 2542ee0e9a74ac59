//! `windlass worker dev`: a cluster here with one worker of yours, which is started anew when a file changes.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueHint;
use tokio::time::{sleep, timeout};

use super::dev::{Pair, START_LIMIT, cannot_start, is_free};
use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupts::Interrupts;
use crate::output::{interject, print};
use crate::pools::Place;
use crate::watched::Snapshot;

/// The worker's pool.
const POOL: &str = "dev";
/// How often files are looked at.
const LOOK: Duration = Duration::from_millis(300);

/// Which worker, and what it is made of.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Directory whose files the worker is made of: one changed, and the worker is started anew [default: this one]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    watch: Option<PathBuf>,
    /// Address to serve at, on this machine; port 0 takes any free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7070")]
    listen: SocketAddr,
    /// The worker's program and arguments, run here without a shell
    #[arg(last = true, required = true, value_name = "COMMAND", value_hint = ValueHint::CommandWithArguments)]
    argv: Vec<String>,
}

/// Runs until a signal comes or part of it goes. Nothing is kept.
pub(crate) async fn dev(args: Args) -> Result<Exit, Failure> {
    let mut interrupts = Interrupts::listen()?;
    is_free(args.listen)?;
    let here = std::env::current_dir().map_err(|err| Failure::io("find the working directory", &err))?;
    let watch = args.watch.map_or_else(|| here.clone(), |dir| here.join(dir));
    let home = tempfile::tempdir().map_err(|err| Failure::io("make a directory", &err))?;
    let config = home.path().join("agent.toml");
    let text = configuration(&args.argv, &here)?;
    std::fs::write(&config, text).map_err(|err| Failure::io(format_args!("write {}", config.display()), &err))?;
    let mut pair = Pair::default();
    let began = tokio::select! {
        began = timeout(START_LIMIT, pair.start(home.path(), args.listen, 1, Some(&config), &[])) => Some(began),
        _ = interrupts.next() => None,
    };
    let result = match began {
        Some(Ok(Ok(url))) => {
            print(&banner(&url, &args.argv, &watch))?;
            tokio::select! {
                _ = interrupts.next() => Ok(Exit::OK),
                failure = pair.broke() => Err(failure),
                failure = renew(&url, watch) => Err(failure),
            }
        }
        Some(Ok(Err(failure))) => Err(failure),
        Some(Err(_)) => Err(cannot_start(format!("it was not ready within {} s", START_LIMIT.as_secs()))),
        None => Ok(Exit::OK),
    };
    pair.stop(&mut interrupts).await;
    result
}

fn configuration(argv: &[String], here: &Path) -> Result<String, Failure> {
    let here = here.to_str().ok_or_else(|| Failure::usage("the path of this directory is not valid UTF-8"))?;
    // What JSON escapes, TOML escapes alike.
    let (command, here) = (serde_json::Value::from(argv), serde_json::Value::from(here));
    Ok(format!("[[pool]]\nname = \"{POOL}\"\ncommand = {command}\ncwd = {here}\nmax = 1\n"))
}

fn banner(url: &str, argv: &[String], watch: &Path) -> String {
    format!(
        "\
{} serves at {url}, and is started anew when a file in {} changes.

In another terminal:
  export WINDLASS_ADDRESS={url}
  windlass submit --handler NAME --input JSON --wait
  windlass pool get {POOL}                                   # and windlass worker logs, where it does not start

Ctrl-C stops it.
",
        argv.join(" "),
        watch.display()
    )
}

/// Looks for changes, and has the worker replaced. Comes back only where that cannot be asked any more.
async fn renew(url: &str, watch: PathBuf) -> Failure {
    let renewing = async {
        let client = Client::connect(url, None).await?;
        let agents = client.list_agents().await.map_err(|status| client.failure("list the agents", &status))?;
        let agent_id = agents.into_iter().next().map(|agent| agent.id).unwrap_or_default();
        let place = Place { agent_id, pool: POOL.into() };
        let mut before = look(&watch).await;
        loop {
            sleep(LOOK).await;
            let now = look(&watch).await;
            if let Some(path) = now.changed(&before) {
                interject(&format!("{} changed: the worker is started anew", path.display()));
                // A worker that did not start waits for its next try, which is now.
                let asked = match client.reset_pool(&place).await {
                    Ok(_) => client.recycle_pool(&place, false, "").await,
                    Err(status) => Err(status),
                };
                asked.map_err(|status| client.failure("start the worker anew", &status))?;
            }
            before = now;
        }
    };
    let never: Result<std::convert::Infallible, Failure> = renewing.await;
    match never {
        Err(failure) => failure,
        Ok(never) => match never {},
    }
}

async fn look(watch: &Path) -> Snapshot {
    let path = watch.to_owned();
    // A look that panics has seen nothing.
    tokio::task::spawn_blocking(move || Snapshot::take(&path)).await.unwrap_or_else(|_| Snapshot::take(Path::new("")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worker_runs_where_the_command_was_typed() {
        let argv = ["python3", "a \"b\".py"].map(str::to_owned);
        let text = configuration(&argv, Path::new("/here")).expect("a configuration");
        assert!(text.contains(r#"command = ["python3","a \"b\".py"]"#) && text.contains(r#"cwd = "/here""#), "{text}");
    }
}
