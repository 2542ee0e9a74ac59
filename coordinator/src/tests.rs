//! The parts put together over a store that fails on cue.

use bytes::Bytes;
use windlass_shared::domain::{
    AgentHello, Assignment, AttemptState, Credit, Lease, LogChunk, LogStream, PushedLog, PushedLogs,
};
use windlass_shared::ids::{AgentId, JobId};
use windlass_shared::{convert, status};

use super::*;
use crate::api::Taker;
use crate::driver::{Control, DriverHandle, Incoming};
use crate::logs::LogKey;
use crate::sessions::{LetGo, Opened, ToAgent};
use crate::store::faulty::{Fault, FaultyStore};

// `/bin/true`, as it comes off the wire: exec { argv: ["t"] }.
const SPEC: &[u8] = &[0x0a, 0x03, 0x0a, 0x01, b't'];

#[tokio::test]
async fn a_failed_commit_stops_everything_and_nobody_hears_of_what_it_held() {
    for fault in [Fault::Fail, Fault::ExecuteThenFail] {
        let opened = store::memory(Retention::in_memory(), 7);
        let store: Arc<dyn store::Store> = Arc::new(FaultyStore::new(opened.store, [(1, fault)]));
        let bells = Bells::default();
        let watch = Arc::new(Watch::resume(0, Vec::new(), 100, bells));
        let parts = Parts { store, registry: Arc::default(), watch: watch.clone(), counters: Arc::default() };
        let options = core_options(&Options::default(), 7, 1);
        let beat = options.heartbeat_interval();
        let (driver, handle) = Driver::new(Core::new(options), parts, beat, None);
        let (stop, failed) = (CancellationToken::new(), CancellationToken::new());
        let header = convert::read_header(SPEC).expect("valid");
        let job = JobId::from_bytes([1; 16]);
        let jobs = vec![Incoming { job, header, spec: SPEC.into(), request: None }];
        let (answer, ()) = tokio::join!(handle.submit(jobs), drive(driver, stop.clone(), failed.clone()));
        assert!(answer.is_err(), "not acknowledged");
        assert!(stop.is_cancelled() && failed.is_cancelled());
        assert_eq!(watch.newest(), 0, "and not shown");
    }
}
fn hello(session: u64) -> Box<AgentHello> {
    Box::new(AgentHello {
        id: AgentId::from_bytes([1; 16]),
        name: "a1".into(),
        instance: 1,
        boot_id: "boot".into(),
        session,
        slots: 1,
        credit: Credit { capacity: 1, ..Credit::default() },
        inventory: Vec::new(),
        host: "host".into(),
        version: "0".into(),
        seen: None,
        answers_asks: true,
        traits: Arc::default(),
    })
}

/// A driver that is not driven yet, and what it works with.
struct Bed {
    store: Arc<FaultyStore>,
    registry: Arc<Registry>,
    driver: Driver,
    handle: DriverHandle,
}

impl Bed {
    fn new() -> Self {
        let store = Arc::new(FaultyStore::new(store::memory(Retention::in_memory(), 7).store, []));
        let (registry, watch) = (Arc::new(Registry::default()), Watch::resume(0, Vec::new(), 100, Bells::default()));
        let parts = Parts {
            store: store.clone(),
            registry: registry.clone(),
            watch: Arc::new(watch),
            counters: Arc::default(),
        };
        let options = core_options(&Options::default(), 7, 1);
        let beat = options.heartbeat_interval();
        let (driver, handle) = Driver::new(Core::new(options), parts, beat, None);
        Self { store, registry, driver, handle }
    }
}

/// The agent's next session, welcomed.
async fn greet(registry: &Registry, handle: &DriverHandle, session: u64) -> Opened {
    let mut opened = registry.open();
    handle.tell(Control::Hello { session: opened.session, hello: hello(session) }).await;
    assert!(matches!(opened.inbox.recv().await, Some(ToAgent::Welcome(_))));
    opened
}

