//! The configuration, read again while the agent runs: all of what can change is taken, or nothing is.

use std::ffi::OsString;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::config::{ConfigError, Options};
use crate::confine::Confining;
use crate::policy::{Policies, Policy};
use crate::traits::{Speaker, TraitOptions};
use crate::worker::{Changes, Pools, check_pools};

/// Takes another configuration. Clones are the same hand.
#[derive(Debug, Clone)]
pub struct Reloader(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    pools: Pools,
    policies: Policies,
    speaker: Speaker,
    drain_timeout: watch::Sender<Duration>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// What the agent runs by.
    options: Options,
    taken: u64,
    refused: u64,
}

impl Reloader {
    pub(crate) fn new(
        options: &Options,
        pools: Pools,
        policies: Policies,
        speaker: Speaker,
    ) -> (Self, watch::Receiver<Duration>) {
        let (drain_timeout, watcher) = watch::channel(options.drain_timeout);
        let state = Mutex::new(State { options: options.clone(), taken: 0, refused: 0 });
        (Self(Arc::new(Inner { pools, policies, speaker, drain_timeout, state })), watcher)
    }

    /// Reads what these arguments and their file say now, and takes it. Says in the log what came of it, in one line, and in one
    /// more for each flag that only a restart changes.
    pub fn reload(&self, args: &[OsString]) {
        let read = Options::parse_args(args).map_err(|err| one_line(&err.to_string()));
        let taken = read.and_then(|options| self.take(options).map_err(|err| err.to_string()));
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        match taken {
            Ok(Changes { changed, added, removed }) => {
                state.taken += 1;
                tracing::info!(changed, added, removed, taken = state.taken, "the configuration was read again");
            }
            Err(problem) => {
                state.refused += 1;
                tracing::error!(
                    problem,
                    refused = state.refused,
                    "the configuration is not taken: the former one goes on"
                );
            }
        }
    }

    /// Takes what can change of these.
    ///
    /// # Errors
    /// What cannot be right, or cannot change; then nothing has.
    fn take(&self, new: Options) -> Result<Changes, ConfigError> {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        new.check()?;
        // Of the slots that there are, which the new ones may not be yet.
        check_pools(&new.pools, state.options.slots()).map_err(ConfigError::in_file)?;
        let traits = self.0.speaker.read(&new.traits)?;
        let confining = Confining::new(&new)?;
        let policy = Policy::of(&new, &confining)?;
        // Commands go on as they were confined at the start, which has to be within the new policy too.
        let commands = Options { policy: new.policy.clone(), pools: Vec::new(), ..state.options.clone() };
        Policy::of(&commands, &Confining::new(&commands)?)?;
        let changes = self.0.pools.reload(new.pools.iter().cloned().zip(confining.workers).collect())?;
        for flag in fixed(&state.options, &new) {
            tracing::warn!(flag, "has changed in the configuration, and needs a restart");
        }
        self.0.policies.replace(policy);
        self.0.speaker.say(traits);
        self.0.drain_timeout.send_replace(new.drain_timeout);
        let running = &mut state.options;
        (running.pools, running.drain_timeout, running.traits) = (new.pools, new.drain_timeout, new.traits);
        running.policy = new.policy;
        Ok(changes)
    }
}

/// Flags that differ and are what they were until the agent starts again.
fn fixed(old: &Options, new: &Options) -> Vec<&'static str> {
    let named = [
        ("coordinator", old.coordinator == new.coordinator),
        ("data", old.data == new.data),
        ("name", old.name == new.name),
        ("slots", old.slots == new.slots),
        ("detach-max", old.detach_max == new.detach_max),
        ("lock-timeout", old.lock_timeout == new.lock_timeout),
        ("logs", old.logs == new.logs),
    ];
    let mut fixed: Vec<_> = named.into_iter().filter(|(_, same)| !same).map(|(flag, _)| flag).collect();
    // What is added one day is not forgotten, though not named before it is added above.
    let rest = |options: &Options| {
        let (pools, drain_timeout, traits) = (Vec::new(), Duration::ZERO, TraitOptions::default());
        format!("{:?}", Options { pools, drain_timeout, traits, policy: None, ..options.clone() })
    };
    if fixed.is_empty() && rest(old) != rest(new) {
        fixed.push("another flag");
    }
    fixed
}

/// What clap says in several.
fn one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_a_restart_changes_is_named() {
        let options = |args: &[&str]| {
            let args: Vec<OsString> = ["--data", "/d"].iter().chain(args).map(OsString::from).collect();
            Options::parse_args(&args).unwrap()
        };
        let old = options(&[]);
        assert_eq!(fixed(&old, &options(&["--drain-timeout", "1s", "--label", "a=b"])), [""; 0]);
        assert_eq!(fixed(&old, &options(&["--slots", "3", "--name", "x"])), ["name", "slots"]);
        assert_eq!(fixed(&old, &options(&["--lifeline"])), ["another flag"]);
    }

    #[test]
    fn what_is_wrong_is_one_line() {
        assert_eq!(one_line("error: a\n\n  b\n"), "error: a; b");
    }
}
