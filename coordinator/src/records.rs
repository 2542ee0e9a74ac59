//! What is on record about jobs, and waiting for it to change: all that the services see of the store.

use std::sync::Arc;

use windlass_shared::domain::{CallResult, JobView};
use windlass_shared::ids::JobId;

use crate::bells::Bells;
use crate::store::Store;
pub(crate) use crate::store::{Filter, Page, ReadError};

/// Reads what is durable.
#[derive(Debug, Clone)]
pub(crate) struct Records {
    store: Arc<dyn Store>,
    bells: Bells,
}

impl Records {
    pub(crate) fn new(store: Arc<dyn Store>, bells: Bells) -> Self {
        Self { store, bells }
    }

    pub(crate) fn job(&self, id: JobId) -> Result<Option<JobView>, ReadError> {
        self.store.job(id)
    }

    pub(crate) fn result(&self, id: JobId) -> Result<Option<CallResult>, ReadError> {
        self.store.result(id)
    }

    pub(crate) fn list(&self, filter: &Filter, before: Option<JobId>, limit: usize) -> Result<Page, ReadError> {
        self.store.list(filter, before, limit)
    }

    /// Answers what `look` answers, once it answers anything: asked at once, and again whenever the job changes or writes.
    pub(crate) async fn wait<T>(&self, id: JobId, look: impl FnMut() -> Option<T>) -> T {
        self.bells.subscribe(id).until(look).await
    }
}
