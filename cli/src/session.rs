//! One `run`: submit the plan, show what its jobs write in the order they were asked for, say how it went.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use windlass_shared::pb;

use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::follow::{Board, Changes, From, Lineup, News, Piece, Stream};
use crate::output::Screen;
use crate::spec::Plan;
use crate::submit::{Submission, submit};
use crate::summary::Tally;
use crate::{explain, fanout, humane, last};

/// Ten a second: smooth to the eye, nothing to the terminal.
const PAINT_INTERVAL: Duration = Duration::from_millis(100);
/// Time for the cancels to leave where nobody reads us any more.
const CANCEL_LIMIT: Duration = Duration::from_secs(5);

/// What a `run` needs.
#[derive(Debug)]
pub(crate) struct Session<'a> {
    pub(crate) client: &'a Client,
    pub(crate) plan: &'a Plan,
    /// Cancelled: the jobs are to be cancelled, and their end still shown.
    pub(crate) stop: &'a CancellationToken,
    /// The coordinator is there for this run only.
    pub(crate) throw_away: bool,
}

impl Session<'_> {
    /// Carries it out; the answer is what the exit code says of the jobs.
    pub(crate) async fn run(&self) -> Result<Exit, Failure> {
        let started = Instant::now();
        let screen = Screen::new();
        let with_bar = screen.shows_bar() && self.plan.len() > 1;
        let before = if with_bar { self.newest_revision().await } else { None };
        let submission = submit(self.client, self.plan, self.stop).await;
        let jobs: Vec<(usize, String)> = submission.accepted().map(|(index, id)| (index, id.clone())).collect();
        if !self.throw_away {
            last::remember(self.client.address(), jobs.iter().map(|(_, id)| id));
        }
        let mut show = Show::new(self, screen, jobs, started);
        show.refused(&submission).await;
        if let Some(failure) = submission.broken {
            return Err(show.broke_off(failure).await);
        }
        if with_bar {
            show.watch(before);
        }
        show.follow().await
    }

    // What the watch begins after, so that no change of a job that is over at once is missed.
    async fn newest_revision(&self) -> Option<u64> {
        let request = pb::ListJobsRequest { page_size: 1, ..pb::ListJobsRequest::default() };
        let page = self.client.list_jobs(request).await.ok()?;
        Some(page.jobs.first().map_or(0, |job| job.revision))
    }
}

/// What is on the screen, and what it is made from.
struct Show<'a> {
    session: &'a Session<'a>,
    screen: Screen,
    /// Index in the plan, and id, of each job.
    jobs: Vec<(usize, String)>,
    lineup: Lineup,
    changes: Option<Changes>,
    board: Board,
    tally: Tally,
    last: Option<pb::Job>,
    cancels: JoinSet<()>,
    ticks: Interval,
    started: Instant,
}

/// What comes next.
enum Turn {
    Piece(usize, Piece),
    Events(Vec<pb::JobEvent>),
    Paint,
    Stop,
    Over,
}

