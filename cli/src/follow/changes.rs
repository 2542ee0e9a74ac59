//! The changes of jobs as they are recorded, over broken connections and restarts of the coordinator: resumed by revision,
//! so that nothing is missed and nothing comes twice. What is no longer kept is named as a gap, and the jobs are looked at
//! one by one in its place.

use std::collections::{HashMap, HashSet};

use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinSet;
use tonic::{Code, Status};
use windlass_shared::limits::WATCH_IDS_MAX;
use windlass_shared::pb;

use crate::client::Client;
use crate::failure::Failure;
use crate::fanout;
use crate::patience::Patience;

/// Messages that may wait for the screen; the coordinator batches what comes faster.
const WAITING: usize = 16;

/// Where a watch begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    /// With the next change.
    Now,
    /// With how each job stands.
    Standing,
    /// With the first change after this revision.
    After(u64),
}

/// What a watch brings.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum News {
    /// Changes, oldest first.
    Events(Vec<pb::JobEvent>),
    /// Changes after this revision are no longer kept. The newest change of each job that was asked for by its id follows.
    Gap { after: u64 },
    /// Nothing more can be seen. Always the last.
    Over(Failure),
}

/// The changes of some jobs. Dropping it ends the watch.
#[derive(Debug)]
pub(crate) struct Changes {
    news: Receiver<News>,
    _task: JoinSet<()>,
}

impl Changes {
    /// The changes of these jobs, or of all where none is named.
    pub(crate) fn watch(client: Client, ids: &[String], from: From) -> Self {
        let (sender, news) = channel(WAITING);
        let mut task = JoinSet::new();
        task.spawn(Watch::new(client, ids, from, sender).run());
        Self { news, _task: task }
    }

    /// What comes next; waits for ever after the last.
    pub(crate) async fn next(&mut self) -> News {
        match self.news.recv().await {
            Some(news) => news,
            None => std::future::pending().await,
        }
    }
}

#[derive(Debug)]
struct Watch {
    client: Client,
    ids: Vec<String>,
    news: Sender<News>,
    view: View,
}

/// How far we have seen.
#[derive(Debug, Default)]
struct View {
    /// All up to here has been seen; none: the next stream begins with the present.
    revision: Option<u64>,
    /// The jobs are to be looked at once that stream has begun, for what changed after this revision.
    look_after: Option<u64>,
    /// Changes of a job up to here were seen by looking at it.
    looked: HashMap<String, u64>,
    /// What to pass on of a stream that brings all jobs; none: everything.
    only: Option<HashSet<String>>,
}

impl Watch {
    fn new(client: Client, ids: &[String], from: From, news: Sender<News>) -> Self {
        let (revision, look_after) = match from {
            From::Now => (None, None),
            From::Standing => (None, Some(0)),
            From::After(revision) => (Some(revision), None),
        };
        // More than the coordinator takes: watch all jobs, and pick.
        let only = (ids.len() > WATCH_IDS_MAX).then(|| ids.iter().cloned().collect());
        let view = View { revision, look_after, only, ..View::default() };
        Self { client, ids: ids.to_vec(), news, view }
    }

    async fn run(mut self) {
        let mut patience = self.client.patience();
        loop {
            let ended = self.stream(&mut patience).await;
            let status = ended.err().unwrap_or_else(|| Status::unavailable("the watch ended"));
            if let Some(after) = self.view.lose(&status) {
                let _ = self.news.send(News::Gap { after }).await;
                continue;
            }
            if let Err(status) = patience.bear(status).await {
                let over = News::Over(self.client.failure("watch the jobs", &status));
                let _ = self.news.send(over).await;
                return;
            }
        }
    }

    async fn stream(&mut self, patience: &mut Patience) -> Result<(), Status> {
        let job_ids = if self.view.only.is_some() { Vec::new() } else { self.ids.clone() };
        let request = pb::WatchJobsRequest { job_ids, after_revision: self.view.revision };
        let mut stream = self.client.watch_jobs(request).await?;
        while let Some(message) = stream.message().await? {
            patience.renew();
            // Only now: what changes from here on is in the stream, so that between the two nothing falls through.
            if let Some(after) = self.view.look_after {
                let jobs = self.look().await?;
                let events = self.view.looked_at(&jobs, after);
                self.show(events).await;
            }
            let events = self.view.fresh(message.events);
            self.view.revision = Some(message.revision);
            self.show(events).await;
        }
        Ok(())
    }

