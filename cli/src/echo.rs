//! Echoes how far this process has seen the coordinator's record, so that one that came back with less is found out.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use http::{HeaderMap, HeaderValue, Request, Response};
use tonic::body::Body;
use tonic::transport::Channel;
use tower::Service;
use windlass_shared::convert::{SEEN_HEADER, seen_from_text, seen_to_text};
use windlass_shared::domain::Seen;

/// A channel that echoes. Clones remember the same.
#[derive(Debug, Clone)]
pub(crate) struct Echo<S = Channel> {
    inner: S,
    seen: Arc<Mutex<Option<Seen>>>,
}

impl<S> Echo<S> {
    pub(crate) fn new(inner: S) -> Self {
        Self { inner, seen: Arc::default() }
    }
}

/// Notes what an answer says. Another record is another beginning.
fn note(seen: &Mutex<Option<Seen>>, headers: &HeaderMap) {
    let text = headers.get(SEEN_HEADER).and_then(|value| value.to_str().ok());
    let Some(said) = text.and_then(|text| seen_from_text(text).ok()) else { return };
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    *seen = Some(match *seen {
        Some(before) if before.incarnation == said.incarnation => Seen {
            incarnation: said.incarnation,
            epoch: before.epoch.max(said.epoch),
            revision: before.revision.max(said.revision),
        },
        Some(_) | None => said,
    });
}

impl<S, B> Service<Request<Body>> for Echo<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    B: Send + 'static,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<B>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let known = *self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = known.and_then(|seen| HeaderValue::try_from(seen_to_text(seen)).ok()) {
            request.headers_mut().insert(SEEN_HEADER, value);
        }
        let (seen, answer) = (Arc::clone(&self.seen), self.inner.call(request));
        Box::pin(async move {
            let answer = answer.await?;
            note(&seen, answer.headers());
            Ok(answer)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    /// Answers with these headers in turn, and keeps those it was sent.
    #[derive(Clone, Default)]
    struct Server {
        says: Arc<Mutex<Vec<&'static str>>>,
        heard: Arc<Mutex<Vec<Option<String>>>>,
    }

    impl Service<Request<Body>> for Server {
        type Response = Response<()>;
        type Error = Infallible;
        type Future = std::future::Ready<Result<Response<()>, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: Request<Body>) -> Self::Future {
            let heard = request.headers().get(SEEN_HEADER).map(|value| value.to_str().expect("text").to_owned());
            self.heard.lock().expect("ours").push(heard);
            let mut answer = Response::new(());
            if let Some(said) = self.says.lock().expect("ours").pop() {
                answer.headers_mut().insert(SEEN_HEADER, HeaderValue::from_static(said));
            }
            std::future::ready(Ok(answer))
        }
    }

    #[tokio::test]
    async fn the_furthest_of_one_record_is_echoed_and_another_record_begins_anew() {
        let server = Server::default();
        *server.says.lock().expect("ours") = vec!["9/1/1", "nonsense", "7/3/40", "7/2/50"];
        let mut echo = Echo::new(server.clone());
        for _ in 0..5 {
            echo.call(Request::new(Body::empty())).await.expect("answered");
        }
        let heard = server.heard.lock().expect("ours").clone();
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(heard, [None, some("7/2/50"), some("7/3/50"), some("7/3/50"), some("9/1/1")]);
    }
}
