//! From a spec to what is spawned: where it runs, and what it finds in its environment.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use windlass_shared::domain::{ExecSpec, Grant, JobSpec, Lease, OnDisconnect, Outcome, Trace, Work};
use windlass_shared::ids::AgentId;

use super::{devices, verdict};
use crate::clear::remove_tree;
use crate::confine::{Confined, merged};
use crate::containment::Limits;
use crate::policy::{Policies, Violation};
use crate::process::{SpawnError, SpawnSpec, Stdin, Wanted};

/// Names the job.
pub(crate) const JOB_ID_VARIABLE: &str = "WINDLASS_JOB_ID";
/// Names the attempt.
pub(crate) const ATTEMPT_VARIABLE: &str = "WINDLASS_ATTEMPT";
/// Names the agent, and is what its next life knows its leftovers by.
pub(crate) const AGENT_ID_VARIABLE: &str = "WINDLASS_AGENT_ID";

/// What every attempt of this agent finds around it.
#[derive(Debug)]
pub(crate) struct Surroundings {
    agent: AgentId,
    scratch: PathBuf,
    confined: Confined,
    policies: Policies,
}

impl Surroundings {
    /// Scratch directories are made below `scratch`.
    pub(crate) fn new(agent: AgentId, scratch: PathBuf, confined: Confined, policies: Policies) -> Self {
        Self { agent, scratch, confined, policies }
    }

    /// Whether this host accepts a job, but for where its program is found.
    pub(super) fn accepts(&self, lease: &Lease, spec: &JobSpec) -> Result<(), Box<Outcome>> {
        self.policies.now().check(spec).map_err(|violation| refuse(lease, &violation))
    }

    /// What a worker of a pool finds in its environment beside what its pool gives: no job's, and the cookie that its leftovers
    /// are known by.
    pub(crate) fn worker_env(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        vec![(AGENT_ID_VARIABLE.into(), self.agent.to_string().into_bytes())]
    }
}

/// The outcome of an attempt that the host's policy does not allow, with a line for whoever audits the host.
fn refuse(lease: &Lease, violation: &Violation) -> Box<Outcome> {
    let Violation { rule, place, why } = violation;
    tracing::warn!(
        target: "windlass::audit",
        job = %lease.job, attempt = lease.attempt, rule, %place, why,
        "refused by the policy of this host"
    );
    Box::new(verdict::rejected(&violation.to_string()))
}

/// One attempt, and what it needs.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) lease: Lease,
    /// Longest time it may run.
    pub(super) run_timeout: Option<Duration>,
    /// Time between the stop signal and the kill.
    pub(super) stop_grace: Duration,
    pub(super) stop_signal: i32,
    /// It must not outlive the lease.
    pub(super) fenced: bool,
    /// For people.
    program: String,
    /// Where it asked to run.
    cwd: Option<PathBuf>,
    /// None once it is prepared.
    work: Option<Work>,
    trace: Option<Box<Trace>>,
    /// Devices it is lent.
    grants: Vec<Grant>,
    surroundings: Arc<Surroundings>,
    scratch: Option<PathBuf>,
}

impl Context {
    pub(super) fn new(lease: Lease, spec: JobSpec, grants: Vec<Grant>, surroundings: Arc<Surroundings>) -> Self {
        let JobSpec { work, run_timeout, stop_grace, stop_signal, on_disconnect, trace, .. } = spec;
        let program = match &work {
            Work::Exec(exec) => exec.argv.first().cloned().unwrap_or_default(),
            Work::Call(call) => call.handler.to_string(),
        };
        let stop_signal = stop_signal.into();
        let fenced = on_disconnect == OnDisconnect::Fence;
        let (work, cwd, scratch) = (Some(work), None, None);
        Self {
            lease,
            run_timeout,
            stop_grace,
            stop_signal,
            fenced,
            program,
            cwd,
            work,
            trace,
            grants,
            surroundings,
            scratch,
        }
    }

