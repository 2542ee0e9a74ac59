//! What is asked of finished jobs: to begin again, or to go. The core holds none of them, so they are read here, by key, between two
//! commits and before anything else of the tick: what is on record then is all there is.

use tokio::sync::oneshot;
use windlass_core::{Effect, Input, Refusal, Reply};
use windlass_shared::ids::JobId;
use windlass_shared::time::Now;

use super::error::{Stopping, WordError};
use super::handle::DriverHandle;
use super::message::{Control, RequestKey};
use super::repeats::Repeats;
use super::{Driver, Waiting};
use crate::store::{Batch, Finished, Revived};

/// Asks about finished jobs.
pub(crate) enum OfFinished {
    Requeue(Requeue),
    Purge { jobs: Vec<JobId>, reply: oneshot::Sender<usize> },
}

/// Asks for finished jobs to be taken in again.
pub(crate) struct Requeue {
    jobs: Vec<JobId>,
    /// What makes a repeat safe, where the caller asked for that.
    request: Option<RequestKey>,
    reply: oneshot::Sender<Result<Requeued, WordError>>,
}

/// What came of a requeue.
#[derive(Debug)]
pub(crate) enum Requeued {
    /// Of each job, in order: whether there was one.
    Now(Vec<Result<bool, WordError>>),
    /// All that was to be done was done by this very request before.
    Before,
}

/// Who is told of a purge, and how many went.
pub(super) type Purged = (oneshot::Sender<usize>, usize);

impl DriverHandle {
    /// Takes finished jobs in again; it is on record when this answers.
    pub(crate) async fn requeue(&self, jobs: Vec<JobId>, request: Option<RequestKey>) -> Result<Requeued, WordError> {
        self.ask(|reply| Control::OfFinished(OfFinished::Requeue(Requeue { jobs, request, reply }))).await?
    }

    /// Forgets finished jobs; how many there were, and are not on record any more when this answers.
    pub(crate) async fn forget_finished(&self, jobs: Vec<JobId>) -> Result<usize, Stopping> {
        self.ask(|reply| Control::OfFinished(OfFinished::Purge { jobs, reply })).await
    }
}

impl Driver {
    /// Whom to tell of a purge once it is on record.
    pub(super) fn on_finished(
        &mut self,
        now: Now,
        ask: OfFinished,
        repeats: &mut Repeats,
        batch: &mut Batch,
        out: &mut Vec<Effect>,
    ) -> Option<Purged> {
        match ask {
            OfFinished::Requeue(ask) => {
                self.on_requeue(now, ask, repeats, batch, out);
                None
            }
            OfFinished::Purge { jobs, reply } => {
                let before = batch.purged.len();
                for job in jobs {
                    // One that cannot be read is none that anybody could miss less: it goes too.
                    let there = !matches!(self.store.finished(job), Ok(None));
                    if there && !self.core.is_live(job) && !batch.purged.contains(&job) {
                        batch.purged.push(job);
                    }
                }
                Some((reply, batch.purged.len() - before))
            }
        }
    }

    fn on_requeue(&mut self, now: Now, ask: Requeue, repeats: &mut Repeats, batch: &mut Batch, out: &mut Vec<Effect>) {
        let Requeue { jobs, request, reply } = ask;
        let subject = jobs.first().copied().unwrap_or_else(|| JobId::from_bytes([0; 16]));
        // A caller that left before its answer is no error.
        match request.as_ref().map_or(Ok(None), |key| repeats.word(key, subject, now.wall, &*self.store)) {
            Ok(Some(true)) => return drop(reply.send(Ok(Requeued::Before))),
            Ok(Some(false)) => {
                let id = request.map(|key| key.id).unwrap_or_default();
                return drop(reply.send(Err(WordError::RequestIdTaken { id })));
            }
            Err(unreadable) => return drop(reply.send(Err(unreadable.into()))),
            Ok(None) => {}
        }
        let found: Vec<_> = jobs.iter().map(|job| self.find_finished(*job, batch)).collect();
        let records = found.iter().filter_map(|one| Some(one.as_ref().ok()?.as_ref()?.record.clone())).collect();
        let ticket = self.next_ticket();
        let before = out.len();
        self.core.handle_into(now, Input::Requeue { ticket, jobs: records }, out);
        let answers = out[before..].iter().find_map(|effect| match effect {
            Effect::Reply(of, Reply::Requeued(answers)) if *of == ticket => Some(answers.clone()),
            _ => None,
        });
        let said = take_in(found, answers.unwrap_or_default(), batch);
        if let Some(key) = request.filter(|_| !said.iter().any(|one| matches!(one, Ok(true)))) {
            repeats.forget_word(&key.id);
        }
        self.waiting.insert(ticket, Waiting::Requeue(said, reply));
    }

    /// The job as it is on record, where it is finished; none: there is none.
    fn find_finished(&self, job: JobId, batch: &Batch) -> Result<Option<Finished>, WordError> {
        if let Some(state) = self.core.state_of(job) {
            return Err(Refusal::JobNotFinal { job, state }.into());
        }
        if batch.purged.contains(&job) {
            return Ok(None);
        }
        Ok(self.store.finished(job)?)
    }
}

/// What the core took in goes into the batch. Of each job, what came of it.
fn take_in(
    found: Vec<Result<Option<Finished>, WordError>>,
    answers: Vec<Result<(), Refusal>>,
    batch: &mut Batch,
) -> Vec<Result<bool, WordError>> {
    let mut answers = answers.into_iter();
    let mut one = |found: Result<Option<Finished>, WordError>| {
        let Some(job) = found? else { return Ok(false) };
        answers.next().unwrap_or(Ok(()))?;
        batch.specs.push((job.record.id, job.spec));
        batch.revived.push(Revived { job: job.record.id, attempt: job.attempt });
        Ok(true)
    };
    found.into_iter().map(&mut one).collect()
}