impl<'a> Show<'a> {
    fn new(session: &'a Session<'a>, screen: Screen, jobs: Vec<(usize, String)>, started: Instant) -> Self {
        let ids: Vec<String> = jobs.iter().map(|(_, id)| id.clone()).collect();
        let mut cancels = JoinSet::new();
        cancels.spawn(cancel_at(session.stop.clone(), session.client.clone(), ids.clone()));
        let mut ticks = interval(PAINT_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (lineup, board) = (Lineup::new(session.client.clone(), ids.clone()), Board::new(&ids));
        let (changes, tally, last) = (None, Tally::default(), None);
        Self { session, screen, jobs, lineup, changes, board, tally, last, cancels, ticks, started }
    }

    async fn refused(&mut self, submission: &Submission) {
        for failure in submission.refused(self.session.plan) {
            self.tally.add_refused();
            self.screen.say(&failure.to_string()).await;
        }
    }

    fn watch(&mut self, before: Option<u64>) {
        let ids: Vec<String> = self.jobs.iter().map(|(_, id)| id.clone()).collect();
        let from = before.map_or(From::Now, From::After);
        self.changes = Some(Changes::watch(self.session.client.clone(), &ids, from));
    }

    async fn follow(mut self) -> Result<Exit, Failure> {
        let mut told = false;
        loop {
            match self.turn(told).await {
                Turn::Over => return Ok(self.sum_up().await),
                Turn::Paint => self.paint().await,
                Turn::Events(events) => events.iter().for_each(|event| self.board.note(&event.job_id, event.state)),
                Turn::Stop => {
                    told = true;
                    self.screen.say("cancelling; press Ctrl-C again to leave at once").await;
                }
                Turn::Piece(number, piece) => {
                    if let Err(failure) = self.show(number, piece).await {
                        return Err(self.give_up(failure).await);
                    }
                }
            }
        }
    }

    async fn turn(&mut self, told: bool) -> Turn {
        let with_bar = self.changes.is_some();
        tokio::select! {
            next = self.lineup.next() => match next {
                Some((number, piece)) => Turn::Piece(number, piece),
                None => Turn::Over,
            },
            events = next_events(&mut self.changes) => Turn::Events(events),
            _ = self.ticks.tick(), if with_bar => Turn::Paint,
            () = self.session.stop.cancelled(), if !told => Turn::Stop,
        }
    }

    async fn paint(&mut self) {
        let line = self.board.line(&humane::show_duration(self.started.elapsed()));
        self.screen.paint(&line).await;
    }

    async fn show(&mut self, number: usize, piece: Piece) -> Result<(), Failure> {
        let title = self.session.plan.title(self.jobs[number].0);
        match piece {
            Piece::Output(stream, data) => {
                let passed = self.screen.pass(stream, &data).await;
                passed.map_err(|err| Failure::io("pass on what the jobs write", &err))?;
            }
            Piece::Dropped(stream, bytes) => {
                let name = if stream == Stream::Stdout { "standard output" } else { "standard error" };
                self.screen.say(&format!("{title}: {bytes} bytes of its {name} were not kept")).await;
            }
            Piece::Attempt(attempt) => self.screen.say(&format!("{title}: attempt {attempt}")).await,
            Piece::End(end) => {
                let job = (*end)?;
                // What we cancelled ourselves needs no word for each.
                let ours = self.session.stop.is_cancelled() && job.state() == pb::job::State::Cancelled;
                if let Some(line) = explain::failure(&job, &title).filter(|_| !ours) {
                    self.screen.say(&line).await;
                }
                self.board.note(&job.id, job.state);
                self.tally.add(&job);
                self.last = Some(job);
            }
        }
        Ok(())
    }

    async fn sum_up(&mut self) -> Exit {
        if self.session.plan.is_each() || self.session.throw_away {
            self.screen.say(&self.tally.line(self.started.elapsed())).await;
        }
        match &self.last {
            Some(job) if !self.session.plan.is_each() => Exit::of_job(job),
            _ => self.tally.exit(),
        }
    }

    // We can show nothing more, so nobody waits for the jobs: cancel them, and leave with the failure. Where it is the
    // coordinator that is out of reach, they go on, and their ids are kept for a later look.
    async fn give_up(mut self, failure: Failure) -> Failure {
        if failure.exit == Exit::UNREACHABLE {
            let limit = humane::show_duration(self.session.client.patience_limit());
            let tried = format!("tried for {limit}; jobs on record go on without us");
            return failure.because([tried]).remedy("`windlass wait @last` when it is back");
        }
        self.cancel().await;
        failure
    }

    // Some jobs could not be submitted: the others are of no use. What is out of reach cannot be cancelled either, and what
    // was being sent may be on record.
    async fn broke_off(mut self, failure: Failure) -> Failure {
        let sent = format!("{} of {} jobs were on record before", self.jobs.len(), self.session.plan.len());
        if failure.exit == Exit::UNREACHABLE {
            let on = "the next ones may be too; jobs on record go on without us".to_owned();
            return failure.because([sent, on]).remedy("`windlass job list` when it is back");
        }
        self.cancel().await;
        failure.because((!self.jobs.is_empty()).then(|| sent + "; they are cancelled"))
    }

    async fn cancel(&mut self) {
        self.session.stop.cancel();
        let _ = timeout(CANCEL_LIMIT, self.cancels.join_next()).await;
    }
}

async fn next_events(changes: &mut Option<Changes>) -> Vec<pb::JobEvent> {
    loop {
        match changes {
            Some(changes) => match changes.next().await {
                News::Events(events) => return events,
                // The bar alone misses something: the jobs themselves are followed one by one.
                News::Gap { .. } | News::Over(_) => {}
            },
            None => std::future::pending().await,
        }
    }
}

// On its own, because the screen may be stuck on a reader that does not read.
async fn cancel_at(stop: CancellationToken, client: Client, ids: Vec<String>) {
    stop.cancelled().await;
    // A job that cannot be cancelled shows by how it ends.
    fanout::each(ids, |id| {
        let client = client.clone();
        async move { client.patiently("cancel the job", || client.cancel_job(&id, "run was interrupted")).await.is_ok() }
    })
    .await;
}
