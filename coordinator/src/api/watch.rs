//! Changes as they are recorded, streamed and by the page.

use std::collections::BTreeSet;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use windlass_shared::convert;
use windlass_shared::ids::JobId;
use windlass_shared::pb;
use windlass_shared::status::to_status;

use super::{Answers, Api};
use crate::watch::Events;

/// Changes in one message: with the buffer below, what a slow watcher may be behind beside the ring.
const EVENTS_PER_MESSAGE: usize = 1_000;
const MESSAGES_AHEAD: usize = 4;
const EVENTS_PAGE: usize = 100;

fn job_set(field: &str, ids: &[String]) -> Result<BTreeSet<JobId>, Status> {
    let ids = convert::job_ids(field, ids).map_err(|err| to_status(&err))?;
    Ok(ids.into_iter().collect())
}

fn events_to_wire(page: &Events) -> Vec<pb::JobEvent> {
    page.events.iter().map(convert::event_to_wire).collect()
}

impl Api {
    pub(super) fn list_events(&self, request: &pb::ListJobEventsRequest) -> Result<pb::ListJobEventsResponse, Status> {
        let jobs = job_set("job_ids", &request.job_ids)?;
        let limit = convert::page_size("page_size", request.page_size, EVENTS_PAGE).map_err(|err| to_status(&err))?;
        let page = self.watch.after(request.after_revision, &jobs, limit).map_err(|err| to_status(&err))?;
        Ok(pb::ListJobEventsResponse { events: events_to_wire(&page), revision: page.revision })
    }

    pub(super) fn watch_events(
        &self,
        request: &pb::WatchJobsRequest,
    ) -> Result<Answers<pb::WatchJobsResponse>, Status> {
        let jobs = job_set("job_ids", &request.job_ids)?;
        let after = request.after_revision.unwrap_or_else(|| self.watch.newest());
        // A revision that cannot be gone on from is refused before the stream begins.
        self.watch.after(after, &jobs, 0).map_err(|err| to_status(&err))?;
        let (answers, stream) = mpsc::channel(MESSAGES_AHEAD);
        let (api, stop) = (self.clone(), self.tasks.stop_token().clone());
        self.tasks.spawn("watch", async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = api.send_events(after, &jobs, &answers) => {}
            }
        });
        Ok(Box::pin(ReceiverStream::new(stream)))
    }

    /// Sends changes until the watcher leaves or falls behind what is kept.
    async fn send_events(
        &self,
        mut revision: u64,
        jobs: &BTreeSet<JobId>,
        answers: &mpsc::Sender<Result<pb::WatchJobsResponse, Status>>,
    ) {
        // The first answer says where the watcher stands, so that one who watches "from now on" can resume.
        let mut first = true;
        loop {
            let answer = match self.watch.after(revision, jobs, EVENTS_PER_MESSAGE) {
                Ok(page) => {
                    revision = page.revision;
                    (first || !page.events.is_empty())
                        .then(|| Ok(pb::WatchJobsResponse { events: events_to_wire(&page), revision }))
                }
                Err(behind) => Some(Err(to_status(&behind))),
            };
            first = false;
            if let Some(answer) = answer {
                let last = answer.is_err();
                if answers.send(answer).await.is_err() || last {
                    return;
                }
            }
            tokio::select! {
                () = self.watch.changed(revision) => {}
                () = answers.closed() => return,
            }
        }
    }
}
