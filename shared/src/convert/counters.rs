//! Counters, as agents say and as operators are shown them.

use crate::domain::{AgentCounter, Counter};
use crate::pb;
use pb::agent_count::Kind;

// No `_` arm towards the wire: a new counter must choose its number here. One that is newer than we are has no name to be shown by.
macro_rules! kinds {
    ($($counter:ident),* $(,)?) => {
        fn kind(counter: AgentCounter) -> Kind {
            match counter { $(AgentCounter::$counter => Kind::$counter),* }
        }

        fn counter(number: i32) -> Option<AgentCounter> {
            match Kind::try_from(number) {
                $(Ok(Kind::$counter) => Some(AgentCounter::$counter),)*
                Ok(Kind::Unspecified) | Err(_) => None,
            }
        }
    };
}

kinds! {
    KillsByCancel, KillsByTerm, KillsByKill, KillsStuck, OrphansReaped, LeftoversKilled, FramesIn, FramesOut, ProtocolErrors,
    StrayOutputBytes, LogBytes, LogDroppedBytes, Spawns, SpawnFailures, WardenRestarts, Reconnects,
}

/// What an agent counted.
pub(super) fn counts_to_wire(counts: &[(AgentCounter, u64)]) -> Vec<pb::AgentCount> {
    let count = |(counter, value): &(AgentCounter, u64)| pb::AgentCount { kind: kind(*counter).into(), value: *value };
    counts.iter().map(count).collect()
}

/// What an agent says that it counted, as far as we know of it.
pub(super) fn counts_from(wire: Vec<pb::AgentCount>) -> Vec<(AgentCounter, u64)> {
    let known = |count: pb::AgentCount| Some((counter(count.kind)?, count.value));
    wire.into_iter().filter_map(known).collect()
}

/// A counter as it is shown.
#[must_use]
pub fn counter_to_wire(counter: Counter) -> pb::Counter {
    let Counter { name, labels, value } = counter;
    let labels = labels.into_iter().map(|(label, text)| (label.to_owned(), text.to_string())).collect();
    pb::Counter { name: name.to_owned(), labels, value }
}
