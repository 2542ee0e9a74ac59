//! The handle: starting the warden, spawning under it, stopping it.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use super::control::{Control, Events};
use super::link::{Link, Sent};
use super::recover;
use super::shared::{Life, Shared, WardenOptions};
use super::spec::{Pipes, Prepared, SpawnSpec};
use super::strangers::Strangers;
use super::table::{Started, Table};
use super::{PipeReader, PipeWriter, SpawnError, Stage};
use crate::containment::Hold;
use crate::sys::boottime::Boottime;
use crate::warden::Request;

/// How long a spawn waits for a warden while one is being replaced: a sweep takes at most the proof timeout (10 s), and a
/// restart backs off up to 5 s.
const WARDEN_WAIT_MAX: Duration = Duration::from_secs(30);

/// What a warden needs beyond its own limits to answer; silent for longer, it is stuck.
const ANSWER_SLACK: Duration = Duration::from_secs(5);
/// The warden's silence is counted in pieces of this, so that a pause of the whole host, of any length, counts as one.
const ANSWER_TICK: Duration = Duration::from_secs(1);

/// A started process. Dropping its control and its events kills it.
#[derive(Debug)]
pub struct Process {
    /// The leader's number, for people; signalling goes by [`Control`].
    pub pid: u32,
    /// Its standard input, where that was to be a pipe.
    pub stdin: Option<PipeWriter>,
    /// Its standard output.
    pub stdout: PipeReader,
    /// Its standard error.
    pub stderr: PipeReader,
    /// To signal and kill it.
    pub control: Control,
    /// To learn of its end.
    pub events: Events,
}

/// A cheap handle to the process's one warden.
#[derive(Debug, Clone)]
pub struct Warden(Arc<Shared>);

impl Warden {
    /// Starts a warden and gives the task that must run beside it; it ends after [`Self::stop`], and dropping it kills
    /// everything. At most one a process, inside a tokio runtime: the process becomes a subreaper, and the task takes every
    /// child of it for one of the warden's.
    ///
    /// # Errors
    /// What posix_spawn gives, or no descriptors.
    pub fn start(options: WardenOptions) -> io::Result<(Self, impl Future<Output = ()> + Send + 'static)> {
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
        let strangers = Strangers::new(options.adopts, options.counters.clone());
        let link = Arc::new(Link::start(&options)?);
        let shared = Arc::new(Shared {
            options,
            table: Table::default(),
            link: watch::Sender::new(Some(Arc::clone(&link))),
            stage: watch::Sender::new(Life::Running),
            lease: AtomicU64::new(0),
        });
        let task = recover::run(recover::Watch::new(Arc::clone(&shared), strangers), link);
        Ok((Self(shared), task))
    }

    /// Starts a process.
    ///
    /// # Errors
    /// The stage that failed with its errno. [`Stage::Warden`] with ECONNRESET means that the warden died meanwhile: the
    /// program may have run, though nothing of it is left.
    pub async fn spawn(&self, spec: SpawnSpec) -> Result<Process, SpawnError> {
        self.start_one(&spec, false).await
    }

    /// Starts a process that the warden kills when the lease runs out ([`Self::refresh`]).
    ///
    /// # Errors
    /// As [`Self::spawn`]; [`Stage::Fence`] where the lease has run out already and nothing was begun.
    pub async fn spawn_fenced(&self, spec: SpawnSpec) -> Result<Process, SpawnError> {
        self.start_one(&spec, true).await
    }

    /// The lease runs until `deadline`: what is fenced may run as long, and not longer.
    pub(crate) fn refresh(&self, deadline: Boottime) {
        // The last word counts, also where it shortens: the coordinator may have come back with shorter leases.
        self.0.lease.store(deadline.0, Ordering::Relaxed);
        // Without a warden, the next one is told.
        if let Some(link) = &*self.0.link.borrow() {
            link.refresh(deadline);
        }
    }

    async fn start_one(&self, spec: &SpawnSpec, fenced: bool) -> Result<Process, SpawnError> {
        let started = self.try_start(spec, fenced).await;
        match &started {
            Ok(_) => self.0.options.counters.spawned(),
            // Nothing was begun, and nobody failed.
            Err(error) if error.stage == Stage::Fence => {}
            Err(_) => self.0.options.counters.spawn_failed(),
        }
        started
    }

