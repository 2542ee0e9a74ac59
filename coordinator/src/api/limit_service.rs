//! `LimitService`.

use std::sync::Arc;

use tonic::{Request, Response, Status};
use windlass_shared::convert;
use windlass_shared::domain::LimitRecord;
use windlass_shared::fault::Invalid;
use windlass_shared::pb;
use windlass_shared::pb::limit_service_server::LimitService;
use windlass_shared::status::to_status;

use super::{Api, page};
use crate::driver::LimitWish;

const LIMITS_PAGE: usize = 100;
const NO_FILTER: () = ();

type Wanted = (Arc<str>, LimitWish);

fn set_request(request: &pb::SetLimitRequest) -> Result<Wanted, Invalid> {
    convert::request_id("request_id", &request.request_id)?;
    let key = convert::limit_pattern("key", &request.key)?;
    Ok((key, LimitWish::Set(convert::limit_settings(request)?)))
}

fn delete_request(request: &pb::DeleteLimitRequest) -> Result<Wanted, Invalid> {
    convert::request_id("request_id", &request.request_id)?;
    Ok((convert::limit_pattern("key", &request.key)?, LimitWish::Delete))
}

fn cooldown_request(request: &pb::SetCooldownRequest) -> Result<Wanted, Invalid> {
    convert::request_id("request_id", &request.request_id)?;
    let key = convert::limit_key("key", &request.key)?;
    let time = convert::cooldown_span("duration", request.duration.as_ref())?;
    Ok((key, LimitWish::Cool(time, convert::detail("reason", &request.reason)?)))
}

fn clear_request(request: &pb::ClearCooldownRequest) -> Result<Wanted, Invalid> {
    convert::request_id("request_id", &request.request_id)?;
    Ok((convert::limit_key("key", &request.key)?, LimitWish::Warm))
}

fn list_request(request: &pb::ListLimitsRequest) -> Result<(usize, Option<String>), Invalid> {
    let limit = convert::page_size("page_size", request.page_size, LIMITS_PAGE)?;
    Ok((limit, page::read_token("page_token", &request.page_token, &NO_FILTER)?))
}

/// A page, of one limit more than it shows where there is more.
fn page_of(mut limits: Vec<LimitRecord>, size: usize) -> pb::ListLimitsResponse {
    let more = limits.len() > size;
    limits.truncate(size);
    pb::ListLimitsResponse {
        next_page_token: page::token(limits.last().filter(|_| more).map(|limit| &*limit.key), &NO_FILTER),
        limits: limits.iter().map(convert::limit_to_wire).collect(),
    }
}

impl Api {
    async fn wish(&self, wanted: Result<Wanted, Invalid>) -> Result<Option<pb::Limit>, Status> {
        let (key, wish) = wanted.map_err(|err| to_status(&err))?;
        let limit = self.driver.wish(key, wish).await.map_err(|err| to_status(&err))?;
        Ok(Some(convert::limit_to_wire(&limit)))
    }
}

#[tonic::async_trait]
impl LimitService for Api {
    async fn set_limit(&self, request: Request<pb::SetLimitRequest>) -> Result<Response<pb::SetLimitResponse>, Status> {
        let limit = self.wish(set_request(request.get_ref())).await?;
        Ok(Response::new(pb::SetLimitResponse { limit }))
    }

    async fn get_limit(&self, request: Request<pb::GetLimitRequest>) -> Result<Response<pb::GetLimitResponse>, Status> {
        let key = convert::limit_pattern("key", &request.get_ref().key).map_err(|err| to_status(&err))?;
        let limit = self.driver.limit(key).await.map_err(|err| to_status(&err))?;
        Ok(Response::new(pb::GetLimitResponse { limit: Some(convert::limit_to_wire(&limit)) }))
    }

    async fn list_limits(
        &self,
        request: Request<pb::ListLimitsRequest>,
    ) -> Result<Response<pb::ListLimitsResponse>, Status> {
        let (size, after) = list_request(request.get_ref()).map_err(|err| to_status(&err))?;
        let limits = self.driver.limits(after, size + 1).await.map_err(|err| to_status(&err))?;
        Ok(Response::new(page_of(limits, size)))
    }

    async fn delete_limit(
        &self,
        request: Request<pb::DeleteLimitRequest>,
    ) -> Result<Response<pb::DeleteLimitResponse>, Status> {
        let limit = self.wish(delete_request(request.get_ref())).await?;
        Ok(Response::new(pb::DeleteLimitResponse { limit }))
    }

    async fn set_cooldown(
        &self,
        request: Request<pb::SetCooldownRequest>,
    ) -> Result<Response<pb::SetCooldownResponse>, Status> {
        let limit = self.wish(cooldown_request(request.get_ref())).await?;
        Ok(Response::new(pb::SetCooldownResponse { limit }))
    }

    async fn clear_cooldown(
        &self,
        request: Request<pb::ClearCooldownRequest>,
    ) -> Result<Response<pb::ClearCooldownResponse>, Status> {
        let limit = self.wish(clear_request(request.get_ref())).await?;
        Ok(Response::new(pb::ClearCooldownResponse { limit }))
    }
}
