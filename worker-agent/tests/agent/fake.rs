//! A coordinator that does what the test says.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};
use windlass_shared::convert::{self, FromAgent, ReportAck};
use windlass_shared::domain::{
    AgentHello, Assignment, Grant, Lease, LogStream, News, Outcome, ReportItem, StopOrder, Welcome,
};
use windlass_shared::pb;
use windlass_shared::pb::agent_service_server::{AgentService, AgentServiceServer};
use windlass_shared::task::Tasks;

use crate::within;

/// Long enough that nothing expires unless a test wants it to.
const TTL: Duration = Duration::from_secs(60);

type Down = mpsc::Sender<Result<pb::ConnectResponse, Status>>;

pub(crate) struct Fake {
    pub(crate) url: String,
    pub(crate) logs: LogStore,
    sessions: mpsc::Receiver<Stream>,
    tasks: Tasks,
}

impl Fake {
    pub(crate) async fn start() -> Self {
        let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap().with_nodelay(Some(true));
        let url = format!("http://{}", incoming.local_addr().unwrap());
        let tasks = Tasks::default();
        let (opened, sessions) = mpsc::channel(16);
        let logs = LogStore::default();
        let service = Service { opened, logs: logs.clone(), tasks: tasks.clone() };
        let stop = tasks.stop_token().clone();
        tasks.spawn("server", async move {
            let server = Server::builder().add_service(AgentServiceServer::new(service)).serve_with_incoming(incoming);
            tokio::select! {
                served = server => served.unwrap(),
                () = stop.cancelled() => {}
            }
        });
        Self { url, logs, sessions, tasks }
    }

    /// The next hello, not answered yet.
    pub(crate) async fn hello(&mut self) -> Stream {
        within(self.sessions.recv()).await.unwrap()
    }

    /// The next session, welcomed.
    pub(crate) async fn session(&mut self) -> Stream {
        let stream = self.hello().await;
        stream.welcome(TTL).await;
        stream
    }

    /// Gone, all connections with it.
    pub(crate) async fn shut_down(self) {
        drop(self.sessions);
        assert!(self.tasks.shut_down(Duration::from_secs(5)).await);
    }
}

/// One stream of an agent. Dropping it ends the stream.
pub(crate) struct Stream {
    pub(crate) hello: AgentHello,
    down: Down,
    up: mpsc::Receiver<FromAgent>,
    news: Vec<ReportItem>,
    acks: bool,
    mute: watch::Sender<bool>,
    /// Changes of credit are passed over.
    passes_credit: bool,
}

impl Stream {
    pub(crate) async fn welcome(&self, lease_ttl: Duration) {
        let heartbeat_interval = lease_ttl / 5;
        let session = self.hello.session;
        let welcome = Welcome { session, lease_ttl, heartbeat_interval, incarnation: 1, epoch: 1, revision: 1 };
        self.say(convert::welcome(&welcome)).await;
    }

    pub(crate) async fn refuse(self, status: Status) {
        self.down.send(Err(status)).await.unwrap();
    }

    /// Heartbeats are answered no longer.
    pub(crate) fn mute(&self) {
        self.mute.send_replace(true);
    }

    /// Reports are acknowledged no longer.
    pub(crate) fn withhold_acks(&mut self) {
        self.acks = false;
    }

    pub(crate) async fn assign(&self, lease: Lease, spec: &[u8]) {
        self.assign_for(self.hello.session, lease, spec).await;
    }

    /// Assigns, with these devices.
    pub(crate) async fn lend(&self, lease: Lease, spec: &[u8], grants: &[Grant]) {
        let one = Assignment { lease, spec: spec.to_vec().into(), grants: grants.to_vec() };
        self.say(convert::assign(self.hello.session, vec![one])).await;
    }

    pub(crate) async fn assign_for(&self, session: u64, lease: Lease, spec: &[u8]) {
        self.say(convert::assign(session, vec![Assignment { lease, spec: spec.to_vec().into(), grants: Vec::new() }]))
            .await;
    }

    pub(crate) async fn stop(&self, lease: Lease, reason: windlass_shared::domain::Reason) {
        self.say(convert::stop(&[StopOrder { lease, reason }])).await;
    }

    pub(crate) async fn ack(&self, sequence: u64, stale: &[Lease]) {
        let ack = ReportAck { sequence, stale: stale.to_vec(), revision: sequence + 1 };
        self.say(convert::ack(&ack)).await;
    }