    async fn look(&self) -> Result<Vec<pb::Job>, Status> {
        let answers = fanout::each(self.ids.clone(), |id| {
            let client = self.client.clone();
            async move { client.get_job(&id).await }
        });
        answers.await.into_iter().collect()
    }

    async fn show(&self, events: Vec<pb::JobEvent>) {
        if !events.is_empty() {
            // Nobody listens: we are about to be dropped.
            let _ = self.news.send(News::Events(events)).await;
        }
    }
}

impl View {
    /// Where what follows on what was seen last is no longer kept: begins again with the present, and answers with what was
    /// seen last. After any other failure the next stream goes on where this one ended.
    fn lose(&mut self, status: &Status) -> Option<u64> {
        if status.code() != Code::OutOfRange {
            return None;
        }
        let after = self.revision.take()?;
        self.look_after = Some(after);
        Some(after)
    }

    /// The newest change of each job after a revision, as its event would have told it.
    fn looked_at(&mut self, jobs: &[pb::Job], after: u64) -> Vec<pb::JobEvent> {
        self.look_after = None;
        self.looked = jobs.iter().map(|job| (job.id.clone(), job.revision)).collect();
        let mut events: Vec<_> = jobs.iter().filter(|job| job.revision > after).map(newest_change).collect();
        events.sort_by_key(|event| event.revision);
        events
    }

    fn fresh(&self, mut events: Vec<pb::JobEvent>) -> Vec<pb::JobEvent> {
        events.retain(|event| {
            let wanted = self.only.as_ref().is_none_or(|only| only.contains(&event.job_id));
            wanted && self.looked.get(&event.job_id).is_none_or(|seen| event.revision > *seen)
        });
        events
    }
}

fn newest_change(job: &pb::Job) -> pb::JobEvent {
    let attempt = job.attempts.last();
    pb::JobEvent {
        revision: job.revision,
        time: job.update_time,
        job_id: job.id.clone(),
        state: job.state,
        attempt: attempt.map_or(0, |attempt| attempt.number),
        agent_id: attempt.map_or_else(String::new, |attempt| attempt.agent_id.clone()),
        reason: job.reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(id: &str, revision: u64) -> pb::Job {
        let attempts = vec![pb::Attempt { number: 2, agent_id: "agent".into(), ..pb::Attempt::default() }];
        pb::Job { id: id.into(), revision, attempts, ..pb::Job::default() }
    }

    fn event(id: &str, revision: u64) -> pb::JobEvent {
        pb::JobEvent { job_id: id.into(), revision, ..pb::JobEvent::default() }
    }

    fn revisions(events: &[pb::JobEvent]) -> Vec<u64> {
        events.iter().map(|event| event.revision).collect()
    }

    #[test]
    fn after_a_gap_each_job_that_changed_is_told_once_and_in_order() {
        let mut view = View { revision: Some(5), ..View::default() };
        let too_old = Status::out_of_range("no longer kept");
        assert_eq!((view.lose(&too_old), view.revision, view.look_after), (Some(5), None, Some(5)));
        let told = view.looked_at(&[job("a", 9), job("b", 7), job("c", 4)], 5);
        assert_eq!(revisions(&told), [7, 9]);
        assert_eq!((told[0].attempt, told[0].agent_id.as_str()), (2, "agent"));
        let stream = vec![event("b", 7), event("a", 8), event("a", 9), event("b", 10), event("c", 11)];
        assert_eq!(revisions(&view.fresh(stream)), [10, 11]);
    }

    #[test]
    fn a_stream_that_begins_with_the_present_cannot_be_too_old() {
        assert_eq!(View::default().lose(&Status::out_of_range("no longer kept")), None);
    }

    #[test]
    fn after_a_break_the_watch_goes_on_where_it_was() {
        let mut view = View { revision: Some(5), ..View::default() };
        assert_eq!((view.lose(&Status::unavailable("gone")), view.revision), (None, Some(5)));
    }

    #[test]
    fn of_a_stream_of_all_jobs_only_the_wanted_are_passed_on() {
        let view = View { only: Some(HashSet::from(["a".to_owned()])), ..View::default() };
        assert_eq!(revisions(&view.fresh(vec![event("a", 1), event("b", 2)])), [1]);
    }
}
