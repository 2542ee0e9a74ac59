//! Answers `DEADLINE_EXCEEDED` when a call's deadline passes; tonic alone would answer CANCELLED.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderMap, Request, Response};
use tonic::body::Body;
use tower::{Layer, Service};
use windlass_shared::status;

/// Taken off the caller's deadline, so that ours passes before tonic's own timer for the same one.
const EARLY: Duration = Duration::from_millis(2);

#[derive(Debug, Clone)]
pub(super) struct DeadlineLayer {
    max: Duration,
}

impl DeadlineLayer {
    /// `max`: longest any call may take until its answer begins, whatever its caller allows.
    pub(super) const fn new(max: Duration) -> Self {
        Self { max }
    }
}

impl<S> Layer<S> for DeadlineLayer {
    type Service = Deadline<S>;

    fn layer(&self, inner: S) -> Deadline<S> {
        Deadline { inner, max: self.max }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Deadline<S> {
    inner: S,
    max: Duration,
}

impl<S, B> Service<Request<B>> for Deadline<S>
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
        let asked = grpc_timeout(request.headers());
        let limit = asked.map_or(self.max, |asked| asked.saturating_sub(EARLY).min(self.max));
        let answer = self.inner.call(request);
        Box::pin(async move {
            match tokio::time::timeout(limit, answer).await {
                Ok(answer) => answer,
                Err(_) => Ok(status::deadline_exceeded(asked.unwrap_or(limit)).into_http()),
            }
        })
    }
}

/// The caller's deadline: up to 8 digits and a unit (the gRPC protocol, "PROTOCOL-HTTP2.md", Timeout).
fn grpc_timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 {
        return None;
    }
    let n: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(n * 3600)),
        "M" => Some(Duration::from_secs(n * 60)),
        "S" => Some(Duration::from_secs(n)),
        "m" => Some(Duration::from_millis(n)),
        "u" => Some(Duration::from_micros(n)),
        "n" => Some(Duration::from_nanos(n)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tower::ServiceExt;

    // At the layer itself: tonic's own client keeps a timer for the same header and would answer before the server does.
    #[tokio::test]
    async fn a_deadline_that_passes_is_called_a_deadline() {
        let silent = tower::service_fn(|_: Request<()>| std::future::pending::<Result<Response<Body>, ()>>());
        for (header, max) in [(Some("5m"), 60_000), (None, 5)] {
            let mut request = Request::new(());
            if let Some(header) = header {
                request.headers_mut().insert("grpc-timeout", http::HeaderValue::from_static(header));
            }
            let service = DeadlineLayer::new(Duration::from_millis(max)).layer(silent);
            let answer = service.oneshot(request).await.expect("an answer");
            assert_eq!(answer.headers()["grpc-status"], "4");
        }
    }

    #[test]
    fn reads_every_unit_of_the_protocol_and_nothing_else() {
        let read = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", http::HeaderValue::from_static(text));
            grpc_timeout(&headers)
        };
        assert_eq!(read("1H"), Some(Duration::from_secs(3600)));
        assert_eq!(read("99999999m"), Some(Duration::from_millis(99_999_999)));
        assert_eq!(read("5u"), Some(Duration::from_micros(5)));
        assert_eq!((read("100000000S"), read("5"), read("S"), read("-1S"), read("5x")), (None, None, None, None, None));
    }
}
