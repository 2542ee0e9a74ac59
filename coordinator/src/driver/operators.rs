//! What operators ask of the driver: looks at queues and agents, and the few things they decide about them.

use std::sync::Arc;
use std::time::Duration;

use windlass_core::{Core, Refusal};
use windlass_shared::convert::LabelFilter;
use windlass_shared::domain::{AgentRecord, LimitRecord, Pause, QueueField, QueueRecord, QueueSettings};
use windlass_shared::fault::{Fault, Kind};
use windlass_shared::ids::{AgentId, JobId, SessionId};
use windlass_shared::time::Now;

use super::error::Stopping;
use super::handle::DriverHandle;
use super::message::{Control, LimitWish, Wish};

/// A queue or a limit stays as it was.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WishError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Stopping(#[from] Stopping),
}

impl WishError {
    fn passed_on(&self) -> &dyn Fault {
        match self {
            Self::Refused(why) => why,
            Self::Stopping(why) => why,
        }
    }
}

impl Fault for WishError {
    fn kind(&self) -> Kind {
        self.passed_on().kind()
    }

    fn reason(&self) -> &'static str {
        self.passed_on().reason()
    }

    fn quota(&self) -> Option<String> {
        match self {
            Self::Refused(why) => why.quota(),
            Self::Stopping(_) => None,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        self.passed_on().retry_after()
    }
}

impl DriverHandle {
    /// Looks at the core between two ticks, when all that it knows is on record.
    pub(super) async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Core, Now) -> T + Send + 'static,
    ) -> Result<T, Stopping> {
        self.ask(|reply| {
            // The caller may have left; then nobody needs the answer.
            Control::Look(Some(Box::new(move |core, now| drop(reply.send(look(core, now))))))
        })
        .await
    }

    /// Up to `limit` agents with all of these labels, by id, after `after`.
    pub(crate) async fn agents(
        &self,
        after: Option<AgentId>,
        labels: Vec<LabelFilter>,
        limit: usize,
    ) -> Result<Vec<AgentRecord>, Stopping> {
        self.look(move |core, _| {
            let wanted = || labels.iter().map(|(key, value)| (&**key, &**value));
            core.agents_that(after, limit, |traits| traits.has_labels(wanted()))
        })
        .await
    }

    pub(crate) async fn agent(&self, id: AgentId) -> Result<Option<AgentRecord>, Stopping> {
        self.look(move |core, _| core.agent(id)).await
    }

    /// The stream that speaks for an agent; none where it is away; none at all where there is no such agent.
    pub(crate) async fn stream_of(&self, id: AgentId) -> Result<Option<Option<SessionId>>, Stopping> {
        self.look(move |core, _| core.stream_of(id)).await
    }

    /// One agent, or up to `limit` by id after `after`, each with the stream that speaks for it.
    pub(crate) async fn streams(
        &self,
        after: Option<AgentId>,
        one: Option<AgentId>,
        limit: usize,
    ) -> Result<Vec<(AgentRecord, Option<SessionId>)>, Stopping> {
        self.look(move |core, _| {
            let agents = match one {
                Some(id) => core.agent(id).into_iter().collect(),
                None => core.agents(after, limit),
            };
            agents
                .into_iter()
                .map(|agent| (core.stream_of(agent.id).flatten(), agent))
                .map(|(at, agent)| (agent, at))
                .collect()
        })
        .await
    }

    pub(crate) async fn queue(&self, name: Arc<str>) -> Result<QueueRecord, Stopping> {
        self.look(move |core, _| core.queue(&name)).await
    }

    /// Up to `limit` queues by name, after `after`.
    pub(crate) async fn queues(&self, after: Option<String>, limit: usize) -> Result<Vec<QueueRecord>, Stopping> {
        self.look(move |core, _| core.queues(after.as_deref(), limit)).await
    }

    /// What a job waits for; none where it does not wait.
    pub(crate) async fn why_waiting(&self, job: JobId) -> Result<Option<String>, Stopping> {
        self.look(move |core, now| core.why_waiting(now, job)).await
    }

    /// Hands out nothing more from a queue; it is on record when this answers.
    pub(crate) async fn pause(&self, queue: Arc<str>, pause: Pause) -> Result<QueueRecord, WishError> {
        Ok(self.ask(|reply| Control::Pause { queue, pause, reply }).await??)
    }

    /// Hands out jobs of a queue again.
    pub(crate) async fn resume(&self, queue: Arc<str>) -> Result<QueueRecord, WishError> {
        Ok(self.ask(|reply| Control::Resume { queue, reply }).await??)
    }

    /// Sets something of a queue; it is on record when this answers.
    pub(crate) async fn update_queue(
        &self,
        queue: Arc<str>,
        settings: QueueSettings,
        fields: Vec<QueueField>,
    ) -> Result<QueueRecord, WishError> {
        let settings = Box::new(settings);
        Ok(self.ask(|reply| Control::UpdateQueue { queue, settings, fields, reply }).await??)
    }

    /// What holds for a key, or is set for a beginning of keys.
    pub(crate) async fn limit(&self, key: Arc<str>) -> Result<LimitRecord, Stopping> {
        self.look(move |core, _| core.limit(&key)).await
    }

    /// Up to `limit` limits by key, after `after`.
    pub(crate) async fn limits(&self, after: Option<String>, limit: usize) -> Result<Vec<LimitRecord>, Stopping> {
        self.look(move |core, _| core.limits(after.as_deref(), limit)).await
    }

    /// Sets a limit or lets a key cool down, or takes that back; it is on record when this answers.
    pub(crate) async fn wish(&self, key: Arc<str>, wish: LimitWish) -> Result<LimitRecord, WishError> {
        Ok(*self.ask(|reply| Control::Limit { key, wish, reply }).await??)
    }

    /// Cordons, drains or uncordons an agent; none: there is none of this id.
    pub(crate) async fn order(&self, agent: AgentId, wish: Wish) -> Result<Option<AgentRecord>, Stopping> {
        Ok(self.ask(|reply| Control::Order { agent, wish, reply }).await?.map(|agent| *agent))
    }
}
