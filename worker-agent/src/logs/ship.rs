//! From the hub to the coordinator, on a connection of its own and at its own pace.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};
use windlass_shared::convert;
use windlass_shared::domain::{Lease, LogStream, PushedLogs};
use windlass_shared::pb;
use windlass_shared::resilience::reconnect::Reconnect;

use super::Logs;
use crate::config::WELCOME_TIMEOUT;
use crate::dial::Dialer;
use crate::outbox::Outbox;

/// Messages handed to the transport ahead of it: what waits longer gathers in the hub, into fewer and larger ones.
const AHEAD: usize = 2;
/// How often outputs of which the middle goes are shown to those who follow: as often as a person looks.
const SHOW_EVERY: Duration = Duration::from_secs(1);

/// Ships what the hub has, for as long as it lives.
#[derive(Debug)]
pub(crate) struct Shipper {
    dialer: Dialer,
    logs: Logs,
    /// Told how far the logs of attempts are that it has the ends of.
    outbox: Outbox,
}

/// Why a stream ended.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("cannot connect: {0}")]
    Dial(#[from] tonic::transport::Error),
    #[error("{}: {}", .0.code(), .0.message())]
    Status(#[from] Status),
    #[error("no answer in time")]
    Silent(#[from] tokio::time::error::Elapsed),
    #[error("the coordinator ended the stream")]
    Ended,
}

impl Shipper {
    /// Ships from `logs`.
    pub(crate) fn new(dialer: Dialer, logs: Logs, outbox: Outbox) -> Self {
        Self { dialer, logs, outbox }
    }

    /// Runs until `stop`. Dials only once there is something to ship.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut pace = Reconnect::default();
        loop {
            let broken = tokio::select! {
                () = stop.cancelled() => return,
                broken = self.one_stream(&mut pace) => broken,
            };
            let wait = pace.next_wait();
            tracing::debug!(reason = %broken, wait_ms = wait.as_millis(), "log stream broke");
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    async fn one_stream(&self, pace: &mut Reconnect) -> Broken {
        while !self.logs.wants_stream() {
            self.logs.waiting().await;
        }
        let (up, requests) = mpsc::channel(AHEAD);
        match tokio::time::timeout(WELCOME_TIMEOUT, self.open(requests)).await {
            Ok(Ok(down)) => {
                let broken = self.serve(&up, down, pace).await;
                self.logs.rewind();
                broken
            }
            Ok(Err(broken)) => broken,
            Err(elapsed) => elapsed.into(),
        }
    }

    async fn open(
        &self,
        requests: mpsc::Receiver<pb::PushLogsRequest>,
    ) -> Result<Streaming<pb::PushLogsResponse>, Broken> {
        let mut client = self.dialer.dial().await?;
        Ok(client.push_logs(ReceiverStream::new(requests)).await?.into_inner())
    }

    async fn serve(
        &self,
        up: &mpsc::Sender<pb::PushLogsRequest>,
        mut down: Streaming<pb::PushLogsResponse>,
        pace: &mut Reconnect,
    ) -> Broken {
        let mut shows = tokio::time::interval(SHOW_EVERY);
        shows.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let full = self.pump(up);
            let answer = tokio::select! {
                answer = down.message() => answer,
                () = self.logs.waiting(), if !full => continue,
                // Where the transport has enough for now, what is newest can wait for the next time.
                _ = shows.tick() => {
                    self.show(up);
                    continue;
                }
                room = up.reserve(), if full => match room {
                    Ok(_) => continue,
                    Err(_) => return Broken::Ended,
                },
            };
            match answer {
                Ok(Some(answer)) => self.on_answer(answer, pace),
                Ok(None) => return Broken::Ended,
                Err(status) => return status.into(),
            }
        }
    }

    /// Hands the transport what waits; whether the transport has enough for now.
    fn pump(&self, up: &mpsc::Sender<pb::PushLogsRequest>) -> bool {
        loop {
            let Ok(room) = up.try_reserve() else { return true };
            let Some(batch) = self.logs.take_batch() else { return false };
            room.send(convert::push_logs(PushedLogs { kept: batch, newest: Vec::new() }));
        }
    }

    fn show(&self, up: &mpsc::Sender<pb::PushLogsRequest>) {
        let Ok(room) = up.try_reserve() else { return };
        if let Some(newest) = self.logs.take_newest() {
            room.send(convert::push_logs(PushedLogs { kept: Vec::new(), newest }));
        }
    }

    fn on_answer(&self, answer: pb::PushLogsResponse, pace: &mut Reconnect) {
        // A stream that got something across is one that works.
        pace.reset();
        for ack in answer.acks {
            match <(Lease, LogStream, u64)>::try_from(ack) {
                Ok((lease, stream, offset)) => {
                    self.logs.ack(&lease, stream, offset);
                    self.outbox.shipped(&lease, self.logs.shipped(&lease));
                }
                Err(invalid) => tracing::warn!(%invalid, "log acknowledgement that cannot be read"),
            }
        }
    }
}
