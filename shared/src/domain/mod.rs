//! The things Windlass talks about, free of wire and store.

mod agent;
mod agent_counter;
mod amount;
mod ask;
mod attempt;
mod counter;
mod demand;
mod explain;
mod job;
mod limit;
mod log;
mod placement_policy;
mod pool;
mod queue;
mod session;
mod spec;
mod traits;
mod tried;
mod worker;

pub use agent::{AgentRecord, AgentState, Health, Order, OrderKind, PoolOffer, PoolRecord, Scheduling};
pub use agent_counter::AgentCounter;
pub use amount::{parse_amount, show_amount};
pub use ask::{AgentAnswer, AgentAsk};
pub use attempt::{
    AttemptRecord, AttemptState, CallResult, Exit, ExitStatus, HandlerError, Lease, Outcome, Proof, SpawnFailure,
};
pub use counter::Counter;
pub use demand::{Affinity, Constraint, Demand, Fairness, LimitUse, Must, OnConflict, Placement, Unique};
pub use explain::{Explanation, Filter};
pub use job::{Event, JobRecord, JobState, JobView, Reason};
pub use limit::{Cooldown, LimitRecord, LimitSettings, Rate};
pub use log::{LogChunk, LogStream, PushedLog, PushedLogs};
pub use placement_policy::PlacementPolicy;
pub use pool::{
    Breaker, BreakerState, PoolAnswer, PoolAsk, PoolRefusal, PoolReply, PoolState, WorkerCounts, WorkerKill, WorkerLogs,
};
pub use queue::{DEFAULT_QUEUE, Pause, QueueField, QueueRecord, QueueSettings};
pub use session::{AgentHello, Assignment, Credit, News, ReportItem, Seen, StopOrder, Welcome};
pub use spec::{
    CallSpec, ExecSpec, Execution, JobHeader, JobSpec, OnAgentLost, OnDisconnect, Preset, RetryPolicy, Trace, Work,
};
pub use traits::{Grant, Traits, WEIGHT_DEFAULT};
pub use tried::{TRIED_AGENTS_MAX, Tried};
pub use worker::{CurrentCall, ExitCounts, Mode, PoolHealth, WorkerExit, WorkerState, WorkerStatus};
