//! The gRPC shell around the services.

use std::time::Duration;

use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use windlass_coordinator::Options;
use windlass_shared::pb;

use crate::rig::{PATIENCE, Rig};

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
