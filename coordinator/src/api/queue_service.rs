//! `QueueService`.

use std::sync::Arc;

use tonic::{Request, Response, Status};
use windlass_shared::convert;
use windlass_shared::domain::{Pause, QueueField, QueueRecord, QueueSettings};
use windlass_shared::fault::Invalid;
use windlass_shared::pb;
use windlass_shared::pb::queue_service_server::QueueService;
use windlass_shared::status::to_status;

use super::{Api, page};

const QUEUES_PAGE: usize = 100;
const NO_FILTER: () = ();

fn list_request(request: &pb::ListQueuesRequest) -> Result<(usize, Option<String>), Invalid> {
    let limit = convert::page_size("page_size", request.page_size, QUEUES_PAGE)?;
    Ok((limit, page::read_token("page_token", &request.page_token, &NO_FILTER)?))
}

/// A page, of one queue more than it shows where there is more.
fn page_of(mut queues: Vec<QueueRecord>, limit: usize) -> pb::ListQueuesResponse {
    let more = queues.len() > limit;
    queues.truncate(limit);
    pb::ListQueuesResponse {
        next_page_token: page::token(queues.last().filter(|_| more).map(|queue| &*queue.name), &NO_FILTER),
        queues: queues.iter().map(convert::queue_to_wire).collect(),
    }
}

fn pause_request(request: &pb::PauseQueueRequest) -> Result<(Arc<str>, Pause), Invalid> {
    convert::request_id("request_id", &request.request_id)?;
    let reason = convert::detail("reason", &request.reason)?;
    Ok((convert::required_name("queue", &request.queue)?, Pause { reason }))
}

fn resume_request(request: &pb::ResumeQueueRequest) -> Result<Arc<str>, Invalid> {
    convert::request_id("request_id", &request.request_id)?;
    convert::required_name("queue", &request.queue)
}

fn update_request(request: &pb::UpdateQueueRequest) -> Result<(Arc<str>, QueueSettings, Vec<QueueField>), Invalid> {
    convert::request_id("request_id", &request.request_id)?;
    let name = convert::required_name("queue", &request.queue)?;
    let (settings, fields) = convert::queue_settings(request)?;
    Ok((name, settings, fields))
}

#[tonic::async_trait]
impl QueueService for Api {
    async fn list_queues(
        &self,
        request: Request<pb::ListQueuesRequest>,
    ) -> Result<Response<pb::ListQueuesResponse>, Status> {
        let (limit, after) = list_request(request.get_ref()).map_err(|err| to_status(&err))?;
        let queues = self.driver.queues(after, limit + 1).await.map_err(|err| to_status(&err))?;
        Ok(Response::new(page_of(queues, limit)))
    }

    async fn get_queue(&self, request: Request<pb::GetQueueRequest>) -> Result<Response<pb::GetQueueResponse>, Status> {
        let name = convert::required_name("queue", &request.get_ref().queue).map_err(|err| to_status(&err))?;
        let queue = self.driver.queue(name).await.map_err(|err| to_status(&err))?;
        Ok(Response::new(pb::GetQueueResponse { queue: Some(convert::queue_to_wire(&queue)) }))
    }

    async fn update_queue(
        &self,
        request: Request<pb::UpdateQueueRequest>,
    ) -> Result<Response<pb::UpdateQueueResponse>, Status> {
        let (name, settings, fields) = update_request(request.get_ref()).map_err(|err| to_status(&err))?;
        let queue = self.driver.update_queue(name, settings, fields).await.map_err(|err| to_status(&err))?;
        Ok(Response::new(pb::UpdateQueueResponse { queue: Some(convert::queue_to_wire(&queue)) }))
    }

    async fn pause_queue(
        &self,
        request: Request<pb::PauseQueueRequest>,
    ) -> Result<Response<pb::PauseQueueResponse>, Status> {
        let (name, pause) = pause_request(request.get_ref()).map_err(|err| to_status(&err))?;
        let queue = self.driver.pause(name, pause).await.map_err(|err| to_status(&err))?;
        Ok(Response::new(pb::PauseQueueResponse { queue: Some(convert::queue_to_wire(&queue)) }))
    }

    async fn resume_queue(
        &self,
        request: Request<pb::ResumeQueueRequest>,
    ) -> Result<Response<pb::ResumeQueueResponse>, Status> {
        let name = resume_request(request.get_ref()).map_err(|err| to_status(&err))?;
        let queue = self.driver.resume(name).await.map_err(|err| to_status(&err))?;
        Ok(Response::new(pb::ResumeQueueResponse { queue: Some(convert::queue_to_wire(&queue)) }))
    }

    async fn purge_queue(
        &self,
        request: Request<pb::PurgeQueueRequest>,
    ) -> Result<Response<pb::PurgeQueueResponse>, Status> {
        self.purge(request.get_ref()).await.map(Response::new)
    }
}
