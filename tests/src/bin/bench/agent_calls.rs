//! `agent_calls`: an agent end to end with two workers on the Rust SDK, from assignment to the end that is acknowledged, under a
//! coordinator that decides and records nothing.

use std::ffi::OsString;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use prost::Message;
use tokio::sync::{Notify, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};
use windlass_shared::convert::{self, ReportAck};
use windlass_shared::domain::{Assignment, Lease, Welcome};
use windlass_shared::ids::JobId;
use windlass_shared::limits::REPORT_ITEMS_MAX;
use windlass_shared::pb;
use windlass_shared::pb::agent_service_server::{AgentService, AgentServiceServer};
use windlass_shared::pb::connect_request::Message as Up;
use windlass_shared::task::Tasks;

use crate::calls::{call, rate_of};
use crate::cluster::{Agent, sibling};
use crate::raw::per_second;
use crate::{Args, Figure, alone, median, said};

const WORKERS: usize = 2;
/// Calls for each job that `--jobs` asks for.
const CALLS_EACH: usize = 50;
/// Longest that a run of this may take.
const PATIENCE: Duration = Duration::from_secs(300);

pub(crate) fn run(args: &Args) -> Result<Vec<Figure>, OsString> {
    let (worker, calls) = (sibling("examples/demo")?, args.jobs * CALLS_EACH);
    let (mut rates, mut limits) = (Vec::new(), Vec::new());
    for _ in 0..args.rounds {
        limits.push(rate_of(&worker, WORKERS, calls)?);
        rates.push(alone(round(&worker, calls))?);
    }
    Ok(vec![Figure::Rate {
        scenario: "agent_calls",
        jobs_per_s: median(rates),
        limit: median(limits),
        limit_is: "calls/s over bare pipes of the same workers",
        floor: 0.0,
        least: 100_000.0,
    }])
}

async fn round(worker: &std::path::Path, calls: usize) -> Result<f64, OsString> {
    let incoming = TcpIncoming::bind(([127, 0, 0, 1], 0).into()).map_err(said)?.with_nodelay(Some(true));
    let url = format!("http://{}", incoming.local_addr().map_err(said)?);
    let tally = Arc::new(Tally { wanted: calls as u64, ..Tally::default() });
    let (tasks, spec) = (Tasks::default(), call().encode_to_vec().into());
    let service = AgentServiceServer::new(Coordinator { spec, tally: Arc::clone(&tally), tasks: tasks.clone() });
    let serve = Server::builder().add_service(service).serve_with_incoming(incoming);
    let agent = Agent::start(&url, worker, WORKERS)?;
    let measured = async {
        tally.begun.notified().await;
        let began = Instant::now();
        tally.done.notified().await;
        per_second(calls, began.elapsed())
    };
    let rate = tokio::select! {
        rate = tokio::time::timeout(PATIENCE, measured) => rate.map_err(|_| "the calls did not end".into()),
        served = serve => Err(served.map_or_else(said, |()| "the server ended".into())),
    };
    drop(agent);
    tasks.shut_down(Duration::from_secs(1)).await;
    rate
}

/// How far it is.
#[derive(Debug, Default)]
struct Tally {
    wanted: u64,
    given: AtomicU64,
    ended: AtomicU64,
    begun: Notify,
    done: Notify,
}

/// Assigns as much as the agent asks for, and acknowledges what it reports.
struct Coordinator {
    spec: bytes::Bytes,
    tally: Arc<Tally>,
    tasks: Tasks,
}

type Down = mpsc::Sender<Result<pb::ConnectResponse, Status>>;

#[tonic::async_trait]
impl AgentService for Coordinator {
    type ConnectStream = ReceiverStream<Result<pb::ConnectResponse, Status>>;
    type PushLogsStream = ReceiverStream<Result<pb::PushLogsResponse, Status>>;

    async fn connect(
        &self,
        request: Request<Streaming<pb::ConnectRequest>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let (down, answers) = mpsc::channel(1_024);
        let session =
            Session { spec: self.spec.clone(), tally: Arc::clone(&self.tally), number: 0, capacity: 0, held: 0, down };
        self.tasks.spawn("session", session.serve(request.into_inner()));
        Ok(Response::new(ReceiverStream::new(answers)))
    }

