//! A coordinator goes on from an older copy of its record, where an operator says so.

use std::ffi::OsString;
use std::path::Path;

use tonic::Code;
use windlass_coordinator::Options;
use windlass_shared::convert::FromCoordinator;
use windlass_shared::domain::{AgentHello, AttemptState, Seen};
use windlass_shared::pb;

use crate::rig::{Rig, ended, hello, reason};

async fn start(dir: &Path) -> Rig {
    Rig::start_with(Options { data: Some(dir.into()), ..Options::default() }).await
}

async fn stop(rig: Rig) {
    rig.stop.cancel();
    assert!(rig.running.done().await);
}

/// Whether `store import` was done.
async fn import(dir: &Path, flags: &'static [&'static str]) -> bool {
    let args = ["store", "import"].iter().chain(flags).map(OsString::from).chain([dir.into()]).collect::<Vec<_>>();
    let code = tokio::task::spawn_blocking(move || windlass_coordinator::main(&args)).await.expect("it ends");
    format!("{code:?}") == format!("{:?}", std::process::ExitCode::SUCCESS)
}

async fn events_after(rig: &Rig, after_revision: u64) -> Result<pb::ListJobEventsResponse, tonic::Status> {
    let request = pb::ListJobEventsRequest { after_revision, ..Default::default() };
    rig.jobs().list_job_events(request).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn agents_and_watchers_that_saw_more_than_a_copy_are_taken_once_it_is_imported() {
    let (first, second) = (tempfile::TempDir::new().expect("a directory"), tempfile::TempDir::new().expect("another"));
    let rig = start(first.path()).await;
    let kept = rig.submit().await;
    stop(rig).await;
    std::fs::copy(first.path().join("store.db"), second.path().join("store.db")).expect("a copy");

    // More happens than the copy has.
    let rig = start(first.path()).await;
    let (mut agent, welcome) = rig.greet(hello(1, 1)).await;
    let Some(FromCoordinator::Welcome(welcome)) = welcome else { panic!("{welcome:?}") };
    let (lease, _) = agent.assigned().await.remove(0);
    agent.report(lease, ended(AttemptState::Succeeded, None, 0)).await;
    let saw = events_after(&rig, 0).await.expect("kept").revision;
    stop(rig).await;

    let back = || AgentHello {
        session: 2,
        seen: Some(Seen { incarnation: welcome.incarnation, epoch: welcome.epoch, revision: saw }),
        ..hello(1, 1)
    };
    let rig = start(second.path()).await;
    let mut refused = rig.stream().await;
    refused.say(windlass_shared::convert::hello(&back())).await;
    let status = refused.hear().await.expect_err("it knows better");
    assert_eq!((status.code(), &*reason(&status)), (Code::DataLoss, "RECORD_BEHIND"));
    assert!(status.message().contains("store import"), "names the remedy: {}", status.message());
    assert_eq!(events_after(&rig, saw).await.expect_err("ahead").code(), Code::DataLoss);
    assert!(!import(second.path(), &["--accept-rollback"]).await, "not beside a coordinator");
    stop(rig).await;
    assert!(!import(second.path(), &[]).await, "not without the word for it");

    std::fs::write(second.path().join("logs/of-the-former"), "").expect("written");
    assert!(import(second.path(), &["--accept-rollback"]).await);
    let aside = second.path().join(format!("logs.{}/of-the-former", welcome.incarnation));
    assert!(aside.exists(), "an attempt that is made anew is not shown with what its namesake wrote");
    let rig = start(second.path()).await;
    let (mut agent, welcome) = rig.greet(back()).await;
    assert!(matches!(welcome, Some(FromCoordinator::Welcome(_))), "{welcome:?}");
    let (again, _) = agent.assigned().await.remove(0);
    assert_eq!(again.job.to_string(), kept, "it waits in the copy, so it runs again");
    assert!(again.fencing_token > lease.fencing_token, "and what checks the token knows which is the later");
    assert_eq!(events_after(&rig, saw).await.expect_err("not kept").code(), Code::OutOfRange);
}