    pub(crate) async fn say(&self, message: pb::ConnectResponse) {
        self.down.send(Ok(message)).await.unwrap();
    }

    /// What the agent says next, heartbeats aside. None: it ended the stream.
    pub(crate) async fn next(&mut self) -> Option<FromAgent> {
        let next = async {
            loop {
                match self.up.recv().await {
                    Some(FromAgent::Credit(_)) if self.passes_credit => {}
                    said => return said,
                }
            }
        };
        within(next).await
    }

    /// From now on changes of credit are passed over: those of a pool follow from how long its calls take.
    pub(crate) fn pass_credit(&mut self) {
        self.passes_credit = true;
    }

    /// The next news, acknowledged as it is read.
    pub(crate) async fn news(&mut self) -> ReportItem {
        while self.news.is_empty() {
            match self.next().await {
                Some(FromAgent::Report(number, items)) => {
                    self.news = items.into_iter().flat_map(in_two_pieces).collect();
                    if self.acks {
                        self.ack(number, &[]).await;
                    }
                }
                other => panic!("wanted news, got {other:?}"),
            }
        }
        self.news.remove(0)
    }

    pub(crate) async fn started(&mut self, lease: Lease) {
        let news = self.news().await;
        assert!(matches!(news.news, News::Started(_)) && news.lease == lease, "{news:?}");
    }

    pub(crate) async fn ended(&mut self, lease: Lease) -> Outcome {
        let item = self.news().await;
        assert_eq!(item.lease, lease);
        match item.news {
            News::Ended(outcome) => *outcome,
            other => panic!("wanted its end, got {other:?}"),
        }
    }

    /// Exactly a start and an end.
    pub(crate) async fn ran(&mut self, lease: Lease) -> Outcome {
        self.started(lease).await;
        self.ended(lease).await
    }

    /// Nothing more than a goodbye, and the end of the stream.
    pub(crate) async fn goodbye(&mut self) {
        assert_eq!(self.news, []);
        assert_eq!(self.next().await, Some(FromAgent::Goodbye));
        // Our end of the stream ends with it, as the agent waits for.
        self.down = mpsc::channel(1).0;
        assert_eq!(self.next().await, None);
    }
}

/// A start that is told with its end, as if it had been told before it: which of the two it is, is a matter of milliseconds.
fn in_two_pieces(mut item: ReportItem) -> Vec<ReportItem> {
    let start = match &mut item.news {
        News::Ended(outcome) => outcome.started_at.take(),
        News::Started(_) | News::Returned(_) => None,
    };
    let start = start.map(|at| ReportItem { lease: item.lease, news: News::Started(at) });
    start.into_iter().chain([item]).collect()
}

/// What was pushed, by attempt and stream.
#[derive(Clone, Default)]
pub(crate) struct LogStore {
    kept: Arc<Mutex<BTreeMap<(Lease, LogStream), Log>>>,
    changed: Arc<watch::Sender<u64>>,
    /// Streams are opened, and nothing is read from them.
    stalled: Arc<watch::Sender<bool>>,
    /// Streams break after each message, before it is acknowledged.
    breaks: Arc<watch::Sender<u32>>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Log {
    pub(crate) data: Vec<u8>,
    /// Bytes that never came.
    pub(crate) missing: u64,
    /// Bytes that came twice.
    pub(crate) repeated: u64,
}

impl Log {
    fn end(&self) -> u64 {
        self.data.len() as u64 + self.missing
    }

    fn take(&mut self, offset: u64, data: &[u8]) {
        self.missing += offset.saturating_sub(self.end());
        let known = usize::try_from(self.end() - offset).unwrap().min(data.len());
        self.repeated += known as u64;
        self.data.extend_from_slice(&data[known..]);
    }
}

impl LogStore {
    pub(crate) fn stall(&self, stalled: bool) {
        self.stalled.send_replace(stalled);
    }

    /// The next `count` messages break their streams.
    pub(crate) fn break_next(&self, count: u32) {
        self.breaks.send_replace(count);
    }

    /// The log, once it is `bytes` long, dropped ones included.
    pub(crate) async fn full(&self, lease: Lease, stream: LogStream, bytes: u64) -> Log {
        let mut changed = self.changed.subscribe();
        loop {
            if let Some(log) = self.kept.lock().await.get(&(lease, stream)).filter(|log| log.end() >= bytes) {
                assert_eq!(log.end(), bytes);
                return log.clone();
            }
            within(changed.changed()).await.unwrap();
        }
    }

