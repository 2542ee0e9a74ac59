//! A coordinator on a free port, clients for it, and an agent played by hand.

use std::sync::Arc;
use std::time::Duration;

use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint};
use windlass_coordinator::{Options, Running};
use windlass_shared::convert::{self, FromCoordinator};
use windlass_shared::domain::{
    AgentHello, AttemptState, Credit, Exit, ExitStatus, Lease, News, Outcome, PoolOffer, Proof, Reason, ReportItem,
};
use windlass_shared::ids::AgentId;
use windlass_shared::pb;
use windlass_shared::pb::agent_service_client::AgentServiceClient;
use windlass_shared::pb::fleet_service_client::FleetServiceClient;
use windlass_shared::pb::job_service_client::JobServiceClient;
use windlass_shared::pb::limit_service_client::LimitServiceClient;
use windlass_shared::pb::pool_service_client::PoolServiceClient;
use windlass_shared::pb::queue_service_client::QueueServiceClient;
use windlass_shared::time::Timestamp;

/// No answer in this time is a failure, on however slow a machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Rig {
    pub(crate) channel: Channel,
    pub(crate) addr: std::net::SocketAddr,
    pub(crate) stop: CancellationToken,
    pub(crate) running: Running,
}

impl Rig {
    pub(crate) async fn start() -> Self {
        Self::start_with(Options::default()).await
    }

    pub(crate) async fn start_with(options: Options) -> Self {
        let listen = "127.0.0.1:0".parse().expect("an address");
        let stop = CancellationToken::new();
        let options = Options { listen, ..options };
        let running = windlass_coordinator::start(options, stop.clone()).await.expect("a free port");
        let endpoint = Endpoint::from_shared(format!("http://{}", running.addr)).expect("an address");
        let channel = endpoint.connect().await.expect("the coordinator listens");
        Self { channel, addr: running.addr, stop, running }
    }

    pub(crate) fn jobs(&self) -> JobServiceClient<Channel> {
        JobServiceClient::new(self.channel.clone())
    }

    pub(crate) fn fleet(&self) -> FleetServiceClient<Channel> {
        FleetServiceClient::new(self.channel.clone())
    }

    pub(crate) fn queues(&self) -> QueueServiceClient<Channel> {
        QueueServiceClient::new(self.channel.clone())
    }

    pub(crate) fn limits(&self) -> LimitServiceClient<Channel> {
        LimitServiceClient::new(self.channel.clone())
    }

    pub(crate) fn pools(&self) -> PoolServiceClient<Channel> {
        PoolServiceClient::new(self.channel.clone())
    }

    pub(crate) async fn submit(&self) -> String {
        self.submit_spec(exec(&["true"])).await
    }

    pub(crate) async fn submit_spec(&self, spec: pb::JobSpec) -> String {
        let request = pb::SubmitJobRequest { spec: spec.encode_to_vec().into(), request_id: String::new() };
        let answer = self.jobs().submit_job(request).await.expect("accepted");
        answer.into_inner().job.expect("the job").id
    }

    pub(crate) async fn job(&self, id: &str) -> pb::Job {
        let request = pb::GetJobRequest { job_id: id.into() };
        self.jobs().get_job(request).await.expect("known").into_inner().job.expect("the job")
    }

    pub(crate) async fn wait(&self, id: &str) -> pb::Job {
        let timeout = Some(prost_types::Duration { seconds: 30, nanos: 0 });
        let request = pb::WaitJobRequest { job_id: id.into(), timeout };
        let answer = self.jobs().wait_job(request).await.expect("known").into_inner();
        assert!(answer.done, "not done in time: {:?}", answer.job);
        answer.job.expect("the job")
    }

    /// An agent that said hello and was welcomed.
    pub(crate) async fn agent(&self, n: u8, slots: u32) -> Agent {
        let (agent, first) = self.greet(hello(n, slots)).await;
        assert!(matches!(first, Some(FromCoordinator::Welcome(_))), "{first:?}");
        agent
    }

    pub(crate) async fn greet(&self, hello: AgentHello) -> (Agent, Option<FromCoordinator>) {
        let mut agent = self.stream().await;
        agent.say(convert::hello(&hello)).await;
        let first = agent.hear().await.ok();
        (agent, first)
    }

    /// A stream on which nothing has been said.
    pub(crate) async fn stream(&self) -> Agent {
        let (up, requests) = mpsc::channel(64);
        let mut client = AgentServiceClient::new(self.channel.clone());
        let answer = client.connect(ReceiverStream::new(requests)).await.expect("a stream");
        Agent { up, down: answer.into_inner(), sequence: 0 }
    }
}

