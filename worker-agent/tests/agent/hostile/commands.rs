//! How a row that is a command is run.

use std::time::{Duration, Instant};

use windlass_shared::domain::Reason;

use super::row::Row;
use super::site::{NEIGHBOUR, Site};
use crate::{cluster, eventually, lease};

pub(super) async fn run(mut row: Row) {
    let (fake, agent, stream) = cluster(&["--slots", "2"]).await;
    let mut site = Site::open(fake, agent, stream, !row.alone).await;
    if let Some(makes) = row.makes {
        makes(site.agent.dir());
    }
    let spec = row.spec(site.agent.dir());
    for round in 1..=row.rounds {
        attack(&mut site, &row, &spec, round as u64).await;
    }
    if row.costs_the_neighbour {
        let lost = site.end_of(lease(NEIGHBOUR), Duration::from_secs(10)).await;
        assert_eq!(lost.reason, Some(Reason::SupervisorLost), "{}", row.name);
    } else if !row.alone {
        site.is_as_before().await;
        site.finish_neighbour().await;
    }
    site.leave().await;
}

async fn attack(site: &mut Site, row: &Row, spec: &[u8], number: u64) {
    let begun = Instant::now();
    site.stream.assign(lease(number), spec).await;
    if let Some(text) = row.cancel_after {
        site.fake.logs.says(lease(number), text).await;
        site.stream.stop(lease(number), Reason::CancelRequested).await;
    }
    let outcome = site.end_of(lease(number), row.wants.within).await;
    if row.costs_the_neighbour {
        // Beside what is left, a new warden is being started.
        eventually("nothing of it is left", || site.strangers().is_empty()).await;
    }
    let left = site.strangers();
    assert!(left.is_empty(), "{}: alive when its end was told, after {:?}: {left:?}", row.name, begun.elapsed());
    row.wants.check(row.name, &outcome);
    if let Some(look) = row.looks {
        look(site, &outcome);
    }
}
