//! What callers want of jobs that wait: another place, none at all, or to know why.

use std::sync::Arc;

use windlass_shared::domain::Explanation;
use windlass_shared::ids::JobId;

use super::error::Stopping;
use super::handle::DriverHandle;
use super::message::Control;
use super::operators::WishError;

impl DriverHandle {
    /// Gives a job that waits another priority or queue; whether there is a live one. It is on record when this answers.
    pub(crate) async fn update_job(
        &self,
        job: JobId,
        priority: Option<i8>,
        queue: Option<Arc<str>>,
    ) -> Result<bool, WishError> {
        Ok(self.ask(|reply| Control::UpdateJob { job, priority, queue, reply }).await??)
    }

    /// Cancels what waits in a queue: how many jobs, and whether there are more.
    pub(crate) async fn purge(&self, queue: Arc<str>, detail: Option<Arc<str>>) -> Result<(usize, bool), Stopping> {
        self.ask(|reply| Control::Purge { queue, detail, reply }).await
    }

    /// Why a job waits; none where no live job has the id.
    pub(crate) async fn explain(&self, job: JobId) -> Result<Option<Explanation>, Stopping> {
        self.look(move |core, now| core.explain(now, job)).await
    }
}
