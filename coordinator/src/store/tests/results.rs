//! What handlers answered, and what operators decided.

use std::time::Duration;

use windlass_core::Mark;
use windlass_shared::domain::{
    CallResult, Cooldown, LimitSettings, Order, OrderKind, Pause, PlacementPolicy, QueueSettings, Rate,
};
use windlass_shared::ids::AgentId;
use windlass_shared::time::Timestamp;

use super::bed::{Bed, Kind};
use super::on_every_store;
use super::script::{Script, id};
use crate::store::{Batch, Filter};

on_every_store!(
    results_come_back_byte_for_byte_and_views_have_no_large_ones,
    a_job_that_was_not_answered_has_no_result,
);

fn results_come_back_byte_for_byte_and_views_have_no_large_ones(bed: &mut Bed) {
    let mut script = Script::default();
    for (n, bytes) in (1..).zip([0, 1, 511, 512, 513, 5_000, 256 << 10]) {
        let value: Vec<u8> = (0..bytes).map(|at: usize| (at * 31) as u8).collect();
        let result = CallResult { value: value.into(), content_type: (n % 2 == 0).then(|| "text/plain".into()) };
        let submitted = script.submit(n);
        let leased = script.lease(&submitted);
        let done = script.answer(&leased, result.clone());
        // In one batch, or over several: rows that are new and rows that are there.
        if n % 3 == 0 {
            bed.record(vec![submitted, leased, done]);
        } else {
            bed.record(vec![submitted, leased]);
            bed.record(vec![done]);
        }
        assert_eq!(bed.store().result(id(n)).expect("it reads"), Some(result.clone()), "{bytes} bytes");
        let attempt = bed.view(id(n)).expect("it is there").attempts.remove(0);
        assert_eq!(attempt.result_bytes, bytes as u64);
        let shown = attempt.outcome.expect("it ended").result;
        assert_eq!(shown, Some(result).filter(|_| bytes <= 512), "{bytes} bytes");
    }
    assert_eq!(bed.list(&Filter::default(), 3).len(), 7);
}

fn a_job_that_was_not_answered_has_no_result(bed: &mut Bed) {
    let mut script = Script::default();
    bed.record(script.whole_life(1));
    let submitted = script.submit(2);
    bed.record(vec![submitted]);
    for n in 1..=3 {
        assert_eq!(bed.store().result(id(n)).expect("it reads"), None, "job {n}");
    }
}

fn mark(bed: &mut Bed, mark: Mark) {
    bed.commit(Batch { marks: vec![mark], ..Batch::default() });
}

fn order(kind: OrderKind) -> Order {
    Order { kind, reason: Some("new disk".into()), agent_name: "a1".into() }
}

fn queue_with_settings(rate: Rate) -> Mark {
    let settings = QueueSettings {
        weight: 3,
        limit: LimitSettings { units_max: Some(4), rate: Some(rate) },
        depth_max: Some(5),
        bytes_max: Some(u64::MAX),
        aging_step: Duration::from_millis(1),
        placement: PlacementPolicy::Sticky,
        fairness_weights: [("tenant:1".into(), 9)].into(),
        unsatisfiable_after: Some(Duration::from_nanos(1)),
    };
    Mark::Queue { name: "later".into(), pause: None, settings: Some(settings.into()) }
}

#[test]
fn what_operators_decided_comes_back_until_it_is_taken_back() {
    let mut bed = Bed::new(Kind::Sqlite);
    let agent = |n| AgentId::new([n; 16]);
    let rate = Rate { cost: 1_500, period: Duration::from_secs(60), burst: 1 };
    let marks = vec![
        Mark::Agent { id: agent(1), order: Some(order(OrderKind::Cordon)) },
        Mark::Agent { id: agent(2), order: Some(order(OrderKind::Drain(None))) },
        Mark::Agent { id: agent(3), order: Some(order(OrderKind::Drain(Some(Timestamp(5))))) },
        Mark::Cooldown {
            key: "api".into(),
            cooldown: Some(Cooldown { until: Timestamp(7), reason: Some("429".into()) }),
        },
        Mark::Cooldown { key: "b".into(), cooldown: Some(Cooldown { until: Timestamp(8), reason: None }) },
        Mark::Limit { key: "api".into(), settings: Some(LimitSettings { units_max: Some(0), rate: None }) },
        Mark::Limit { key: "tenant:*".into(), settings: Some(LimitSettings { units_max: None, rate: Some(rate) }) },
        Mark::Queue { name: "bulk".into(), pause: Some(Pause { reason: Some("too much".into()) }), settings: None },
        Mark::Queue { name: "default".into(), pause: Some(Pause { reason: None }), settings: None },
    ];
    let marks = [marks, vec![queue_with_settings(rate)]].concat();
    for one in &marks {
        mark(&mut bed, one.clone());
    }
    assert_eq!(bed.reopen().marks, marks);
    let later = Mark::Agent { id: agent(1), order: Some(order(OrderKind::Drain(None))) };
    mark(&mut bed, later.clone());
    mark(&mut bed, Mark::Queue { name: "default".into(), pause: None, settings: None });
    mark(&mut bed, Mark::Agent { id: agent(2), order: None });
    mark(&mut bed, Mark::Agent { id: agent(9), order: None });
    mark(&mut bed, Mark::Cooldown { key: "b".into(), cooldown: None });
    mark(&mut bed, Mark::Limit { key: "api".into(), settings: None });
    let left = [2, 3, 6, 7, 9].map(|n: usize| marks[n].clone());
    assert_eq!(bed.reopen().marks, [&[later], &left[..]].concat());
}
