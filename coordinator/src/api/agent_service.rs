//! `AgentService`: the work stream, and the bulk stream for logs.

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use windlass_shared::convert;
use windlass_shared::domain::PushedLog;
use windlass_shared::pb;
use windlass_shared::pb::agent_service_server::AgentService;
use windlass_shared::status::to_status;

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
        let (api, stop) = (self.clone(), self.tasks.stop_token().clone());
        let mut stream = request.into_inner();
        self.tasks.spawn("logs", async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = wire.closed() => {}
                () = api.take_logs(&mut stream, &wire) => {}
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(answers))))
    }
}

impl Api {
    async fn take_logs(
        &self,
        stream: &mut Streaming<pb::PushLogsRequest>,
        wire: &mpsc::Sender<Result<pb::PushLogsResponse, Status>>,
    ) {
        while let Ok(Some(message)) = stream.message().await {
            let answer = match convert::pushed_logs(message) {
                Ok(logs) => Ok(pb::PushLogsResponse { acks: logs.into_iter().map(|log| self.take_log(log)).collect() }),
                Err(invalid) => Err(to_status(&invalid)),
            };
            let last = answer.is_err();
            if wire.send(answer).await.is_err() || last {
                return;
            }
        }
    }

    /// Keeps a piece, where its attempt is on record under that very lease; else only says that it is not wanted.
    fn take_log(&self, log: PushedLog) -> pb::LogAck {
        let PushedLog { lease, chunk } = log;
        let (stream, sent) = (chunk.stream, chunk.end());
        let token = lease.fencing_token;
        let on_record = self.job(lease.job).is_ok_and(|job| {
            job.attempts.iter().any(|attempt| attempt.number == lease.attempt && attempt.fencing_token == token)
        });
        let end = if on_record { self.logs.append(lease.job, lease.attempt, chunk) } else { sent };
        convert::log_ack(&lease, stream, end)
    }
}
