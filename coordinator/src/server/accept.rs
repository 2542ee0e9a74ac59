//! Accepting connections: so many at a time, and no spinning when files run out.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;
use tokio_stream::Stream;
use tonic::transport::server::{Connected, TcpConnectInfo};

/// Pause after an accept that failed: when files have run out, only time frees them. A peer that left early costs as much,
/// which bounds what it can do by leaving early often.
const PAUSE: Duration = Duration::from_millis(20);

/// Time a new connection has for its first byte: one that says nothing holds a place that somebody else waits for.
const PREFACE_WITHIN: Duration = Duration::from_secs(5);

/// Connections as they arrive. With all places taken the next ones wait in the kernel's queue.
pub(super) struct Incoming {
    listener: TcpListener,
    places: Arc<Semaphore>,
    pause: Option<Pin<Box<Sleep>>>,
    // Looked at again while all places are taken; a waiting future of the semaphore would borrow it.
    full: Option<Pin<Box<dyn Future<Output = Option<OwnedSemaphorePermit>> + Send>>>,
    place: Option<OwnedSemaphorePermit>,
}

pub(super) fn incoming(listener: TcpListener, connections_max: usize) -> Incoming {
    Incoming { listener, places: Arc::new(Semaphore::new(connections_max)), pause: None, full: None, place: None }
}

impl Incoming {
    fn poll_place(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.place.is_some() {
            return Poll::Ready(());
        }
        let places = self.places.clone();
        let waiting = self.full.get_or_insert_with(|| Box::pin(async { places.acquire_owned().await.ok() }));
        self.place = ready!(waiting.as_mut().poll(cx));
        self.full = None;
        Poll::Ready(())
    }
}

impl Stream for Incoming {
    type Item = io::Result<Connection>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            ready!(self.poll_place(cx));
            match ready!(self.listener.poll_accept(cx)) {
                Ok((tcp, _)) => {
                    // Small messages go out at once; a lost option costs latency, not the connection.
                    let _ = tcp.set_nodelay(true);
                    let place = self.place.take();
                    let silent_until = Some(Box::pin(tokio::time::sleep(PREFACE_WITHIN)));
                    return Poll::Ready(Some(Ok(Connection { tcp, silent_until, _place: place })));
                }
                Err(err) => {
                    tracing::warn!(error = %err, "accept failed");
                    self.pause = Some(Box::pin(tokio::time::sleep(PAUSE)));
                }
            }
        }
    }
}

/// A connection that holds its place.
#[derive(Debug)]
pub(super) struct Connection {
    tcp: TcpStream,
    /// Until its first byte: when it is taken to be nobody's.
    silent_until: Option<Pin<Box<Sleep>>>,
    _place: Option<OwnedSemaphorePermit>,
}

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.tcp.connect_info()
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.tcp).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.silent_until = None;
        }
        let silent = self.silent_until.as_mut().filter(|_| read.is_pending());
        if silent.is_some_and(|silent| silent.as_mut().poll(cx).is_ready()) {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "nothing was said in time")));
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write_vectored(cx, bufs)
    }
}
