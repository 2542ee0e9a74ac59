//! Calls about limits.

use std::time::Duration;

use windlass_shared::limits::PAGE_MAX;
use windlass_shared::pb;

use super::{Answer, owed, timed};
use crate::client::Client;
use crate::spec::span;

impl Client {
    /// All limits, page by page.
    pub(crate) async fn list_limits(&self) -> Answer<Vec<pb::Limit>> {
        let mut limits = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = pb::ListLimitsRequest { page_size: PAGE_MAX as i32, page_token };
            let page = self.limits().list_limits(timed(request)).await?.into_inner();
            limits.extend(page.limits);
            if page.next_page_token.is_empty() {
                return Ok(limits);
            }
            page_token = page.next_page_token;
        }
    }

    pub(crate) async fn get_limit(&self, key: &str) -> Answer<pb::Limit> {
        let request = pb::GetLimitRequest { key: key.to_owned() };
        owed(self.limits().get_limit(timed(request)).await?.into_inner().limit)
    }

    pub(crate) async fn set_limit(&self, request: pb::SetLimitRequest) -> Answer<pb::Limit> {
        owed(self.limits().set_limit(timed(request)).await?.into_inner().limit)
    }

    pub(crate) async fn delete_limit(&self, key: &str) -> Answer<pb::Limit> {
        let request = pb::DeleteLimitRequest { key: key.to_owned(), request_id: String::new() };
        owed(self.limits().delete_limit(timed(request)).await?.into_inner().limit)
    }

    pub(crate) async fn set_cooldown(&self, key: &str, time: Duration, reason: &str) -> Answer<pb::Limit> {
        let (key, reason) = (key.to_owned(), reason.to_owned());
        let request = pb::SetCooldownRequest { key, duration: Some(span(time)), reason, request_id: String::new() };
        owed(self.limits().set_cooldown(timed(request)).await?.into_inner().limit)
    }

    pub(crate) async fn clear_cooldown(&self, key: &str) -> Answer<pb::Limit> {
        let request = pb::ClearCooldownRequest { key: key.to_owned(), request_id: String::new() };
        owed(self.limits().clear_cooldown(timed(request)).await?.into_inner().limit)
    }
}
