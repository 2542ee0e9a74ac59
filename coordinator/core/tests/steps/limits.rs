//! What operators set of limits, and what cools down.

use std::time::Duration;

use windlass_shared::domain::{LimitSettings, Rate};

use crate::rig::Rig;

fn units(max: u32) -> Option<LimitSettings> {
    Some(LimitSettings { units_max: Some(max), rate: None })
}

#[test]
fn a_limit_is_set_shown_and_taken_back() {
    let mut rig = Rig::default();
    assert_eq!(rig.set_limit("api", units(3)), ["mark limit api set", "reply limit api: 3 units, 0 in use"]);
    assert_eq!(rig.set_limit("api", units(0)), ["mark limit api set", "reply limit api: 0 units, 0 in use"]);
    assert_eq!(rig.set_limit("api", None), ["mark limit api unset", "reply limit api: 0 in use"]);
    assert_eq!(rig.set_limit("api", None), ["reply limit api: 0 in use"], "it was not set");
}

#[test]
fn what_holds_for_a_key_may_be_set_for_all_that_begin_so() {
    let mut rig = Rig::default();
    let rate = Rate { cost: 10_000, period: Duration::from_secs(60), burst: 1_000 };
    let settings = Some(LimitSettings { units_max: None, rate: Some(rate) });
    assert_eq!(rig.set_limit("tenant:*", settings), ["mark limit tenant:* set", "reply limit tenant:*: a rate"]);
    let shown = rig.core.limit(&"tenant:7".into());
    assert_eq!(
        (shown.set_at.as_deref(), shown.settings.rate, shown.units_in_use),
        (Some("tenant:*"), Some(rate), Some(0))
    );
    assert_eq!(rig.core.limit(&"tenant".into()).set_at, None);
}

#[test]
fn a_cooldown_ends_by_time_or_by_word_and_is_then_forgotten() {
    let mut rig = Rig::default();
    let second = Duration::from_secs(1);
    assert_eq!(rig.cool("api", Some(second)), ["mark cooldown api set", "reply limit api: 0 in use, cools"]);
    assert_eq!(rig.cool("api", Some(2 * second)), ["mark cooldown api set", "reply limit api: 0 in use, cools"]);
    assert!(rig.pass(second).is_empty());
    assert_eq!(rig.pass(second), ["mark cooldown api unset"]);
    assert_eq!(rig.cool("api", None), ["reply limit api: 0 in use"], "it has none");
    rig.cool("api", Some(second));
    assert_eq!(rig.cool("api", None), ["mark cooldown api unset", "reply limit api: 0 in use"]);
    assert!(rig.pass(2 * second).is_empty());
}

#[test]
fn limits_and_cooldowns_hold_over_a_restart_and_those_that_ended_meanwhile_are_forgotten() {
    let mut rig = Rig::default();
    rig.set_limit("tenant:*", units(1));
    rig.cool("long", Some(Duration::from_secs(3_600)));
    rig.cool("short", Some(Duration::from_millis(1)));
    rig.restart();
    assert_eq!(rig.core.limit(&"tenant:1".into()).settings, units(1).unwrap_or_default());
    assert!(rig.core.limit(&"long".into()).cooldown.is_some());
    assert_eq!(rig.pass(Duration::from_millis(1)), ["mark cooldown short unset"]);
    assert_eq!(rig.pass(Duration::from_secs(3_600)), ["mark cooldown long unset"]);
}

#[test]
fn pages_of_limits_go_by_key_beginnings_before_the_keys_that_begin_so() {
    let mut rig = Rig::default();
    for key in ["tenant:*", "tenant:1", "a", "tenant:-", "tenant*", "z*", "*"] {
        rig.set_limit(key, units(1));
    }
    rig.cool("b", Some(Duration::from_secs(1)));
    let all = ["*", "a", "b", "tenant*", "tenant:*", "tenant:-", "tenant:1", "z*"];
    for size in 1..=8 {
        let (mut names, mut after): (Vec<String>, Option<String>) = (Vec::new(), None);
        while let page @ [.., _] = &rig.core.limits(after.as_deref(), size)[..] {
            assert!(page.len() <= size);
            names.extend(page.iter().map(|limit| limit.key.to_string()));
            after = names.last().cloned();
        }
        assert_eq!(names, all, "{size} a page");
    }
}
