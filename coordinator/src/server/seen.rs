//! What a client has seen of the record, echoed: every answer says how far the record is, and a call that brings back more than is
//! here finds out at once that something was lost.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{HeaderMap, HeaderValue, Request, Response};
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};
use windlass_shared::convert::{SEEN_HEADER, seen_from_text, seen_to_text};
use windlass_shared::domain::Seen;
use windlass_shared::fault::{Fault, Kind};
use windlass_shared::status;

use crate::watch::Watch;

/// The record is behind what the client has seen of it.
#[derive(Debug, thiserror::Error)]
#[error(
    "this coordinator's record ends at revision {revision} of epoch {epoch}, before what was seen of it: it was restored from an older \
     copy, or its disk lost what it had acknowledged; to go on with it as it is, call without the header {SEEN_HEADER}"
)]
struct Behind {
    epoch: u64,
    revision: u64,
}

impl Fault for Behind {
    fn kind(&self) -> Kind {
        Kind::DataLoss
    }

    fn reason(&self) -> &'static str {
        "RECORD_BEHIND"
    }
}

/// Adds the header to answers and looks at that of calls.
#[derive(Debug, Clone)]
pub(super) struct SeenLayer {
    incarnation: u64,
    epoch: u64,
    watch: Arc<Watch>,
}

impl SeenLayer {
    /// `watch` knows the newest revision that anybody may have seen.
    pub(super) const fn new(incarnation: u64, epoch: u64, watch: Arc<Watch>) -> Self {
        Self { incarnation, epoch, watch }
    }

    fn here(&self) -> Seen {
        Seen { incarnation: self.incarnation, epoch: self.epoch, revision: self.watch.newest() }
    }

    fn check(&self, headers: &HeaderMap) -> Result<(), Status> {
        let Some(value) = headers.get(SEEN_HEADER) else { return Ok(()) };
        // What is no text is no three numbers either.
        let seen = seen_from_text(value.to_str().unwrap_or_default()).map_err(|err| status::to_status(&err))?;
        let Seen { incarnation, epoch, revision } = self.here();
        if seen.incarnation == incarnation && (seen.epoch > epoch || seen.revision > revision) {
            return Err(status::to_status(&Behind { epoch, revision }));
        }
        Ok(())
    }
}

impl<S> Layer<S> for SeenLayer {
    type Service = Echo<S>;

    fn layer(&self, inner: S) -> Echo<S> {
        Echo { inner, layer: self.clone() }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Echo<S> {
    inner: S,
    layer: SeenLayer,
}

impl<S, B> Service<Request<B>> for Echo<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if let Err(refusal) = self.layer.check(request.headers()) {
            return Box::pin(std::future::ready(Ok(refusal.into_http())));
        }
        let (layer, answer) = (self.layer.clone(), self.inner.call(request));
        Box::pin(async move {
            let mut answer = answer.await?;
            // Taken after the call: what it committed is in it.
            if let Ok(value) = HeaderValue::try_from(seen_to_text(layer.here())) {
                answer.headers_mut().insert(SEEN_HEADER, value);
            }
            Ok(answer)
        })
    }
}
