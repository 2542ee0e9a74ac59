//! Prints numbers; asserts none. `cargo test --release -p windlass-worker-agent --test process bench -- --ignored --nocapture`

use std::time::Instant;

use windlass_worker_agent::process::{ExitKind, Warden};

use crate::support::*;

async fn truths(warden: Warden, count: usize) {
    for _ in 0..count {
        let ended = run(&warden, spec(&["/bin/true"])).await;
        assert_eq!(status(ended.leader), ExitKind::Code(0));
    }
}

alone! {
    #[ignore = "a measurement"]
    async fn bench_true() {
        const JOBS: usize = 6000;
        let warden = start(options());
        for in_flight in [1, 2, 4, 8, 16] {
            let begin = Instant::now();
            let tasks: Vec<_> = (0..in_flight).map(|_| tokio::runtime::Handle::current().spawn(truths(warden.clone(), JOBS / in_flight))).collect();
            for task in tasks {
                task.await.unwrap();
            }
            println!("{in_flight:>3} in flight: {:.0} /bin/true a second", JOBS as f64 / begin.elapsed().as_secs_f64());
        }
        assert_only_the_warden_is_left(&warden).await;
    }
}
