//! `QueueService`: queues are names until they have limits, so there is nothing to show or to pause yet.

use tonic::{Request, Response, Status};
use windlass_shared::pb;
use windlass_shared::pb::queue_service_server::QueueService;
use windlass_shared::status::to_status;

use super::Api;
use super::error::ApiError;

fn unimplemented() -> Status {
    to_status(&ApiError::Unimplemented("this coordinator hands out all queues alike and cannot pause one"))
}

#[tonic::async_trait]
impl QueueService for Api {
    async fn list_queues(&self, _: Request<pb::ListQueuesRequest>) -> Result<Response<pb::ListQueuesResponse>, Status> {
        Err(unimplemented())
    }

    async fn get_queue(&self, _: Request<pb::GetQueueRequest>) -> Result<Response<pb::GetQueueResponse>, Status> {
        Err(unimplemented())
    }

    async fn pause_queue(&self, _: Request<pb::PauseQueueRequest>) -> Result<Response<pb::PauseQueueResponse>, Status> {
        Err(unimplemented())
    }

    async fn resume_queue(
        &self,
        _: Request<pb::ResumeQueueRequest>,
    ) -> Result<Response<pb::ResumeQueueResponse>, Status> {
        Err(unimplemented())
    }
}
