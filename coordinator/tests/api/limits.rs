//! Limits are set, shown and taken back; keys cool down.

use windlass_coordinator::Options;
use windlass_shared::pb;

use crate::rig::Rig;

async fn set(rig: &Rig, key: &str, max_units: Option<u32>, rate: Option<pb::Rate>) -> pb::Limit {
    let request = pb::SetLimitRequest { key: key.into(), max_units, rate, request_id: String::new() };
    rig.limits().set_limit(request).await.expect("set").into_inner().limit.expect("the limit")
}

async fn get(rig: &Rig, key: &str) -> pb::Limit {
    let request = pb::GetLimitRequest { key: key.into() };
    rig.limits().get_limit(request).await.expect("shown").into_inner().limit.expect("the limit")
}

async fn delete(rig: &Rig, key: &str) -> pb::Limit {
    let request = pb::DeleteLimitRequest { key: key.into(), request_id: String::new() };
    rig.limits().delete_limit(request).await.expect("deleted").into_inner().limit.expect("the limit")
}

async fn cool(rig: &Rig, key: &str, seconds: i64) -> pb::Limit {
    let duration = Some(prost_types::Duration { seconds, nanos: 0 });
    let request = pb::SetCooldownRequest { key: key.into(), duration, reason: "429".into(), request_id: String::new() };
    rig.limits().set_cooldown(request).await.expect("set").into_inner().limit.expect("the limit")
}

fn limit(key: &str, set_at: &str, max_units: Option<u32>) -> pb::Limit {
    pb::Limit { key: key.into(), set_at: set_at.into(), max_units, units_in_use: Some(0), ..Default::default() }
}

#[tokio::test]
async fn what_is_set_for_a_key_comes_before_what_is_set_for_a_beginning_of_it() {
    let rig = Rig::start().await;
    let of_all = set(&rig, "tenant:*", Some(5), None).await;
    assert_eq!(of_all, pb::Limit { units_in_use: None, ..limit("tenant:*", "tenant:*", Some(5)) });
    assert_eq!(get(&rig, "tenant:7").await, limit("tenant:7", "tenant:*", Some(5)));
    assert_eq!(set(&rig, "tenant:7", Some(9), None).await, limit("tenant:7", "tenant:7", Some(9)));
    assert_eq!(delete(&rig, "tenant:7").await, limit("tenant:7", "tenant:*", Some(5)));
    assert_eq!(get(&rig, "other").await, limit("other", "", None));
}

#[tokio::test]
async fn a_rate_comes_back_as_it_was_set_with_what_was_left_out() {
    let rig = Rig::start().await;
    let period = Some(prost_types::Duration { seconds: 60, nanos: 0 });
    let asked = pb::Rate { cost: 0.5, period, burst: None };
    let shown = set(&rig, "k", None, Some(asked)).await.rate;
    assert_eq!(shown, Some(pb::Rate { cost: 0.5, period, burst: Some(0.5) }));
    let shown = set(&rig, "k", None, Some(pb::Rate { cost: 10.0, period: None, burst: Some(1.001) })).await.rate;
    let second = Some(prost_types::Duration { seconds: 1, nanos: 0 });
    assert_eq!(shown, Some(pb::Rate { cost: 10.0, period: second, burst: Some(1.001) }));
}

#[tokio::test]
async fn a_cooldown_is_shown_with_its_end_and_its_reason_until_it_is_cleared() {
    let rig = Rig::start().await;
    let cooldown = cool(&rig, "api", 60).await.cooldown.expect("it cools");
    assert!(cooldown.end_time.is_some());
    assert_eq!(cooldown.reason, "429");
    let request = pb::ClearCooldownRequest { key: "api".into(), request_id: String::new() };
    let cleared = rig.limits().clear_cooldown(request).await.expect("cleared").into_inner().limit;
    assert_eq!(cleared, Some(limit("api", "", None)));
}

#[tokio::test]
async fn limits_and_cooldowns_outlive_the_coordinator_and_are_listed_by_key() {
    let dir = tempfile::TempDir::new().expect("a directory");
    let options = || Options { data: Some(dir.path().into()), ..Options::default() };
    let rig = Rig::start_with(options()).await;
    for key in ["b", "tenant:*", "a", "gone"] {
        set(&rig, key, Some(1), None).await;
    }
    delete(&rig, "gone").await;
    let cooldown = cool(&rig, "c", 3_600).await.cooldown;
    rig.stop.cancel();
    assert!(rig.running.done().await);
    let rig = Rig::start_with(options()).await;
    let (mut keys, mut token) = (Vec::new(), String::new());
    loop {
        let request = pb::ListLimitsRequest { page_size: 3, page_token: token };
        let page = rig.limits().list_limits(request).await.expect("a page").into_inner();
        keys.extend(page.limits.into_iter().map(|limit| limit.key));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(keys, ["a", "b", "c", "tenant:*"]);
    assert_eq!(get(&rig, "c").await.cooldown, cooldown);
    assert_eq!(get(&rig, "tenant:1").await.max_units, Some(1));
}
