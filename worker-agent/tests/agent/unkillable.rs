//! What cannot be killed, for which a frozen process stands: version 1 of the freezer holds back even SIGKILL. Ignored, because not
//! every machine has that; `.ci/run` runs it, and it fails where there is none.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use windlass_shared::convert::FromAgent;
use windlass_shared::domain::{AttemptState, Credit, News, Outcome, Proof, Reason, ReportItem};

use crate::fake::Stream;
use crate::{bytes, cluster, eventually, lease, millis, sh};

/// A freezer of its own, thawed with the test.
struct Freezer(PathBuf);

impl Freezer {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let (own, next) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = PathBuf::from(format!("/sys/fs/cgroup/freezer/windlass-test-{own}-{next}"));
        fs::create_dir(&path)
            .expect("this test needs the freezer of control groups, version 1, and the right to use it");
        Self(path)
    }

    fn freeze(&self, pid: &str) {
        fs::write(self.0.join("cgroup.procs"), pid).unwrap();
        self.set("FROZEN");
    }

    fn set(&self, state: &str) {
        fs::write(self.0.join("freezer.state"), state).unwrap();
    }
}

impl Drop for Freezer {
    fn drop(&mut self) {
        self.set("THAWED");
        // The processes in it end in their own time.
        for _ in 0..100 {
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::park_timeout(std::time::Duration::from_millis(20));
        }
    }
}

/// It takes so much, while so much of it is stuck.
fn takes(capacity: u32, stuck: u32) -> FromAgent {
    FromAgent::Credit(Credit { capacity, stuck, slots: Some(capacity + stuck), ..Credit::default() })
}

/// So many news, and in between or around them the word that it takes `capacity`; nothing else.
async fn news_and_credit(stream: &mut Stream, count: usize, capacity: u32) -> Vec<ReportItem> {
    let (mut news, mut told) = (Vec::new(), false);
    while news.len() < count || !told {
        match stream.next().await {
            Some(FromAgent::Report(number, items)) => {
                stream.ack(number, &[]).await;
                news.extend(items);
            }
            Some(said) if said == takes(capacity, 1) => told = true,
            other => panic!("{other:?}"),
        }
    }
    news
}

fn outcome(item: &ReportItem) -> &Outcome {
    match &item.news {
        News::Ended(outcome) => outcome,
        other => panic!("wanted an end, got {other:?}"),
    }
}

#[tokio::test]
#[ignore = "needs the freezer of control groups, version 1; .ci/run runs it"]
async fn a_slot_that_something_unkillable_has_is_offered_to_nobody_until_that_is_proven_gone() {
    let freezer = Freezer::new();
    let (_fake, agent, mut stream) = cluster(&["--slots", "2"]).await;
    let pid = agent.dir().join("pid");
    let mut spec = sh(&format!("echo $$ > {0}.new; mv {0}.new {0}; exec sleep 1000", pid.display()));
    spec.stop_grace = Some(millis(0));
    stream.assign(lease(1), &bytes(&spec)).await;
    stream.started(lease(1)).await;
    eventually("it says its number", || pid.exists()).await;
    freezer.freeze(fs::read_to_string(&pid).unwrap().trim());

    stream.stop(lease(1), Reason::CancelRequested).await;
    let news = news_and_credit(&mut stream, 1, 1).await;
    let outcome = outcome(&news[0]);
    assert_eq!((news[0].lease, outcome.state), (lease(1), AttemptState::Cancelled));
    assert_eq!(outcome.exit.as_ref().unwrap().proof, Proof::None);
    stream.assign(lease(2), &bytes(&sh("exec sleep 1000"))).await;
    stream.started(lease(2)).await;
    // Beyond what it takes: held, it would wait for a slot that may never be free.
    stream.assign(lease(3), &bytes(&sh("true"))).await;
    stream.stop(lease(2), Reason::CancelRequested).await;
    assert_eq!(stream.ended(lease(2)).await.state, AttemptState::Cancelled);
    let third = stream.ran(lease(3)).await;
    assert_eq!(third.state, AttemptState::Succeeded);

    freezer.set("THAWED");
    assert_eq!(stream.next().await, Some(takes(2, 0)));
    agent.finish(&mut stream).await;
}

#[tokio::test]
#[ignore = "needs the freezer of control groups, version 1; .ci/run runs it"]
async fn what_waits_for_a_slot_that_gets_stuck_goes_back() {
    let freezer = Freezer::new();
    let (_fake, agent, mut stream) = cluster(&["--slots", "1"]).await;
    let pid = agent.dir().join("pid");
    let mut spec = sh(&format!("echo $$ > {0}.new; mv {0}.new {0}; exec sleep 1000", pid.display()));
    spec.stop_grace = Some(millis(0));
    stream.assign(lease(1), &bytes(&spec)).await;
    stream.started(lease(1)).await;
    stream.assign(lease(2), &bytes(&sh("true"))).await;
    eventually("it says its number", || pid.exists()).await;
    freezer.freeze(fs::read_to_string(&pid).unwrap().trim());
    stream.stop(lease(1), Reason::CancelRequested).await;
    let news = news_and_credit(&mut stream, 2, 0).await;
    assert_eq!((news[0].lease, outcome(&news[0]).exit.as_ref().unwrap().proof), (lease(1), Proof::None));
    assert_eq!((news[1].lease, &news[1].news), (lease(2), &News::Returned(Reason::Returned)));
    freezer.set("THAWED");
    assert_eq!(stream.next().await, Some(takes(1, 0)));
    agent.finish(&mut stream).await;
}