    /// Makes the scratch directory where one is needed, and says what to spawn; the outcome where it cannot be.
    pub(super) fn prepare(&mut self) -> Result<SpawnSpec, Box<Outcome>> {
        let Some(Work::Exec(exec)) = self.work.take() else {
            return Err(Box::new(verdict::rejected("a call is a pool's, and no process of its own")));
        };
        let ExecSpec { mut argv, env, cwd, stdin } = exec;
        let names = env.iter().map(|(name, _)| name.as_str());
        if let Some(name) = self.surroundings.confined.denies(names) {
            let why = format!("env: {name} is not taken from jobs on this host (run_as is set): leave it out");
            return Err(Box::new(verdict::rejected(&why)));
        }
        let env = self.env(env);
        self.find_program(&mut argv, &env)?;
        self.cwd.clone_from(&cwd);
        let cwd = match cwd {
            Some(cwd) => cwd,
            None => self
                .make_scratch()
                .map_err(|err| Box::new(verdict::host_failed(&format!("scratch directory: {err}"))))?,
        };
        let argv = argv.into_iter().map(String::into_bytes).collect();
        let stdin = if stdin.is_empty() { Stdin::Null } else { Stdin::Bytes(stdin.into()) };
        let confinement = self.surroundings.confined.confinement.clone();
        Ok(SpawnSpec { argv, env, cwd, stdin, confinement, limits: self.limits() })
    }

    /// The outcome where what was prepared could not be started.
    pub(super) fn spawn_failed(&self, error: &SpawnError) -> Outcome {
        let cwd = self.cwd.as_deref().or(self.scratch.as_deref()).unwrap_or(Path::new("/"));
        let uid = self.surroundings.confined.confinement.user.as_ref().map(|user| user.uid);
        verdict::spawn_failed(Wanted { program: &self.program, cwd, uid }, self.cwd.is_some(), error)
    }

    /// What it may take.
    pub(super) fn limits(&self) -> Limits {
        self.surroundings.confined.limits
    }

    /// Names the program as the host's policy knows it.
    fn find_program(&self, argv: &mut [String], env: &[(Vec<u8>, Vec<u8>)]) -> Result<(), Box<Outcome>> {
        let Some(program) = argv.first_mut() else { return Ok(()) };
        // The last of a name is what counts, as it does for the process.
        let path = env.iter().rfind(|(name, _)| name == b"PATH").map(|(_, value)| value.as_slice());
        let found = self.surroundings.policies.now().program(program, path);
        if let Some(found) = found.map_err(|violation| refuse(&self.lease, &violation))? {
            *program = found;
        }
        Ok(())
    }

    fn env(&self, given: Vec<(String, String)>) -> Vec<(Vec<u8>, Vec<u8>)> {
        let trace = self.trace.iter().flat_map(|trace| [("TRACEPARENT", &trace.parent), ("TRACESTATE", &trace.state)]);
        let trace = trace.filter(|(name, value)| !value.is_empty() && !given.iter().any(|(other, _)| other == name));
        let mut env: Vec<_> = trace.map(|(name, value)| (name.into(), value.clone().into_bytes())).collect();
        let own = [
            (JOB_ID_VARIABLE, self.lease.job.to_string()),
            (ATTEMPT_VARIABLE, self.lease.attempt.to_string()),
            ("WINDLASS_FENCING_TOKEN", self.lease.fencing_token.to_string()),
            (AGENT_ID_VARIABLE, self.surroundings.agent.to_string()),
        ];
        let devices = devices::env(&self.grants);
        // A job that says what CUDA sees does not know what it is lent: of two values most programs find the first.
        let given = given.into_iter().filter(|(name, _)| !devices.iter().any(|(ours, _)| ours == name));
        env.extend(given.map(|(name, value)| (name.into_bytes(), value.into_bytes())));
        env.extend(devices.into_iter().map(|(name, value)| (name.into_bytes(), value.into_bytes())));
        env.extend(own.map(|(name, value)| (name.into(), value.into_bytes())));
        // Nor does the host, whatever the agent's own environment says.
        merged(&self.surroundings.confined.env, env)
    }

    fn make_scratch(&mut self) -> io::Result<PathBuf> {
        let Lease { job, generation, attempt, fencing_token, .. } = self.lease;
        let path = self.surroundings.scratch.join(format!("{job}-{generation}-{attempt}-{fencing_token}"));
        self.surroundings.confined.make_dir(&path)?;
        self.scratch = Some(path.clone());
        Ok(path)
    }

