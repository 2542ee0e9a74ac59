//! Queues as they are shown.

use crate::domain::QueueRecord;
use crate::pb;

/// A queue as it is shown.
#[must_use]
pub fn queue_to_wire(queue: &QueueRecord) -> pb::Queue {
    let reason = queue.pause.as_ref().and_then(|pause| pause.reason.as_deref());
    pb::Queue {
        name: queue.name.to_string(),
        paused: queue.pause.is_some(),
        queued: queue.queued,
        running: queue.running,
        reason: reason.unwrap_or_default().to_owned(),
    }
}
