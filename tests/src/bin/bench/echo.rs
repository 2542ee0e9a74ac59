//! The raw limit of the wire: a gRPC server in a process of its own that does nothing. It knows no messages: a unary call is
//! answered with an empty one, which every client can read, and a stream gets back what it sends.

use std::convert::Infallible;
use std::ffi::OsString;
use std::future::ready;
use std::net::Ipv4Addr;
use std::process::{Child, Command, ExitCode};
use std::time::Instant;

use bytes::{Buf, BufMut, Bytes};
use http::uri::PathAndQuery;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder, Streaming};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Server};
use tonic::{Request, Response, Status, client, server};
use tower::service_fn;
use windlass_shared::lifeline;
use windlass_shared::pb::job_service_client::JobServiceClient;
use windlass_shared::task::Tasks;

use crate::cluster::{connect, start_server};
use crate::{alone, micros, said};

/// Hidden first argument of this bench's own executable: the server.
pub(crate) const ROLE: &str = "__echo";
/// The one path that streams.
const STREAM: &str = "/bench.Echo/Stream";
/// As a coordinator has them: a limit must not differ by settings.
const WINDOW: u32 = 1 << 20;
const STREAMS_MAX: u32 = 1_024;

/// The server's process, and a connection to it; gone with this.
pub(crate) struct Echo {
    process: Child,
    channel: Channel,
}

impl Echo {
    pub(crate) async fn start() -> Result<Self, OsString> {
        let own = std::env::current_exe().map_err(|err| format!("own path: {err}"))?;
        let (process, url) = start_server(Command::new(own).arg(ROLE))?;
        Ok(Self { process, channel: connect(&url).await? })
    }

    /// The client that coordinators get, so that both are asked by the same code.
    pub(crate) fn jobs(&self) -> JobServiceClient<Channel> {
        JobServiceClient::new(self.channel.clone())
    }

    /// Sends so many messages of 100 bytes to the server and back, one at a time over one stream; the microseconds each took.
    pub(crate) async fn round_trips(&self, count: usize, took: &mut Vec<f64>) -> Result<(), OsString> {
        let (send, sent) = tokio::sync::mpsc::channel(1);
        let mut grpc = client::Grpc::new(self.channel.clone());
        grpc.ready().await.map_err(said)?;
        let request = Request::new(ReceiverStream::new(sent));
        let back = grpc.streaming(request, PathAndQuery::from_static(STREAM), Raw).await;
        let mut back = back.map_err(said)?.into_inner();
        let message = Bytes::from_static(&[b'x'; 100]);
        for _ in 0..count {
            let began = Instant::now();
            // A stream that ended says why where it is read.
            let _ = send.send(message.clone()).await;
            back.message().await.map_err(said)?.ok_or("the stream ended")?;
            took.push(micros(began.elapsed()));
        }
        Ok(())
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait(); // by its lifeline
    }
}

/// Serves until its starter is gone.
pub(crate) fn main(_: &[OsString]) -> ExitCode {
    // One thread: there is nothing to do beside each other, and waking a second one would cost more than any call.
    match alone(async { serve().await.map_err(said) }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{ROLE}: {}", why.display());
            ExitCode::FAILURE
        }
    }
}

async fn serve() -> Result<(), Box<dyn std::error::Error>> {
    let incoming = TcpIncoming::bind((Ipv4Addr::LOCALHOST, 0).into())?.with_nodelay(Some(true));
    let tasks = Tasks::default();
    lifeline::watch(tasks.stop_token().clone())?;
    println!("listening on http://{}", incoming.local_addr()?);
    let server = Server::builder()
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW);
    tokio::select! {
        served = server.serve_with_incoming(service_fn(answer), incoming) => Ok(served?),
        () = tasks.stop_token().cancelled() => Ok(()),
    }
}

async fn answer(request: http::Request<Body>) -> Result<http::Response<Body>, Infallible> {
    let mut grpc = server::Grpc::new(Raw);
    if request.uri().path() == STREAM {
        let back = |request: Request<Streaming<Bytes>>| ready(Ok(Response::new(request.into_inner())));
        return Ok(grpc.streaming(service_fn(back), request).await);
    }
    let empty = |_: Request<Bytes>| ready(Ok(Response::new(Bytes::new())));
    Ok(grpc.unary(service_fn(empty), request).await)
}

/// Messages as the bytes they are.
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}
