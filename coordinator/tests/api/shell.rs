//! The gRPC shell around the services.

use std::time::Duration;

use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use windlass_coordinator::Options;
use windlass_shared::pb;

use crate::rig::{PATIENCE, Rig, fields};

#[tokio::test]
async fn every_service_reports_its_health() {
    let rig = Rig::start().await;
    let mut health = HealthClient::new(rig.channel.clone());
    for service in ["", "windlass.v1.JobService", "windlass.v1.AgentService", "windlass.v1.FleetService"] {
        let answer = health.check(HealthCheckRequest { service: service.into() }).await.expect("known");
        assert_eq!(answer.into_inner().status, 1, "{service} serves");
    }
    let unknown = health.check(HealthCheckRequest { service: "nobody".into() }).await.expect_err("unknown");
    assert_eq!(unknown.code(), Code::NotFound);
}

#[tokio::test]
async fn stopping_ends_streams_and_waits_for_nobody() {
    let rig = Rig::start_with(Options { shutdown_max: Duration::from_secs(2), ..Default::default() }).await;
    let mut agent = rig.agent(1, 1).await;
    let request = pb::WatchJobsRequest { job_ids: vec![], after_revision: None };
    let mut watch = rig.jobs().watch_jobs(request).await.expect("a stream").into_inner();
    watch.message().await.expect("where it stands").expect("one");
    let idle = tokio::net::TcpStream::connect(rig.addr).await.expect("a connection that says nothing");
    rig.stop.cancel();
    let ended = tokio::time::timeout(PATIENCE, rig.running.done()).await.expect("it stops");
    assert!(ended, "and stops well");
    assert!(agent.hear().await.is_err());
    drop(idle);
}

#[tokio::test]
async fn an_address_beyond_this_machine_is_refused_before_anything_is_served() {
    let options = Options { listen: "0.0.0.0:0".parse().expect("an address"), ..Default::default() };
    let refused = options.check().expect_err("no TLS, no authentication");
    assert!(refused.to_string().contains("loopback"), "{refused}");
}

#[tokio::test]
async fn connections_past_the_limit_wait_and_are_served_when_others_leave() {
    let rig = Rig::start_with(Options { connections_max: 2, ..Default::default() }).await;
    let idle = tokio::net::TcpStream::connect(rig.addr).await.expect("the second place");
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{}", rig.addr)).expect("an address");
    let channel = endpoint.connect_lazy();
    let mut third = pb::job_service_client::JobServiceClient::new(channel);
    let call = third.list_jobs(pb::ListJobsRequest::default());
    tokio::pin!(call);
    let early = tokio::time::timeout(Duration::from_millis(200), &mut call).await;
    assert!(early.is_err(), "no place, no answer");
    drop(idle);
    tokio::time::timeout(PATIENCE, call).await.expect("in time").expect("served");
}

#[tokio::test]
async fn a_connection_that_says_nothing_loses_its_place() {
    let rig = Rig::start().await;
    let mut silent = tokio::net::TcpStream::connect(rig.addr).await.expect("a place");
    let mut heard = Vec::new();
    let closed = tokio::io::AsyncReadExt::read_to_end(&mut silent, &mut heard);
    // Its own words may come first; what counts is that it ends. An error is an end too.
    let _ = tokio::time::timeout(PATIENCE, closed).await.expect("it is closed");
    rig.submit().await;
}

#[tokio::test]
async fn a_client_that_has_seen_more_of_the_record_than_is_here_is_refused_and_any_other_is_told_how_far_it_is() {
    let rig = Rig::start().await;
    let list = |seen: Option<String>| {
        let (mut jobs, mut request) = (rig.jobs(), tonic::Request::new(pb::ListJobsRequest::default()));
        if let Some(seen) = seen {
            request.metadata_mut().insert("windlass-seen", seen.parse().expect("ASCII"));
        }
        async move { jobs.list_jobs(request).await }
    };
    let said = |answer: &tonic::Response<pb::ListJobsResponse>| {
        let text = answer.metadata().get("windlass-seen").expect("every answer says it").to_str().expect("text");
        let numbers: Vec<u64> = text.split('/').map(|number| number.parse().expect("a number")).collect();
        (numbers[0], numbers[1], numbers[2])
    };
    let (incarnation, epoch, before) = said(&list(None).await.expect("listed"));
    rig.submit().await;
    let echoed = list(Some(format!("{incarnation}/{epoch}/{before}"))).await.expect("as far as that we are");
    let (_, _, revision) = said(&echoed);
    assert!(revision > before);
    for ahead in [format!("{incarnation}/{epoch}/{}", revision + 1), format!("{incarnation}/{}/0", epoch + 1)] {
        let refused = list(Some(ahead)).await.expect_err("behind what was seen");
        assert_eq!((refused.code(), crate::rig::reason(&refused)), (Code::DataLoss, "RECORD_BEHIND".to_owned()));
    }
    list(Some(format!("{}/99/99", incarnation + 1))).await.expect("another record says nothing of this one");
    let nonsense = list(Some("nonsense".into())).await.expect_err("no three numbers");
    assert_eq!((nonsense.code(), fields(&nonsense)), (Code::InvalidArgument, vec!["windlass-seen".to_owned()]));
}