async fn submit(handle: &DriverHandle) -> JobId {
    let (job, header) = (JobId::from_bytes([1; 16]), convert::read_header(SPEC).expect("valid"));
    let taken = handle.submit(vec![Incoming { job, header, spec: SPEC.into(), request: None }]).await;
    assert!(taken.expect("an answer")[0].is_ok());
    job
}

#[tokio::test]
async fn a_spec_that_cannot_be_read_now_ends_no_job_and_is_given_out_at_the_next_hello() {
    let Bed { store, registry, driver, handle } = Bed::new();
    let stop = CancellationToken::new();
    let agent = async {
        let mut first = greet(&registry, &handle, 1).await;
        store.fail_reads(1);
        let job = submit(&handle).await;
        let told = first.inbox.recv().await;
        assert!(matches!(told, Some(ToAgent::Close(LetGo::Unreadable(one))) if one == job), "{told:?}");
        let mut second = greet(&registry, &handle, 2).await;
        let given = second.inbox.recv().await;
        assert!(matches!(given, Some(ToAgent::Assign(one)) if one.lease.attempt == 2 && one.spec == SPEC));
        let view = store::Store::job(&*store, job).expect("readable").expect("on record");
        assert_eq!(view.attempts[0].state, AttemptState::Returned);
        let counted = (view.record.failures, view.record.infra_losses, view.record.interruptions);
        assert_eq!(counted, (0, 0, 0), "and counts nowhere");
        stop.cancel();
    };
    tokio::join!(agent, drive(driver, stop.clone(), CancellationToken::new()));
}

/// A store with one job whose first attempt was leased, and the lease.
async fn leased() -> (Arc<FaultyStore>, Lease) {
    let Bed { store, registry, driver, handle } = Bed::new();
    let stop = CancellationToken::new();
    let agent = async {
        let mut session = greet(&registry, &handle, 1).await;
        submit(&handle).await;
        let given = session.inbox.recv().await;
        stop.cancel();
        let Some(ToAgent::Assign(Assignment { lease, .. })) = given else { panic!("{given:?}") };
        lease
    };
    let (lease, ()) = tokio::join!(agent, drive(driver, stop.clone(), CancellationToken::new()));
    (store, lease)
}

fn kept(kept: Vec<PushedLog>) -> PushedLogs {
    PushedLogs { kept, newest: Vec::new() }
}

fn piece(lease: Lease, offset: u64) -> PushedLog {
    PushedLog { lease, chunk: LogChunk { stream: LogStream::Stdout, offset, data: Bytes::from_static(b"abc") } }
}

#[tokio::test]
async fn a_piece_whose_job_cannot_be_read_is_not_acknowledged_and_is_kept_when_it_comes_again() {
    let (store, lease) = leased().await;
    let bells = Bells::default();
    let logs = Arc::new(Logs::new(LogLimits::default(), bells.clone()));
    let mut taker = Taker::new(Records::new(store.clone(), bells), logs.clone());
    store.fail_reads(1);
    let told = status::told(&taker.take(kept(vec![piece(lease, 0)])).expect_err("not acknowledged"));
    assert_eq!(told.reason, "STORE_UNREADABLE");
    assert_eq!(taker.take(kept(vec![piece(lease, 0)])).expect("kept").acks[0].offset, 3);
    let key = LogKey { job: lease.job, attempt: lease.attempt, stream: LogStream::Stdout };
    assert_eq!(logs.end(key), 3);
}

#[tokio::test]
async fn a_job_is_read_once_for_all_the_pieces_of_a_stream() {
    let (store, lease) = leased().await;
    let bells = Bells::default();
    let logs = Arc::new(Logs::new(LogLimits::default(), bells.clone()));
    let mut taker = Taker::new(Records::new(store.clone(), bells), logs);
    let stranger = Lease { fencing_token: lease.fencing_token + 1, ..lease };
    let before = store.reads();
    for n in 0..100 {
        taker.take(kept(vec![piece(lease, 3 * n), piece(stranger, 3 * n)])).expect("answered");
    }
    assert_eq!(store.reads() - before, 2, "once for each lease");
}
