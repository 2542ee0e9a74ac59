//! Calls about queues.

use windlass_shared::limits::PAGE_MAX;
use windlass_shared::pb;

use super::{Answer, owed, timed};
use crate::client::Client;

impl Client {
    /// All queues, page by page.
    pub(crate) async fn list_queues(&self) -> Answer<Vec<pb::Queue>> {
        let mut queues = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = pb::ListQueuesRequest { page_size: PAGE_MAX as i32, page_token };
            let page = self.queues().list_queues(timed(request)).await?.into_inner();
            queues.extend(page.queues);
            if page.next_page_token.is_empty() {
                return Ok(queues);
            }
            page_token = page.next_page_token;
        }
    }

    pub(crate) async fn get_queue(&self, name: &str) -> Answer<pb::Queue> {
        let request = pb::GetQueueRequest { queue: name.to_owned() };
        owed(self.queues().get_queue(timed(request)).await?.into_inner().queue)
    }

    pub(crate) async fn update_queue(&self, request: pb::UpdateQueueRequest) -> Answer<pb::Queue> {
        owed(self.queues().update_queue(timed(request)).await?.into_inner().queue)
    }

    pub(crate) async fn pause_queue(&self, name: &str, reason: &str) -> Answer<pb::Queue> {
        let (queue, reason) = (name.to_owned(), reason.to_owned());
        let request = pb::PauseQueueRequest { queue, reason, request_id: String::new() };
        owed(self.queues().pause_queue(timed(request)).await?.into_inner().queue)
    }

    pub(crate) async fn resume_queue(&self, name: &str) -> Answer<pb::Queue> {
        let request = pb::ResumeQueueRequest { queue: name.to_owned(), request_id: String::new() };
        owed(self.queues().resume_queue(timed(request)).await?.into_inner().queue)
    }

    pub(crate) async fn purge_queue(&self, name: &str, reason: &str) -> Answer<pb::PurgeQueueResponse> {
        let (queue, reason) = (name.to_owned(), reason.to_owned());
        let request = pb::PurgeQueueRequest { queue, reason, request_id: String::new() };
        Ok(self.queues().purge_queue(timed(request)).await?.into_inner())
    }
}
