//! What a tree has in memory, wherever its processes went.

use std::time::Duration;

use windlass_worker_agent::containment::{SAMPLE_EVERY, Sampler};

use crate::support::*;

const MEGABYTE: u64 = 1 << 20;

/// Has this much in memory until it is killed: tail waits for the end of a line that never ends.
fn hold(megabytes: u32) -> String {
    format!("(head -c {megabytes}M /dev/zero; echo full >&2; exec sleep 1000) | tail")
}

fn sampler() -> Sampler {
    let (sampler, task) = Sampler::start();
    tokio::runtime::Handle::current().spawn(task);
    sampler
}

alone! {
    async fn the_memory_of_what_left_its_parents_its_group_and_its_session_is_counted_with_its_tree() {
        let warden = start(options());
        let sampler = sampler();
        let mut large = warden.spawn(sh(&format!("(setsid sh -c '{}' &) ; exec sleep 1000", hold(64)))).await.unwrap();
        let mut small = warden.spawn(sh(&hold(8))).await.unwrap();
        let (mut of_large, mut of_small) = (sampler.watch(large.control.tree()), sampler.watch(small.control.tree()));
        assert_eq!((of_large.bytes(), of_small.bytes()), (0, 0), "nobody has looked yet");
        read_until(&mut large.stderr, "full").await;
        read_until(&mut small.stderr, "full").await;
        let found = within(SAMPLE_EVERY * 10, of_large.above(64 * MEGABYTE)).await;
        assert!(found < 128 * MEGABYTE, "{found}");
        let found = within(SAMPLE_EVERY * 10, of_small.above(8 * MEGABYTE)).await;
        assert!(found < 64 * MEGABYTE, "the other tree is not in it: {found}");
        let beyond = tokio::time::timeout(SAMPLE_EVERY * 3, of_small.above(64 * MEGABYTE)).await;
        assert!(beyond.is_err(), "it never was: {beyond:?}");

        large.control.kill();
        let finished = within(Duration::from_secs(10), finish(large)).await;
        assert_eq!(status(finished.leader), KILLED);
        eventually("a tree that is gone has nothing", || of_large.bytes() == 0).await;
        assert!(of_small.bytes() > 8 * MEGABYTE);
        drop(small);
        eventually("nothing of the other is left", || of_small.bytes() == 0).await;
        assert_only_the_warden_is_left(&warden).await;
    }
}