/// An agent played by hand.
pub(crate) struct Agent {
    pub(crate) up: mpsc::Sender<pb::ConnectRequest>,
    down: Streaming<pb::ConnectResponse>,
    sequence: u64,
}

impl Agent {
    pub(crate) async fn say(&mut self, message: pb::ConnectRequest) {
        self.up.send(message).await.expect("the stream is open");
    }

    /// The next message, or the status that ended the stream.
    pub(crate) async fn hear(&mut self) -> Result<FromCoordinator, tonic::Status> {
        let heard = tokio::time::timeout(PATIENCE, self.down.message()).await.expect("something is said");
        let message = heard?.ok_or_else(|| tonic::Status::ok("the stream ended"))?;
        Ok(convert::from_coordinator(message).expect("valid").expect("known"))
    }

    /// The leases of the next assignment.
    pub(crate) async fn assigned(&mut self) -> Vec<(Lease, pb::JobSpec)> {
        match self.hear().await {
            Ok(FromCoordinator::Assign(_, list)) => {
                list.into_iter().map(|one| (one.lease, convert::decode_spec(&one.spec).expect("valid"))).collect()
            }
            other => panic!("expected an assignment, heard {other:?}"),
        }
    }

    /// Reports, and answers which leases were called stale.
    pub(crate) async fn report(&mut self, lease: Lease, news: News) -> Vec<Lease> {
        self.sequence += 1;
        self.say(convert::report(self.sequence, &[ReportItem { lease, news }])).await;
        match self.hear().await {
            Ok(FromCoordinator::ReportAck(ack)) if ack.sequence == self.sequence => ack.stale,
            other => panic!("expected the acknowledgement, heard {other:?}"),
        }
    }
}

pub(crate) fn hello(n: u8, slots: u32) -> AgentHello {
    AgentHello {
        id: AgentId::new([n; 16]),
        name: format!("a{n}").into(),
        instance: 1,
        boot_id: "boot".into(),
        session: 1,
        slots,
        credit: Credit { capacity: slots, ..Credit::default() },
        inventory: Vec::new(),
        host: "host".into(),
        version: "0".into(),
        seen: None,
        answers_asks: true,
        traits: Arc::default(),
    }
}

/// An agent with a pool and no slots for commands.
pub(crate) fn hello_with(n: u8, pools: &[PoolOffer]) -> AgentHello {
    AgentHello { credit: Credit { pools: pools.to_vec(), ..Credit::default() }, ..hello(n, 0) }
}

pub(crate) fn pool(name: &str, handler: &str, workers: u32) -> PoolOffer {
    PoolOffer { pool: name.into(), handlers: vec![handler.into()], workers, capacity: workers }
}

pub(crate) fn call(handler: &str, input: &str) -> pb::JobSpec {
    let input = input.as_bytes().to_vec().into();
    let call = pb::Call { handler: handler.into(), input, ..Default::default() };
    pb::JobSpec { work: Some(pb::job_spec::Work::Call(call)), ..pb::JobSpec::default() }
}

pub(crate) fn exec(argv: &[&str]) -> pb::JobSpec {
    let exec = pb::Exec { argv: argv.iter().map(|arg| (*arg).to_owned()).collect(), ..pb::Exec::default() };
    pb::JobSpec { work: Some(pb::job_spec::Work::Exec(exec)), ..pb::JobSpec::default() }
}

pub(crate) fn started() -> News {
    News::Started(Timestamp(1))
}

pub(crate) fn ended(state: AttemptState, reason: Option<Reason>, stdout_bytes: u64) -> News {
    let exit = Exit {
        status: ExitStatus::Code(u8::from(state != AttemptState::Succeeded)),
        user_time: Duration::from_millis(3),
        system_time: Duration::ZERO,
        max_rss_bytes: 4_096,
        wall_time: Duration::from_millis(5),
        proof: Proof::Keeper,
    };
    let exit = Some(exit);
    News::Ended(Box::new(Outcome { exit, stdout_bytes, ..Outcome::bare(state, reason) }))
}

/// The field paths a status complains about.
pub(crate) fn fields(status: &tonic::Status) -> Vec<String> {
    windlass_shared::status::told(status).violations.into_iter().map(|(field, _)| field).collect()
}

pub(crate) fn reason(status: &tonic::Status) -> String {
    windlass_shared::status::told(status).reason
}