    async fn try_start(&self, spec: &SpawnSpec, fenced: bool) -> Result<Process, SpawnError> {
        let hold = self.0.options.containment.hold(&spec.limits);
        let hold = hold.map_err(|error| SpawnError::from_io(Stage::Group, &error))?.map(Arc::new);
        let leaf = hold.as_ref().and_then(|hold| hold.group());
        let request = Request::Spawn { fenced, contained: leaf.is_some() };
        let prepared = Prepared::new(spec, leaf)?;
        let (link, mut answer) = self.send(&prepared, request, hold).await?;
        let Pipes { stdin, stdout, stderr } = prepared.into_ours();
        let answer = match self.patiently(&mut answer).await {
            Some(answer) => answer,
            None => {
                // Whoever recovers from its death answers.
                link.kill();
                answer.await
            }
        };
        let started = answer.unwrap_or(Err(SpawnError::early(Stage::Warden, libc::ESHUTDOWN)))?;
        Ok(Process { pid: started.pid, stdin, stdout, stderr, control: started.control, events: started.events })
    }

    /// What the warden answers, unless it is silent for longer than its slowest answer takes: that a child which did not exec in
    /// time would not die either.
    async fn patiently(&self, answer: &mut Answer) -> Option<<Answer as Future>::Output> {
        let limits = &self.0.options;
        let mut left = limits.start_timeout + limits.proof_timeout + ANSWER_SLACK;
        while !left.is_zero() {
            let tick = left.min(ANSWER_TICK);
            if let Ok(answer) = timeout(tick, &mut *answer).await {
                return Some(answer);
            }
            left -= tick;
        }
        None
    }

    /// Kills everything that still runs and ends the warden. Returns when all is proven gone, or after about twice the proof
    /// timeout; the warden then stays, with the lock, until it has its proof.
    pub async fn stop(&self) {
        self.0.stage.send_if_modified(|life| {
            let running = *life == Life::Running;
            if running {
                *life = Life::Stopping;
            }
            running
        });
        // An error means that the sender is gone, which `self` rules out.
        let _ = self.0.stage.subscribe().wait_for(|life| *life == Life::Over).await;
    }

    /// The warden's number while there is one, for logs and tests.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        let link = self.0.link.borrow();
        link.as_ref().map(|link| link.pid().as_raw_pid().cast_unsigned())
    }

    /// Hands the request to a living warden. What was not taken was not started, so it is safe to try the next one.
    async fn send(
        &self,
        prepared: &Prepared,
        request: Request,
        hold: Option<Arc<Hold>>,
    ) -> Result<(Arc<Link>, Answer), SpawnError> {
        let until = Instant::now() + WARDEN_WAIT_MAX;
        let fds = prepared.to_pass();
        loop {
            let link = self.link(until).await?;
            if timeout_at(until, link.writable()).await.is_err() {
                return Err(SpawnError::early(Stage::Warden, libc::ETIMEDOUT));
            }
            let (ticket, answer) = self.0.table.open(hold.clone());
            match link.try_send(request, ticket, &fds) {
                Ok(Sent::Yes) => return Ok((link, answer)),
                Ok(Sent::NoRoom) => self.0.table.cancel(ticket),
                Ok(Sent::WardenGone) => {
                    self.0.table.cancel(ticket);
                    self.await_change(&link, until).await;
                }
                Err(error) => {
                    self.0.table.cancel(ticket);
                    return Err(SpawnError::from_io(Stage::Warden, &error));
                }
            }
        }
    }

    async fn link(&self, until: Instant) -> Result<Arc<Link>, SpawnError> {
        let mut links = self.0.link.subscribe();
        let mut life = self.0.stage.subscribe();
        let link = async {
            tokio::select! {
                biased;
                _ = life.wait_for(|life| *life != Life::Running) => None,
                Ok(link) = links.wait_for(Option::is_some) => link.clone(),
            }
        };
        match timeout_at(until, link).await {
            Ok(Some(link)) => Ok(link),
            Ok(None) => Err(SpawnError::early(Stage::Warden, libc::ESHUTDOWN)),
            Err(_elapsed) => Err(SpawnError::early(Stage::Warden, libc::ETIMEDOUT)),
        }
    }

    /// Waits until the task has noticed that `dead` is, too.
    async fn await_change(&self, dead: &Arc<Link>, until: Instant) {
        let mut links = self.0.link.subscribe();
        let changed = links.wait_for(|link| !link.as_ref().is_some_and(|link| Arc::ptr_eq(link, dead)));
        // Too late: the next look for a link says so.
        let _ = timeout_at(until, changed).await;
    }
}

type Answer = tokio::sync::oneshot::Receiver<Result<Started, SpawnError>>;