    /// Removes what the attempt left in its scratch directory.
    pub(super) async fn clean(&mut self) {
        let Some(path) = self.scratch.take() else { return };
        // Mostly it is empty, and then this is quick enough for any thread.
        if fs::remove_dir(&path).is_ok() {
            return;
        }
        let job = self.lease.job;
        let removed = tokio::task::spawn_blocking(move || remove_tree(&path)).await;
        if let Ok(Err(error)) = removed {
            tracing::warn!(%job, %error, "scratch directory stays until the agent's next start");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_shared::domain::JobHeader;
    use windlass_shared::ids::JobId;

    fn exec(env: Vec<(String, String)>) -> Work {
        Work::Exec(ExecSpec { argv: vec!["a".into()], env, cwd: None, stdin: Vec::new() })
    }

    fn context(work: Work, scratch: &Path) -> Context {
        let lease = Lease {
            job: JobId::new(1, &[0; 10]),
            generation: 1,
            attempt: 2,
            incarnation: 1,
            epoch: 1,
            fencing_token: 99,
        };
        let header = JobHeader::default();
        let on_disconnect = OnDisconnect::default();
        let (run_timeout, stop_grace, stop_signal) = (None, Duration::ZERO, 15);
        let trace = Some(Box::new(Trace { parent: "00-1".into(), state: String::new() }));
        let spec = JobSpec { work, header, run_timeout, stop_grace, stop_signal, on_disconnect, trace };
        let passed = [
            ("PATH", "/base"),
            ("CUDA_VISIBLE_DEVICES", "0,1"),
            ("HOME", "/h"),
            ("TRACEPARENT", "00-0"),
            ("TZ", "UTC"),
        ];
        let env = passed.map(|(name, value)| (name.into(), value.into())).into();
        let agent = AgentId::new([1; 16]);
        Context::new(
            lease,
            spec,
            vec![Grant { device: "gpu".into(), ids: vec!["1".into()], share_milli: 1_000 }],
            Arc::new(Surroundings::new(
                agent,
                scratch.into(),
                Confined { env, ..Confined::default() },
                Policies::default(),
            )),
        )
    }

    fn shown(spec: &SpawnSpec) -> Vec<String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        spec.env.iter().map(|(name, value)| format!("{}={}", text(name), text(value))).collect()
    }

    #[test]
    fn what_the_host_says_of_devices_and_traces_is_not_found_beside_what_the_job_is_given() {
        let dir = tempfile::tempdir().unwrap();
        let env = shown(&context(exec(Vec::new()), dir.path()).prepare().unwrap());
        let of = |name: &str| env.iter().filter(|pair| pair.starts_with(name)).collect::<Vec<_>>();
        assert_eq!(of("CUDA_VISIBLE_DEVICES"), ["CUDA_VISIBLE_DEVICES=1"]);
        assert_eq!(of("TRACEPARENT"), ["TRACEPARENT=00-1"]);
        assert_eq!(of("PATH"), ["PATH=/base"]);
    }

    #[test]
    fn what_the_job_gives_replaces_the_base_and_what_is_ours_comes_last() {
        let given = [("PATH", "/job"), ("CUDA_VISIBLE_DEVICES", "0,1,2,3")];
        let exec = exec(given.map(|(name, value)| (name.into(), value.into())).into());
        let dir = tempfile::tempdir().unwrap();
        let spec = context(exec, dir.path()).prepare().unwrap();
        let env = shown(&spec);
        assert_eq!(env[..4], ["HOME=/h", "TZ=UTC", "TRACEPARENT=00-1", "PATH=/job"]);
        assert_eq!(env[4..6], ["CUDA_VISIBLE_DEVICES=1", "WINDLASS_DEVICES_GPU=1"]);
        assert_eq!(env[7..9], ["WINDLASS_ATTEMPT=2", "WINDLASS_FENCING_TOKEN=99"]);
        assert_eq!(env.len(), 10);
        assert!(spec.cwd.starts_with(dir.path()) && spec.cwd.exists());
        assert_eq!(spec.stdin, Stdin::Null);
    }

    #[test]
    fn a_scratch_directory_that_cannot_be_made_is_the_hosts_doing() {
        let outcome = context(exec(Vec::new()), Path::new("/no/such")).prepare().unwrap_err();
        assert_eq!(outcome.reason, Some(windlass_shared::domain::Reason::AgentFault));
    }
}
