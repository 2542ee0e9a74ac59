//! Agents for people: a line each, or in full.

use windlass_shared::domain::{WEIGHT_DEFAULT, show_amount};
use windlass_shared::pb;

use super::table::render;
use crate::humane::{one_line, show_age, show_instant};

/// Room for all pools of an agent on its line; the sheet has them whole.
const POOLS_CHARS_MAX: usize = 60;

/// Agents, a line each.
pub(crate) fn agent_table(agents: &[pb::Agent]) -> String {
    let rows = agents.iter().map(|agent| {
        let busy = format!("{}/{}", agent.running, agent.slots);
        let age = show_age(agent.connect_time.as_ref());
        let pools = agent.pools.iter().map(pool).collect::<Vec<_>>().join("; ");
        [
            agent.name.clone(),
            agent.id.clone(),
            state(agent).into(),
            scheduling(agent).into(),
            busy,
            agent.held.to_string(),
            age,
            agent.host.clone(),
            one_line(&pools, POOLS_CHARS_MAX),
        ]
    });
    render(["NAME", "ID", "STATE", "SCHEDULING", "BUSY", "HELD", "UP", "HOST", "POOLS"], rows)
}

/// One agent in full, with its pools.
pub(crate) fn agent_sheet(agent: &pb::Agent) -> String {
    let mut sheet = String::new();
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() && value != "-" {
            sheet += &format!("{name:<12}{value}\n");
        }
    };
    line("agent", &agent.name);
    line("id", &agent.id);
    line("state", state(agent));
    line("scheduling", scheduling(agent));
    line("reason", &one_line(&agent.reason, usize::MAX));
    if agent.stuck > 0 {
        line("stuck", &format!("{} slots or workers that cannot be killed", agent.stuck));
        line("since", &show_instant(agent.quarantine_time.as_ref()));
    }
    line("stops at", &show_instant(agent.drain_time.as_ref()));
    line("health", &health(agent));
    line("busy", &format!("{} of {} slots, {} held", agent.running, agent.slots, agent.held));
    line("host", &agent.host);
    line("version", &agent.version);
    line("connected", &show_instant(agent.connect_time.as_ref()));
    line("heard", &show_instant(agent.heartbeat_time.as_ref()));
    if let Some(traits) = &agent.traits {
        traits_lines(traits).iter().for_each(|(name, value)| line(name, value));
    }
    if !agent.pools.is_empty() {
        sheet += "\n";
        sheet += &pool_table(&agent.pools);
    }
    sheet
}

/// What it says of itself; what it does not say has an empty line.
fn traits_lines(traits: &pb::Traits) -> [(&'static str, String); 5] {
    let amount = |(name, milli): (&String, &u64)| format!("{name}={}", show_amount(*milli));
    let set = |set: &pb::DeviceSet| format!("{}={}", set.name, set.ids.join(","));
    let labels: Vec<_> =
        traits.labels.iter().map(|(key, value)| one_line(&format!("{key}={value}"), usize::MAX)).collect();
    let resources: Vec<_> = traits.resources.iter().map(amount).collect();
    let devices: Vec<_> = traits.devices.iter().map(set).collect();
    let weight = if traits.weight == WEIGHT_DEFAULT { String::new() } else { traits.weight.to_string() };
    [
        ("labels", labels.join(" ")),
        ("resources", resources.join(" ")),
        ("devices", devices.join(" ")),
        ("leaves at", show_instant(traits.leave_time.as_ref())),
        ("weight", weight),
    ]
}

fn pool_table(pools: &[pb::Pool]) -> String {
    let rows = pools.iter().map(|pool| {
        let (workers, held) = (pool.workers.to_string(), pool.held.to_string());
        [pool.name.clone(), workers, held, pool.capacity.to_string(), pool.handlers.join(", ")]
    });
    render(["POOL", "WORKERS", "HELD", "CAPACITY", "HANDLERS"], rows)
}

fn pool(pool: &pb::Pool) -> String {
    format!("{} {}/{}: {}", pool.name, pool.held, pool.workers, pool.handlers.join(", "))
}

/// Nothing where there is nothing to say.
fn health(agent: &pb::Agent) -> String {
    let health = agent.health().as_str_name().trim_start_matches("HEALTH_");
    match agent.health() {
        pb::agent::Health::Unspecified | pb::agent::Health::Healthy => String::new(),
        _ => format!("{health}, {} of {} attempts failed lately", agent.recent_failures, agent.recent_ends),
    }
}

fn state(agent: &pb::Agent) -> &'static str {
    agent.state().as_str_name().trim_start_matches("STATE_")
}

