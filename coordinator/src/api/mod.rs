//! The services. Each call is checked, translated, handed to the driver or answered from what is on record; nothing is
//! decided here, and the store stays out of sight behind [`Records`].

mod agent_service;
mod asking;
mod counters;
mod error;
mod finished;
mod fleet_service;
mod ids;
mod job_service;
mod limit_service;
mod logs;
mod page;
mod places;
mod pool_service;
mod pools_page;
mod push_logs;
mod queue_service;
mod submit;
mod tail;
mod watch;
mod words;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio_stream::Stream;
use tonic::Status;
use windlass_shared::domain::JobView;
use windlass_shared::ids::JobId;
use windlass_shared::task::Tasks;

pub(crate) use ids::JobIds;
#[cfg(test)]
pub(crate) use push_logs::Taker;

use crate::counters::Counters;
use crate::driver::DriverHandle;
use crate::logs::Logs;
use crate::records::Records;
use crate::sessions::Registry;
use crate::watch::Watch;
use error::ApiError;

/// A stream of answers.
pub(crate) type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// What the services share.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    pub(crate) driver: DriverHandle,
    pub(crate) records: Records,
    pub(crate) watch: Arc<Watch>,
    pub(crate) logs: Arc<Logs>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) tasks: Tasks,
    pub(crate) lease_ttl: Duration,
    pub(crate) ids: Arc<JobIds>,
    pub(crate) counters: Arc<Counters>,
}

impl Api {
    fn job(&self, id: JobId) -> Result<JobView, ApiError> {
        self.records.job(id)?.ok_or(ApiError::NoSuchJob(id))
    }
}
