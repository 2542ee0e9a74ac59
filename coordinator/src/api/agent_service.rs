//! `AgentService`: the work stream, and the bulk stream for logs.

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use windlass_shared::pb;
use windlass_shared::pb::agent_service_server::AgentService;

use super::push_logs::Taker;
use super::{Answers, Api};
use crate::sessions::Session;

/// Messages written ahead of the transport: it has buffers of its own.
const MESSAGES_AHEAD: usize = 16;

#[tonic::async_trait]
impl AgentService for Api {
    type ConnectStream = Answers<pb::ConnectResponse>;

    // Answers at once and works in a task: the agent's call returns with our headers, which must not wait for its hello.
    async fn connect(
        &self,
        request: Request<Streaming<pb::ConnectRequest>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let (session, inbox) = Session::new(self.driver.clone(), self.registry.clone(), self.lease_ttl);
        let (wire, answers) = mpsc::channel(MESSAGES_AHEAD);
        let stop = self.tasks.stop_token().clone();
        self.tasks.spawn("session", session.run(request.into_inner(), inbox, wire, stop));
        Ok(Response::new(Box::pin(ReceiverStream::new(answers))))
    }

    type PushLogsStream = Answers<pb::PushLogsResponse>;

    async fn push_logs(
        &self,
        request: Request<Streaming<pb::PushLogsRequest>>,
    ) -> Result<Response<Self::PushLogsStream>, Status> {
        let (wire, answers) = mpsc::channel(MESSAGES_AHEAD);
        let (taker, stop) = (Taker::new(self.records.clone(), self.logs.clone()), self.tasks.stop_token().clone());
        self.tasks.spawn("logs", async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = wire.closed() => {}
                () = taker.run(request.into_inner(), &wire) => {}
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(answers))))
    }
}
