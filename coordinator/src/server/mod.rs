//! The gRPC shell. tonic's defaults are replaced where they are unsafe: unlimited streams and resets, unlimited answers, an
//! accept loop that spins when files run out, a shutdown that waits for ever.

mod accept;
mod deadline;
mod seen;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::transport::Server;
use tonic_health::ServingStatus;
use tower_http::catch_panic::CatchPanicLayer;
use windlass_shared::limits::MESSAGE_BYTES_MAX;
use windlass_shared::pb;
use windlass_shared::pb::agent_service_server::AgentServiceServer;
use windlass_shared::pb::fleet_service_server::FleetServiceServer;
use windlass_shared::pb::job_service_server::JobServiceServer;
use windlass_shared::pb::limit_service_server::LimitServiceServer;
use windlass_shared::pb::pool_service_server::PoolServiceServer;
use windlass_shared::pb::queue_service_server::QueueServiceServer;
use windlass_shared::status;

use crate::api::Api;
use crate::config::Options;
use crate::watch::Watch;
use deadline::DeadlineLayer;
use seen::SeenLayer;

/// Time between keepalive pings, and for their answer. Foreign gRPC clients take pings more often than this for an attack.
const KEEPALIVE: Duration = Duration::from_secs(10);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);
/// A stream's window: an agent's or a client's largest message in four pieces. A connection's: what 512 of them may pin, 512 MiB.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 1 << 20;
/// Streams a connection: a client that multiplexes more queues them itself.
const STREAMS_PER_CONNECTION_MAX: u32 = 1_024;
/// Longest a call may take, whatever deadline its caller set: above the 60 s of a long `WaitJob`.
const CALL_MAX: Duration = Duration::from_secs(90);
/// Resets a peer may provoke before its connection is closed (hyper's own limit, which tonic turns off).
const RESETS_MAX: usize = 1_024;

/// Message limits, both ways, are a matter of each service in tonic; unset, answers have none.
macro_rules! limited {
    ($service:expr) => {
        $service.max_decoding_message_size(MESSAGE_BYTES_MAX).max_encoding_message_size(MESSAGE_BYTES_MAX)
    };
}
/// Every service, for the health check.
const SERVICES: [&str; 6] = [
    "windlass.v1.AgentService",
    "windlass.v1.FleetService",
    "windlass.v1.JobService",
    "windlass.v1.LimitService",
    "windlass.v1.PoolService",
    "windlass.v1.QueueService",
];

/// Opens the listening socket.
///
/// # Errors
/// Where the address is taken or not ours.
pub(crate) async fn bind(listen: SocketAddr) -> std::io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(listen).await?;
    let addr = listener.local_addr()?;
    Ok((listener, addr))
}

/// Which record is served.
pub(crate) struct Record {
    pub(crate) incarnation: u64,
    pub(crate) epoch: u64,
    pub(crate) watch: Arc<Watch>,
}

/// Serves until `stop`, then for at most `shutdown_max` longer.
pub(crate) async fn serve(api: Api, listener: TcpListener, record: Record, options: Options, stop: CancellationToken) {
    let (health, health_service) = tonic_health::server::health_reporter();
    for service in SERVICES {
        health.set_service_status(service, ServingStatus::Serving).await;
    }
    let incoming = accept::incoming(listener, options.connections_max);
    let mut server = Server::builder()
        .max_concurrent_streams(STREAMS_PER_CONNECTION_MAX)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .http2_max_local_error_reset_streams(Some(RESETS_MAX))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(SeenLayer::new(record.incarnation, record.epoch, record.watch))
        .layer(DeadlineLayer::new(CALL_MAX));
    let routes = server
        .add_service(health_service)
        .add_service(reflection_v1())
        .add_service(reflection_v1alpha())
        .add_service(limited!(AgentServiceServer::new(api.clone())))
        .add_service(limited!(FleetServiceServer::new(api.clone())))
        .add_service(limited!(JobServiceServer::new(api.clone())))
        .add_service(limited!(LimitServiceServer::new(api.clone())))
        .add_service(limited!(PoolServiceServer::new(api.clone())))
        .add_service(limited!(QueueServiceServer::new(api)));
    let serving = routes.serve_with_incoming_shutdown(incoming, stop.clone().cancelled_owned());
    let patience = async {
        stop.cancelled().await;
        for service in SERVICES {
            health.set_service_status(service, ServingStatus::NotServing).await;
        }
        // tonic waits for every connection without limit; one idle client must not keep us.
        tokio::time::sleep(options.shutdown_max).await;
    };
    tokio::select! {
        served = serving => if let Err(err) = served {
            tracing::error!(error = %err, "serving ended");
        },
        () = patience => tracing::warn!("connections still open at the end of the shutdown's time"),
    }
}

const DESCRIPTORS_VALID: &str = "the descriptors were written by our own build";

fn reflection_v1()
-> tonic_reflection::server::v1::ServerReflectionServer<impl tonic_reflection::server::v1::ServerReflection> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(pb::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .expect(DESCRIPTORS_VALID)
}

fn reflection_v1alpha()
-> tonic_reflection::server::v1alpha::ServerReflectionServer<impl tonic_reflection::server::v1alpha::ServerReflection> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(pb::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1alpha()
        .expect(DESCRIPTORS_VALID)
}

// One call's panic is its caller's INTERNAL and our bug; everybody else goes on.
fn panicked(_: Box<dyn std::any::Any + Send>) -> http::Response<Body> {
    status::panicked().into_http()
}