    /// These calls write nothing: the stream is held open.
    async fn push_logs(
        &self,
        request: Request<Streaming<pb::PushLogsRequest>>,
    ) -> Result<Response<Self::PushLogsStream>, Status> {
        let ((down, answers), mut pushed) = (mpsc::channel(1), request.into_inner());
        self.tasks.spawn("logs", async move {
            while let Ok(Some(_)) = pushed.message().await {}
            drop(down);
        });
        Ok(Response::new(ReceiverStream::new(answers)))
    }
}

struct Session {
    spec: bytes::Bytes,
    tally: Arc<Tally>,
    number: u64,
    capacity: u64,
    held: u64,
    down: Down,
}

impl Session {
    async fn serve(mut self, mut up: Streaming<pb::ConnectRequest>) {
        while let Ok(Some(pb::ConnectRequest { message: Some(message) })) = up.message().await {
            let answer = match message {
                Up::Hello(hello) => {
                    self.number = hello.session;
                    self.note_credit(&hello.pools);
                    let (lease_ttl, heartbeat_interval) = (Duration::from_secs(60), Duration::from_secs(12));
                    let (session, incarnation, epoch, revision) = (self.number, 1, 1, 1);
                    Some(convert::welcome(&Welcome {
                        session,
                        lease_ttl,
                        heartbeat_interval,
                        incarnation,
                        epoch,
                        revision,
                    }))
                }
                Up::Credit(credit) => {
                    self.note_credit(&credit.pools);
                    None
                }
                Up::Heartbeat(beat) => Some(convert::heartbeat_ack(beat.sequence)),
                Up::Report(report) => Some(self.on_report(&report)),
                _ => None,
            };
            if let Some(answer) = answer
                && self.down.send(Ok(answer)).await.is_err()
            {
                return;
            }
            if !self.assign().await {
                return;
            }
        }
    }

    fn note_credit(&mut self, pools: &[pb::PoolOffer]) {
        self.capacity = pools.iter().map(|pool| u64::from(pool.capacity)).sum();
    }

    fn on_report(&mut self, report: &pb::Report) -> pb::ConnectResponse {
        use pb::report_item::News;
        let ended = report.items.iter().filter(|item| matches!(item.news, Some(News::Ended(_)))).count() as u64;
        let returned = report.items.iter().filter(|item| matches!(item.news, Some(News::Returned(_)))).count() as u64;
        self.held -= ended + returned;
        self.tally.given.fetch_sub(returned, Ordering::Relaxed);
        if self.tally.ended.fetch_add(ended, Ordering::Relaxed) + ended == self.tally.wanted {
            self.tally.done.notify_one();
        }
        convert::ack(&ReportAck { sequence: report.sequence, stale: Vec::new(), revision: report.sequence + 1 })
    }

    /// As much as it takes; false when the stream is gone.
    async fn assign(&mut self) -> bool {
        loop {
            let given = self.tally.given.load(Ordering::Relaxed);
            let room =
                self.capacity.saturating_sub(self.held).min(self.tally.wanted - given).min(REPORT_ITEMS_MAX as u64);
            if room == 0 {
                return true;
            }
            let one = |number| Assignment { lease: lease(number + 1), spec: self.spec.clone(), grants: Vec::new() };
            let message = convert::assign(self.number, (given..given + room).map(one).collect());
            self.tally.given.fetch_add(room, Ordering::Relaxed);
            self.held += room;
            if given == 0 {
                self.tally.begun.notify_one();
            }
            if self.down.send(Ok(message)).await.is_err() {
                return false;
            }
        }
    }
}

fn lease(number: u64) -> Lease {
    let job = JobId::new(number, &number.to_be_bytes().repeat(2)[..10].try_into().unwrap_or([0; 10]));
    Lease { job, generation: 1, attempt: 1, incarnation: 1, epoch: 1, fencing_token: number }
}