    /// Waits until the standard output says this.
    pub(crate) async fn says(&self, lease: Lease, text: &str) {
        let mut changed = self.changed.subscribe();
        let key = (lease, LogStream::Stdout);
        let said = |log: &&Log| String::from_utf8_lossy(&log.data).contains(text);
        while self.kept.lock().await.get(&key).filter(said).is_none() {
            within(changed.changed()).await.unwrap();
        }
    }

    /// The standard output so far.
    pub(crate) async fn text(&self, lease: Lease) -> String {
        let kept = self.kept.lock().await;
        kept.get(&(lease, LogStream::Stdout)).map_or_else(String::new, |log| String::from_utf8_lossy(&log.data).into())
    }

    pub(crate) async fn attempts(&self) -> usize {
        self.kept.lock().await.len()
    }

    async fn serve(
        &self,
        mut pushed: Streaming<pb::PushLogsRequest>,
        down: mpsc::Sender<Result<pb::PushLogsResponse, Status>>,
    ) {
        let mut stalled = self.stalled.subscribe();
        loop {
            let _ = stalled.wait_for(|stalled| !stalled).await;
            let Ok(Some(message)) = pushed.message().await else { return };
            let breaks = *self.breaks.borrow();
            if breaks > 0 {
                self.breaks.send_replace(breaks - 1);
                return;
            }
            let mut kept = self.kept.lock().await;
            let mut acks = Vec::new();
            for log in convert::pushed_logs(message).unwrap().kept {
                let entry = kept.entry((log.lease, log.chunk.stream)).or_default();
                entry.take(log.chunk.offset, &log.chunk.data);
                acks.push(convert::log_ack(&log.lease, log.chunk.stream, entry.end()));
            }
            drop(kept);
            let _ = down.send(Ok(pb::PushLogsResponse { acks })).await;
            self.changed.send_modify(|version| *version += 1);
        }
    }
}

struct Service {
    opened: mpsc::Sender<Stream>,
    logs: LogStore,
    tasks: Tasks,
}

impl Service {
    fn spawn(&self, stream: impl Future<Output = ()> + Send + 'static) {
        let stop = self.tasks.stop_token().clone();
        self.tasks.spawn("stream", async move { stop.run_until_cancelled(stream).await.unwrap_or_default() });
    }
}

#[tonic::async_trait]
impl AgentService for Service {
    type ConnectStream = ReceiverStream<Result<pb::ConnectResponse, Status>>;
    type PushLogsStream = ReceiverStream<Result<pb::PushLogsResponse, Status>>;

    async fn connect(
        &self,
        request: Request<Streaming<pb::ConnectRequest>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let (down, answers) = mpsc::channel(1024);
        self.spawn(serve(request.into_inner(), down, self.opened.clone()));
        Ok(Response::new(ReceiverStream::new(answers)))
    }

    async fn push_logs(
        &self,
        request: Request<Streaming<pb::PushLogsRequest>>,
    ) -> Result<Response<Self::PushLogsStream>, Status> {
        let (down, answers) = mpsc::channel(16);
        let logs = self.logs.clone();
        self.spawn(async move { logs.serve(request.into_inner(), down).await });
        Ok(Response::new(ReceiverStream::new(answers)))
    }
}

/// Hands the stream to the test with its hello, answers heartbeats, passes on the rest.
async fn serve(mut requests: Streaming<pb::ConnectRequest>, down: Down, opened: mpsc::Sender<Stream>) {
    let first = requests.message().await.unwrap().unwrap();
    let FromAgent::Hello(hello) = convert::from_agent(first).unwrap() else { panic!("no hello") };
    let (pass, up) = mpsc::channel(1024);
    let (mute, muted) = watch::channel(false);
    let (weak, news) = (down.downgrade(), Vec::new());
    let stream = Stream { hello: *hello, down, up, news, acks: true, mute, passes_credit: false };
    if opened.send(stream).await.is_err() {
        return;
    }
    while let Ok(Some(message)) = requests.message().await {
        match convert::from_agent(message).unwrap() {
            FromAgent::Heartbeat(beat) if !*muted.borrow() => {
                let Some(down) = weak.upgrade() else { return };
                let _ = down.send(Ok(convert::heartbeat_ack(beat))).await;
            }
            FromAgent::Heartbeat(_) => {}
            other => {
                if pass.send(other).await.is_err() {
                    return;
                }
            }
        }
    }
}
