//! The one way to a connection with the coordinator.

use tonic::transport::{Channel, Endpoint};
use windlass_shared::limits;
use windlass_shared::pb::agent_service_client::AgentServiceClient;

use crate::config::{CONNECT_TIMEOUT, ConfigError, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT};

/// A client over a connection of its own.
pub(crate) type Client = AgentServiceClient<Channel>;

/// Makes connections.
#[derive(Debug, Clone)]
pub(crate) struct Dialer(Endpoint);

impl Dialer {
    /// Connects to the coordinator at `url`.
    pub(crate) fn new(url: &str) -> Result<Self, ConfigError> {
        let bad = |problem| ConfigError::new("coordinator", problem);
        let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|err| bad(format!("is no URL: {err}")))?;
        if endpoint.uri().scheme_str() != Some("http") || endpoint.uri().host().is_none() {
            return Err(bad(
                "must be like http://127.0.0.1:7070 or unix:/run/windlass.sock; TLS is not there yet".into()
            ));
        }
        Ok(Self(
            endpoint
                .connect_timeout(CONNECT_TIMEOUT)
                .tcp_nodelay(true)
                .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
                .keep_alive_timeout(KEEPALIVE_TIMEOUT)
                .keep_alive_while_idle(true),
        ))
    }

    /// A new connection. tonic would dial again by itself without any pace, but only for a second call, and each connection
    /// of ours carries one.
    pub(crate) async fn dial(&self) -> Result<Client, tonic::transport::Error> {
        let client = AgentServiceClient::new(self.0.connect().await?);
        Ok(client
            .max_decoding_message_size(limits::MESSAGE_BYTES_MAX)
            .max_encoding_message_size(limits::MESSAGE_BYTES_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_dialled_is_refused_by_its_flag() {
        for url in ["", "127.0.0.1:7070", "https://c:1", "http:///x"] {
            let err = Dialer::new(url).expect_err(url).to_string();
            assert!(err.starts_with("--coordinator "), "{url}: {err}");
        }
        assert!(Dialer::new("http://127.0.0.1:7070").is_ok());
    }
}
