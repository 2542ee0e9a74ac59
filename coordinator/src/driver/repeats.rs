//! Repeated submits: the same request id and the same spec are answered with the job there is.
//!
//! Looked up by primary key between two commits, so what is on record is everything there is, but for the jobs of the tick
//! being put together; those are remembered here until it is committed.

use std::collections::{BTreeMap, HashMap};

use windlass_core::Submission;
use windlass_shared::ids::JobId;
use windlass_shared::time::Timestamp;

use super::error::SubmitError;
use super::message::{Incoming, RequestKey};
use crate::store::{Batch, ReadError, Request, Store};

/// What is known of a job before the core is asked.
pub(crate) enum Resolved {
    /// New: the core decides.
    New(JobId),
    /// There is one, or none may be.
    Known(Result<JobId, SubmitError>),
}

impl Resolved {
    /// Where the same submit came twice in one call, the second has the job that the first came to, or none where that was refused.
    pub(super) fn correct(&mut self, other: &Others) {
        if let Self::Known(Ok(job)) = self
            && let Some(instead) = other.get(job)
        {
            *self = Self::Known(instead.ok_or(SubmitError::Overloaded));
        }
    }
}

/// Jobs that were submitted and are not on record: each with the one that is the answer instead, or none where it was refused.
pub(super) type Others = BTreeMap<JobId, Option<JobId>>;

/// The request ids of the tick that is being put together.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    of_this_tick: HashMap<Box<str>, Request>,
}

impl Repeats {
    /// Sorts one job into those that are new, which go into the batch and to the core, and those that are known.
    pub(super) fn resolve(
        &mut self,
        incoming: Incoming,
        at: Timestamp,
        store: &dyn Store,
        batch: &mut Batch,
        jobs: &mut Vec<Submission>,
    ) -> Resolved {
        let Incoming { job, header, spec, request } = incoming;
        if let Some(key) = request {
            match self.find(&key.id, store) {
                Ok(None) => {
                    let request = Request { id: key.id.clone(), digest: key.digest, job, at };
                    self.of_this_tick.insert(key.id, request);
                }
                Ok(Some(known)) => return Resolved::Known(same(key, &known)),
                Err(unreadable) => return Resolved::Known(Err(unreadable.into())),
            }
        }
        let spec_bytes = u32::try_from(spec.len()).unwrap_or(u32::MAX);
        batch.specs.push((job, spec));
        jobs.push(Submission { job, header, spec_bytes });
        Resolved::New(job)
    }

    /// What is known of an operator's word under this request; none: it is new, and remembered as said of `about`.
    ///
    /// # Errors
    /// Where the record cannot be read.
    pub(super) fn word(
        &mut self,
        key: &RequestKey,
        about: JobId,
        at: Timestamp,
        store: &dyn Store,
    ) -> Result<Option<bool>, ReadError> {
        if let Some(known) = self.find(&key.id, store)? {
            return Ok(Some(known.digest == key.digest));
        }
        let request = Request { id: key.id.clone(), digest: key.digest, job: about, at };
        self.of_this_tick.insert(key.id.clone(), request);
        Ok(None)
    }

    /// Forgets one that changed nothing.
    pub(super) fn forget_word(&mut self, id: &str) {
        self.of_this_tick.remove(id);
    }

    /// A request whose job is another is answered by that; one that was refused may be tried again under the same id.
    pub(super) fn correct(&mut self, others: &Others) {
        self.of_this_tick.retain(|_, request| match others.get(&request.job) {
            None => true,
            Some(None) => false,
            Some(Some(job)) => {
                request.job = *job;
                true
            }
        });
    }

    /// What the tick has to make durable.
    pub(super) fn into_requests(self) -> Vec<Request> {
        self.of_this_tick.into_values().collect()
    }

    fn find(&self, id: &str, store: &dyn Store) -> Result<Option<Request>, ReadError> {
        match self.of_this_tick.get(id) {
            Some(request) => Ok(Some(request.clone())),
            None => store.request(id),
        }
    }
}

fn same(key: RequestKey, known: &Request) -> Result<JobId, SubmitError> {
    if key.digest == known.digest {
        Ok(known.job)
    } else {
        Err(SubmitError::RequestIdTaken { id: key.id, job: known.job })
    }
}
