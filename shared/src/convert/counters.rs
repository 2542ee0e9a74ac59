//! Counters as they are shown.

use crate::domain::Counter;
use crate::pb;

/// A counter as it is shown.
#[must_use]
pub fn counter_to_wire(counter: Counter) -> pb::Counter {
    let Counter { name, labels, value } = counter;
    let labels = labels.into_iter().map(|(label, text)| (label.to_owned(), text.to_string())).collect();
    pb::Counter { name: name.to_owned(), labels, value }
}