fn scheduling(agent: &pb::Agent) -> &'static str {
    agent.scheduling().as_str_name().trim_start_matches("SCHEDULING_")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent() -> pb::Agent {
        let handlers = vec!["fail".into(), "upper".into()];
        let pools = vec![pb::Pool { name: "demo".into(), handlers, workers: 2, capacity: 3, held: 1 }];
        pb::Agent { name: "a".into(), state: 1, scheduling: 1, slots: 4, running: 3, pools, ..pb::Agent::default() }
    }

    #[test]
    fn agents_show_how_busy_they_are_and_what_their_pools_take() {
        let table = agent_table(&[agent()]);
        assert!(table.contains("CONNECTED") && table.contains("ACTIVE") && table.contains("3/4"), "{table}");
        assert!(table.ends_with("demo 1/2: fail, upper\n"), "{table}");
    }

    #[test]
    fn the_sheet_shows_what_an_agent_says_of_itself_and_nothing_of_what_it_does_not() {
        let ids = vec!["0".into(), "1".into()];
        let with = |traits| agent_sheet(&pb::Agent { traits: Some(traits), ..pb::Agent::default() });
        let sheet = with(pb::Traits {
            labels: [("arch".into(), "arm".into()), ("zone".into(), String::new())].into(),
            resources: [("disk".into(), 2_000), ("memory".into(), 1_500)].into(),
            devices: vec![pb::DeviceSet { name: "gpu".into(), ids }],
            leave_time: Some(prost_types::Timestamp { seconds: 1_700_000_000, nanos: 0 }),
            weight: 7,
        });
        let wanted = concat!(
            "labels      arch=arm zone=\n",
            "resources   disk=2 memory=1.5\n",
            "devices     gpu=0,1\n",
            "leaves at   2023-11-14T22:13:20.000Z\n",
            "weight      7\n",
        );
        assert!(sheet.ends_with(wanted), "{sheet}");
        let ill = pb::Agent { health: 3, recent_ends: 20, recent_failures: 11, ..pb::Agent::default() };
        assert!(agent_sheet(&ill).contains("health      UNHEALTHY, 11 of 20 attempts failed lately\n"));
        let sheet = with(pb::Traits { weight: WEIGHT_DEFAULT, ..pb::Traits::default() });
        assert!(sheet.ends_with("held\n"), "{sheet}");
    }

    #[test]
    fn the_sheet_says_why_an_agent_drains_and_until_when() {
        let drain_time = Some(prost_types::Timestamp { seconds: 1_700_000_000, nanos: 0 });
        let draining = pb::Agent { scheduling: 3, reason: "new kernel".into(), drain_time, held: 3, ..agent() };
        let wanted = concat!(
            "agent       a\n",
            "state       CONNECTED\n",
            "scheduling  DRAINING\n",
            "reason      new kernel\n",
            "stops at    2023-11-14T22:13:20.000Z\n",
            "busy        3 of 4 slots, 3 held\n",
            "\n",
            "POOL  WORKERS  HELD  CAPACITY  HANDLERS\n",
            "demo  2        1     3         fail, upper\n",
        );
        assert_eq!(agent_sheet(&draining), wanted);
    }
}
