//! The connection to a coordinator.

use std::time::Duration;

use tonic::Status;
use tonic::transport::Endpoint;
use windlass_shared::limits::MESSAGE_BYTES_MAX;
use windlass_shared::pb::fleet_service_client::FleetServiceClient;
use windlass_shared::pb::job_service_client::JobServiceClient;
use windlass_shared::pb::limit_service_client::LimitServiceClient;
use windlass_shared::pb::pool_service_client::PoolServiceClient;
use windlass_shared::pb::queue_service_client::QueueServiceClient;

use crate::echo::Echo;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::patience::{self, Patience, is_broken};

/// Where a coordinator listens unless told otherwise.
pub(crate) const DEFAULT_ADDRESS: &str = "http://127.0.0.1:7070";
/// A coordinator that does not take a connection within this is not there; on one host it takes microseconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Finds a connection that went dead in silence, within 20 s of it.
const KEEPALIVE: Duration = Duration::from_secs(10);
/// What one stream may send ahead of its reader.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
/// What all streams together may send ahead: more than every job followed at a time could, or those that wait for their
/// turn would use up the room of the one being read, and `run` would stand still.
const CONNECTION_WINDOW_BYTES: u32 = STREAM_WINDOW_BYTES * (crate::follow::WINDOW as u32 + 16);

/// A connection to a coordinator. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    channel: Echo,
    address: String,
    patience: Duration,
}

impl Client {
    /// Connects to `address`, such as `http://127.0.0.1:7070`; without a scheme it is taken for plain HTTP/2.
    ///
    /// Once connected, it bears with a coordinator out of reach for as long as `patience`. The first connection waits only
    /// where patience was asked for: most likely nobody has started a coordinator, and to say so at once is the help.
    pub(crate) async fn connect(address: &str, patience: Option<Duration>) -> Result<Self, Failure> {
        let address = complete(address)?;
        let endpoint = Endpoint::from_shared(address.clone())
            .map_err(|err| Failure::usage(format!("{address:?} is no address: {err}")))?
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(KEEPALIVE)
            .keep_alive_while_idle(true)
            .tcp_nodelay(true)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
        let mut first = Patience::new(patience.unwrap_or_default());
        let channel = loop {
            match endpoint.connect().await {
                Ok(channel) => break Echo::new(channel),
                Err(_) if first.pause(None).await => {}
                Err(err) => return Err(unreachable(&address, &innermost(&err))),
            }
        };
        Ok(Self { channel, address, patience: patience.unwrap_or(patience::DEFAULT) })
    }

    /// Patience with this coordinator, unspent.
    pub(crate) fn patience(&self) -> Patience {
        Patience::new(self.patience)
    }

    /// How long it lasts.
    pub(crate) fn patience_limit(&self) -> Duration {
        self.patience
    }

    /// Where the coordinator is.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The jobs.
    pub(crate) fn jobs(&self) -> JobServiceClient<Echo> {
        JobServiceClient::new(self.channel.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// The agents.
    pub(crate) fn fleet(&self) -> FleetServiceClient<Echo> {
        FleetServiceClient::new(self.channel.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// The queues.
    pub(crate) fn queues(&self) -> QueueServiceClient<Echo> {
        QueueServiceClient::new(self.channel.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// The limits.
    pub(crate) fn limits(&self) -> LimitServiceClient<Echo> {
        LimitServiceClient::new(self.channel.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// The pools and their workers.
    pub(crate) fn pools(&self) -> PoolServiceClient<Echo> {
        PoolServiceClient::new(self.channel.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// What a failed call means to whoever typed the command.
    pub(crate) fn failure(&self, doing: &str, status: &Status) -> Failure {
        if is_broken(status) { unreachable(&self.address, &cause(status)) } else { Failure::refused(doing, status) }
    }
}

fn cause(status: &Status) -> String {
    std::error::Error::source(status).map_or_else(|| status.message().to_owned(), innermost)
}

fn unreachable(address: &str, cause: &str) -> Failure {
    Failure::new(Exit::UNREACHABLE, "UNAVAILABLE", format!("cannot reach the coordinator at {address}: {cause}"))
        .remedy("start one with `windlass dev`, or use `windlass run --local 2 -- …`")
}

// The last of the chain is the system's own word, such as "Connection refused"; the ones before only wrap it.
fn innermost(err: &(dyn std::error::Error + 'static)) -> String {
    let mut err = err;
    while let Some(source) = err.source() {
        err = source;
    }
    err.to_string()
}

fn complete(address: &str) -> Result<String, Failure> {
    match address.split_once("://") {
        None => Ok(format!("http://{address}")),
        Some(("http", rest)) if !rest.is_empty() => Ok(address.to_owned()),
        Some(_) => Err(Failure::usage(format!("cannot use the address {address:?}: only http:// is known so far"))
            .remedy(format!("--address {DEFAULT_ADDRESS}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_scheme_is_plain_http() {
        assert_eq!(complete("h:1").as_deref(), Ok("http://h:1"));
        assert_eq!(complete("http://h:1").as_deref(), Ok("http://h:1"));
        assert_eq!(complete("https://h:1").expect_err("no TLS yet").exit, Exit::USAGE);
    }

    #[tokio::test]
    async fn a_coordinator_that_is_not_there_is_named_with_a_way_out() {
        // Port 1 is reserved and never listened on.
        let failure = Client::connect("127.0.0.1:1", None).await.expect_err("nobody there");
        assert_eq!(failure.exit, Exit::UNREACHABLE);
        assert!(failure.what.contains("http://127.0.0.1:1") && failure.what.contains("refused"), "{failure}");
        assert!(failure.to_string().contains("windlass run --local 2"));
    }

    #[tokio::test(start_paused = true)]
    async fn with_patience_the_first_connection_is_waited_for_too() {
        let start = tokio::time::Instant::now();
        let failure = Client::connect("127.0.0.1:1", Some(Duration::from_secs(7))).await.expect_err("nobody there");
        assert_eq!((failure.exit, start.elapsed().as_secs()), (Exit::UNREACHABLE, 7));
    }
}
