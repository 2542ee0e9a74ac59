//! Queues for people.

use windlass_shared::pb;
use windlass_shared::pb::queue_settings::Placement;

use super::table::render;
use crate::humane::show_duration;
use crate::rates::show_rate;

/// Queues, a line each; what is set of them only where something is.
pub(crate) fn queue_table(queues: &[pb::Queue]) -> String {
    let row = |queue: &pb::Queue| {
        let state = if queue.paused { "PAUSED" } else { "ACTIVE" };
        [queue.name.clone(), state.into(), queue.queued.to_string(), queue.running.to_string()]
    };
    if queues.iter().all(|queue| queue.settings.is_none()) {
        return render(["NAME", "STATE", "QUEUED", "RUNNING"], queues.iter().map(row));
    }
    let rows = queues.iter().map(|queue| {
        let [name, state, queued, running] = row(queue);
        [name, state, queued, running, queue.settings.as_ref().map_or_else(|| "-".into(), settings)]
    });
    render(["NAME", "STATE", "QUEUED", "RUNNING", "SETTINGS"], rows)
}

/// What is not as it is where nothing is set.
fn settings(settings: &pb::QueueSettings) -> String {
    let span = |time: &prost_types::Duration| std::time::Duration::try_from(*time).unwrap_or_default();
    let minute = prost_types::Duration { seconds: 60, nanos: 0 };
    let placement = settings.placement();
    let (weights, named) = (&settings.fairness_weights, settings.fairness_weights.len());
    let said = [
        settings.weight.filter(|weight| *weight != 1).map(|weight| format!("weight {weight}")),
        settings.max_running.map(|max| format!("max {max} running")),
        settings.rate.as_ref().map(|rate| format!("rate {}", show_rate(Some(rate)))),
        settings.max_depth.map(|max| format!("max {max} queued")),
        settings.max_bytes.map(|max| format!("max {max} bytes")),
        settings.aging_step.filter(|step| *step != minute).map(|step| format!("aging {}", show_duration(span(&step)))),
        (!matches!(placement, Placement::Unspecified | Placement::LeastLoaded))
            .then(|| placement.as_str_name().trim_start_matches("PLACEMENT_").to_lowercase().replace('_', "-")),
        (!weights.is_empty()).then(|| format!("{named} keys weighed")),
        settings.unsatisfiable_after.map(|time| format!("unsatisfiable after {}", show_duration(span(&time)))),
    ];
    said.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(name: &str, paused: bool) -> pb::Queue {
        pb::Queue { name: name.into(), paused, queued: 3, running: 1, ..pb::Queue::default() }
    }

    #[test]
    fn a_paused_queue_is_seen_at_a_glance() {
        let wanted = "NAME  STATE   QUEUED  RUNNING\na     ACTIVE  3       1\nb     PAUSED  3       1\n";
        assert_eq!(queue_table(&[queue("a", false), queue("b", true)]), wanted);
    }

    #[test]
    fn what_is_set_of_a_queue_is_shown_and_what_is_as_ever_is_not() {
        let minute = Some(prost_types::Duration { seconds: 60, nanos: 0 });
        let settings = pb::QueueSettings {
            weight: Some(1),
            max_running: Some(3),
            rate: Some(pb::Rate { cost: 10.0, period: minute, burst: Some(1.0) }),
            aging_step: minute,
            placement: Placement::BinPack.into(),
            ..pb::QueueSettings::default()
        };
        let table = queue_table(&[pb::Queue { settings: Some(settings), ..queue("a", false) }, queue("b", false)]);
        assert!(table.contains("1        max 3 running, rate 10/1m, 1 at once, bin-pack\n"), "{table}");
        assert!(table.ends_with("1        -\n"), "{table}");
    }
}
