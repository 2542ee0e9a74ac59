//! Counters: of what is on record.

use tonic::Code;
use windlass_shared::domain::{AttemptState, Reason};
use windlass_shared::pb;

use crate::rig::{Rig, ended, hello};

async fn counted(rig: &Rig) -> Vec<(String, u64)> {
    let answer = rig.fleet().get_counters(pb::GetCountersRequest::default()).await.expect("counted").into_inner();
    let show = |counter: pb::Counter| {
        let labels: String = counter.labels.iter().map(|(label, text)| format!(" {label}={text}")).collect();
        (format!("{}{labels}", counter.name), counter.value)
    };
    answer.counters.into_iter().map(show).filter(|(_, value)| *value > 0).collect()
}

#[tokio::test]
async fn jobs_and_attempts_are_counted_by_how_they_ended_and_why() {
    let rig = Rig::start().await;
    assert_eq!(counted(&rig).await, []);
    let mut agent = rig.agent(1, 1).await;
    for (state, reason) in [(AttemptState::Succeeded, None), (AttemptState::Failed, Some(Reason::OomKilled))] {
        let id = rig.submit().await;
        let (lease, _) = agent.assigned().await.remove(0);
        agent.report(lease, ended(state, reason, 0)).await;
        rig.wait(&id).await;
    }
    let counted = counted(&rig).await;
    let wanted = [
        ("windlass_jobs_submitted_total", 2),
        ("windlass_jobs_finished_total outcome=succeeded", 1),
        ("windlass_jobs_finished_total outcome=failed", 1),
        ("windlass_job_attempts_total reason=none", 1),
        ("windlass_job_attempts_total reason=out_of_memory", 1),
    ];
    assert_eq!(counted.iter().map(|(name, value)| (&**name, *value)).collect::<Vec<_>>(), wanted);
    let away = pb::GetCountersRequest { agent_id: hello(2, 1).id.to_string() };
    assert_eq!(rig.fleet().get_counters(away).await.expect_err("unknown").code(), Code::NotFound);
}
