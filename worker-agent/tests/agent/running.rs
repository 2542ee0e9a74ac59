//! From an assignment to its end.

use windlass_shared::domain::{AttemptState, ExitStatus, Grant, LogStream, News, Proof, Reason};
use windlass_shared::pb;

use crate::{bytes, cluster, exec, fifo, lease, open_gate, sh};

#[tokio::test]
async fn a_job_runs_to_its_end_and_its_output_arrives_up_to_the_final_offsets() {
    let (fake, agent, mut stream) = cluster(&["--slots", "2"]).await;
    assert_eq!((stream.hello.slots, stream.hello.credit.capacity, stream.hello.session), (2, 2, 1));
    assert_eq!(stream.hello.inventory, []);
    let mut spec =
        sh("pwd; echo $WINDLASS_JOB_ID $WINDLASS_ATTEMPT $WINDLASS_FENCING_TOKEN $WINDLASS_AGENT_ID $GIVEN; \
                       cat; echo oops >&2; touch left; exit 3");
    if let Some(pb::job_spec::Work::Exec(exec)) = &mut spec.work {
        exec.env.insert("GIVEN".into(), "given".into());
        exec.stdin = "read\n".into();
    }
    stream.assign(lease(5), &bytes(&spec)).await;
    let outcome = stream.ran(lease(5)).await;
    assert_eq!((outcome.state, outcome.reason), (AttemptState::Failed, Some(Reason::ExitCode)));
    let exit = outcome.exit.unwrap();
    assert_eq!((exit.status, exit.proof), (ExitStatus::Code(3), Proof::Keeper));
    assert!(exit.max_rss_bytes > 0 && !exit.wall_time.is_zero());
    assert_eq!((outcome.detail, outcome.spawn_failure), (None, None));

    let out = fake.logs.full(lease(5), LogStream::Stdout, outcome.stdout_bytes).await;
    let out = String::from_utf8(out.data).unwrap();
    let lines: Vec<&str> = out.lines().collect();
    assert!(lines[0].starts_with(agent.dir().to_str().unwrap()), "{out}");
    assert_eq!(lines[1], format!("{} 1 5 {} given", lease(5).job, stream.hello.id));
    assert_eq!(lines[2..], ["read"]);
    assert_eq!(outcome.stderr_bytes, 5);
    assert_eq!(fake.logs.full(lease(5), LogStream::Stderr, 5).await.data, b"oops\n");
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn a_job_finds_the_devices_it_is_lent_and_no_others() {
    let (fake, agent, mut stream) = cluster(&[]).await;
    let mut spec = sh("env | grep -E '^(WINDLASS_DEVICE|CUDA_)' | LC_ALL=C sort");
    if let Some(pb::job_spec::Work::Exec(exec)) = &mut spec.work {
        exec.env.insert("CUDA_VISIBLE_DEVICES".into(), "0,1,2,3".into());
    }
    let grants = [("gpu", vec!["1", "3"], 1_000), ("net", vec!["eth0"], 500)];
    let grants = grants.map(|(device, ids, share_milli)| Grant {
        device: device.into(),
        ids: ids.into_iter().map(Into::into).collect(),
        share_milli,
    });
    stream.lend(lease(1), &bytes(&spec), &grants).await;
    let outcome = stream.ran(lease(1)).await;
    let out = fake.logs.full(lease(1), LogStream::Stdout, outcome.stdout_bytes).await;
    let wanted = "CUDA_VISIBLE_DEVICES=1,3\nWINDLASS_DEVICES_GPU=1,3\nWINDLASS_DEVICES_NET=eth0\nWINDLASS_DEVICE_SHARE_NET=500\n";
    assert_eq!(String::from_utf8(out.data).unwrap(), wanted);

    stream.assign(lease(2), &bytes(&spec)).await;
    let outcome = stream.ran(lease(2)).await;
    let out = fake.logs.full(lease(2), LogStream::Stdout, outcome.stdout_bytes).await;
    assert_eq!(
        String::from_utf8(out.data).unwrap(),
        "CUDA_VISIBLE_DEVICES=0,1,2,3\n",
        "its own, where it is lent none"
    );
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn a_silent_job_ships_nothing() {
    let (fake, agent, mut stream) = cluster(&[]).await;
    stream.assign(lease(1), &bytes(&exec(&["true"]))).await;
    let outcome = stream.ran(lease(1)).await;
    assert_eq!((outcome.state, outcome.reason), (AttemptState::Succeeded, None));
    assert_eq!((outcome.stdout_bytes, outcome.stderr_bytes), (0, 0));
    agent.finish(&mut stream).await;
    assert_eq!(fake.logs.attempts().await, 0);
}

#[tokio::test]
async fn a_signal_that_nobody_here_sent_is_a_failure_of_the_job() {
    let (_fake, agent, mut stream) = cluster(&[]).await;
    stream.assign(lease(1), &bytes(&sh("kill -9 $$"))).await;
    let outcome = stream.ran(lease(1)).await;
    assert_eq!((outcome.state, outcome.reason), (AttemptState::Failed, Some(Reason::Signal)));
    assert_eq!(outcome.exit.unwrap().status, ExitStatus::Signal { number: 9, core_dumped: false });
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn a_duplicate_assignment_runs_once() {
    let (_fake, agent, mut stream) = cluster(&["--slots", "4"]).await;
    let trace = agent.dir().join("trace");
    let spec = bytes(&sh(&format!("echo ran >> {}", trace.display())));
    stream.assign(lease(1), &spec).await;
    stream.assign(lease(1), &spec).await;
    assert_eq!(stream.ran(lease(1)).await.state, AttemptState::Succeeded);
    stream.assign(lease(1), &spec).await;
    stream.assign(lease(2), &bytes(&exec(&["true"]))).await;
    assert_eq!(stream.ran(lease(2)).await.state, AttemptState::Succeeded);
    agent_finishes_with(agent, &mut stream, &trace, "ran\n").await;
}

#[tokio::test]
async fn an_assignment_of_another_session_is_dropped() {
    let (_fake, agent, mut stream) = cluster(&[]).await;
    let trace = agent.dir().join("trace");
    stream.assign_for(stream.hello.session + 1, lease(1), &bytes(&sh(&format!("echo 1 >> {}", trace.display())))).await;
    stream.assign(lease(2), &bytes(&sh(&format!("echo 2 >> {}", trace.display())))).await;
    assert_eq!(stream.ran(lease(2)).await.state, AttemptState::Succeeded);
    agent_finishes_with(agent, &mut stream, &trace, "2\n").await;
}

async fn agent_finishes_with(
    agent: crate::Agent,
    stream: &mut crate::fake::Stream,
    trace: &std::path::Path,
    text: &str,
) {
    assert_eq!(std::fs::read_to_string(trace).unwrap(), text);
    agent.finish(stream).await;
}

#[tokio::test]
async fn a_program_that_is_not_there_fails_with_its_name_the_stage_and_the_errno() {
    let (_fake, agent, mut stream) = cluster(&[]).await;
    stream.assign(lease(1), &bytes(&exec(&["/no/such/program"]))).await;
    let outcome = stream.ended(lease(1)).await;
    assert_eq!((outcome.state, outcome.reason), (AttemptState::Failed, Some(Reason::SpawnFailed)));
    let failure = outcome.spawn_failure.unwrap();
    assert_eq!((&*failure.stage, failure.errno), ("exec", libc::ENOENT));
    let detail = outcome.detail.unwrap();
    assert_eq!(&*detail, "cannot run /no/such/program: No such file or directory (ENOENT)");
    assert_eq!(outcome.exit, None);

    let mut spec = exec(&["true"]);
    if let Some(pb::job_spec::Work::Exec(exec)) = &mut spec.work {
        exec.cwd = "/no/such/directory".into();
    }
    stream.assign(lease(2), &bytes(&spec)).await;
    let outcome = stream.ended(lease(2)).await;
    assert_eq!(&*outcome.spawn_failure.unwrap().stage, "chdir");
    assert_eq!(outcome.detail.as_deref(), Some("cannot enter /no/such/directory: No such file or directory (ENOENT)"));
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn what_cannot_be_read_and_what_this_agent_cannot_do_are_rejected() {
    let (_fake, agent, mut stream) = cluster(&[]).await;
    stream.assign(lease(1), &bytes(&exec(&[]))).await;
    let outcome = stream.ended(lease(1)).await;
    assert_eq!((outcome.state, outcome.reason), (AttemptState::Rejected, Some(Reason::Rejected)));
    assert!(outcome.detail.unwrap().contains("spec.exec.argv"));

    // As the coordinator hands out what is damaged in its record.
    stream.assign(lease(3), &[]).await;
    let outcome = stream.ended(lease(3)).await;
    assert_eq!((outcome.state, outcome.reason), (AttemptState::Rejected, Some(Reason::Rejected)));
    assert!(outcome.detail.unwrap().contains("damaged in the coordinator's record"));

    let call = pb::Call { handler: "resize".into(), ..pb::Call::default() };
    let spec = pb::JobSpec { work: Some(pb::job_spec::Work::Call(call)), ..pb::JobSpec::default() };
    stream.assign(lease(2), &bytes(&spec)).await;
    let outcome = stream.ended(lease(2)).await;
    assert_eq!((outcome.state, outcome.reason), (AttemptState::Rejected, Some(Reason::Rejected)));
    assert!(outcome.detail.unwrap().contains("resize"));
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn attempts_wait_for_a_slot_in_order_and_can_be_taken_back_or_cancelled_meanwhile() {
    let (_fake, agent, mut stream) = cluster(&["--slots", "1"]).await;
    let gate = fifo(&agent, "gate");
    stream.assign(lease(1), &bytes(&sh(&format!("cat {}", gate.display())))).await;
    stream.started(lease(1)).await;
    for number in 2..=5 {
        stream.assign(lease(number), &bytes(&exec(&["true"]))).await;
    }
    // One that runs is not given back.
    stream.say(recall(&[1, 2])).await;
    let returned = stream.news().await;
    assert_eq!((returned.lease, returned.news), (lease(2), News::Returned(Reason::Returned)));
    stream.stop(lease(4), Reason::CancelRequested).await;
    let outcome = stream.ended(lease(4)).await;
    assert_eq!(
        (outcome.state, outcome.reason, outcome.exit),
        (AttemptState::Cancelled, Some(Reason::CancelRequested), None)
    );

    open_gate(gate).await;
    assert_eq!(stream.ended(lease(1)).await.state, AttemptState::Succeeded);
    assert_eq!(stream.ran(lease(3)).await.state, AttemptState::Succeeded);
    assert_eq!(stream.ran(lease(5)).await.state, AttemptState::Succeeded);
    agent.finish(&mut stream).await;
}

fn recall(numbers: &[u64]) -> pb::ConnectResponse {
    let wire = |number: &u64| {
        let lease = lease(*number);
        pb::Lease {
            job_id: lease.job.as_bytes().to_vec().into(),
            generation: lease.generation,
            attempt: lease.attempt,
            incarnation: lease.incarnation,
            epoch: lease.epoch,
            fencing_token: lease.fencing_token,
        }
    };
    let recall = pb::Recall { leases: numbers.iter().map(wire).collect() };
    pb::ConnectResponse { message: Some(pb::connect_response::Message::Recall(recall)) }
}
