//! Asking agents for operators: which stream, which answer, and what it means where there is none.

use std::sync::Arc;

use tonic::Status;
use windlass_shared::domain::{AgentAnswer, AgentAsk, PoolAnswer, PoolAsk, PoolRefusal, PoolState, WorkerState};
use windlass_shared::fault::Invalid;
use windlass_shared::ids::AgentId;
use windlass_shared::status::to_status;

use super::Api;
use super::error::ApiError;

impl Api {
    /// What one pool answers.
    pub(super) async fn ask_pool(&self, agent: AgentId, pool: &Arc<str>, ask: PoolAsk) -> Result<PoolAnswer, Status> {
        let answer = self.ask_agent(agent, AgentAsk::Pool(pool.clone(), ask)).await?;
        let AgentAnswer::Pool(reply) = answer else { return Err(to_status(&ApiError::StrangeAnswer(agent))) };
        reply.map_err(|refusal| refused(&refusal))
    }

    /// The state that one pool answers with.
    pub(super) async fn pool_state(&self, agent: AgentId, pool: &Arc<str>, ask: PoolAsk) -> Result<PoolState, Status> {
        match self.ask_pool(agent, pool, ask).await? {
            PoolAnswer::State(state) => Ok(*state),
            _ => Err(to_status(&ApiError::StrangeAnswer(agent))),
        }
    }

    /// All workers of one pool, by slot.
    pub(super) async fn workers(&self, agent: AgentId, pool: &Arc<str>) -> Result<Vec<WorkerState>, Status> {
        match self.ask_pool(agent, pool, PoolAsk::Workers).await? {
            PoolAnswer::Workers(workers) => Ok(workers),
            _ => Err(to_status(&ApiError::StrangeAnswer(agent))),
        }
    }

    /// What an agent answers.
    pub(super) async fn ask_agent(&self, agent: AgentId, ask: AgentAsk) -> Result<AgentAnswer, Status> {
        let stream = self.driver.stream_of(agent).await.map_err(|err| to_status(&err))?;
        let known = stream.ok_or_else(|| to_status(&ApiError::NoSuchAgent(agent)))?;
        let waiting = match known {
            Some(session) => self.registry.begin(session, ask),
            None => Err(crate::sessions::AskError::Away),
        };
        waiting.map_err(|err| to_status(&err))?.answer().await.map_err(|err| to_status(&err))
    }
}

fn refused(refusal: &PoolRefusal) -> Status {
    match refusal {
        // By the field's path, as every other wrong field.
        PoolRefusal::OutOfRange { field, limit } => {
            let field = match *field {
                "min" => "min_workers",
                "max" => "max_workers",
                field => field,
            };
            to_status(&Invalid::one(field, format!("must be {limit}")))
        }
        refusal => to_status(refusal),
    }
}
