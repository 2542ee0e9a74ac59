//! What is on record about jobs, and waiting for it to change: all that the services see of the store.

use std::sync::Arc;

use tokio::sync::Semaphore;
use windlass_shared::domain::{CallResult, JobView};
use windlass_shared::ids::JobId;

use crate::bells::Bells;
use crate::store::Store;
pub(crate) use crate::store::{Filter, Page, ReadError};

/// Lists looked up at a time. More would take all that reads, and whoever asks for one job would wait for somebody's scan.
const LISTS_MAX: usize = 2;

/// Reads what is durable.
#[derive(Debug, Clone)]
pub(crate) struct Records {
    store: Arc<dyn Store>,
    bells: Bells,
    lists: Arc<Semaphore>,
}

impl Records {
    pub(crate) fn new(store: Arc<dyn Store>, bells: Bells) -> Self {
        Self { store, bells, lists: Arc::new(Semaphore::new(LISTS_MAX)) }
    }

    pub(crate) fn job(&self, id: JobId) -> Result<Option<JobView>, ReadError> {
        self.store.job(id)
    }

    pub(crate) fn result(&self, id: JobId) -> Result<Option<CallResult>, ReadError> {
        self.store.result(id)
    }

    /// A page may be a scan of thousands of rows from a cold disk, so it is not for the threads that heartbeats and decisions need.
    pub(crate) async fn list(&self, filter: Filter, before: Option<JobId>, limit: usize) -> Result<Page, ReadError> {
        let failed = |err: &dyn std::fmt::Display| ReadError::Failed(err.to_string());
        let turn = self.lists.clone().acquire_owned().await.map_err(|err| failed(&err))?;
        let store = self.store.clone();
        // A caller that leaves does not end the scan, so the turn goes with it.
        let scan = tokio::task::spawn_blocking(move || {
            let page = store.list(&filter, before, limit);
            drop(turn);
            page
        });
        scan.await.map_err(|err| failed(&err))?
    }

    /// Answers what `look` answers, once it answers anything: asked at once, and again whenever the job changes or writes.
    pub(crate) async fn wait<T>(&self, id: JobId, look: impl FnMut() -> Option<T>) -> T {
        self.bells.subscribe(id).until(look).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::store::faulty::FaultyStore;
    use crate::store::{Retention, memory};

    #[tokio::test]
    async fn a_list_that_takes_its_time_holds_up_no_other_task() {
        let store = Arc::new(FaultyStore::new(memory(Retention::in_memory(), 7).store, []));
        let (done, slow) = mpsc::channel();
        store.hold_next_list(slow);
        let records = Records::new(store, Bells::default());
        // There is one thread for both.
        let (page, told) = tokio::join!(records.list(Filter::default(), None, 1), async { done.send(()) });
        assert!(page.is_ok() && told.is_ok(), "{page:?}");
    }
}
