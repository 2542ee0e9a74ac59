//! Prints numbers; asserts none. `cargo test --release -p windlass-worker-agent --test process bench -- --ignored --nocapture`

use std::process::{Command, Stdio};
use std::time::Instant;

use windlass_worker_agent::process::{ExitKind, Warden};

use crate::support::*;

const JOBS: usize = 4000;

async fn truths(warden: Warden, count: usize) {
    for _ in 0..count {
        let ended = run(&warden, spec(&["/bin/true"])).await;
        assert_eq!(status(ended.leader), ExitKind::Code(0));
    }
}

/// What the same costs where nobody supervises: posix_spawn by std, output captured.
fn unsupervised(count: usize) {
    for _ in 0..count {
        let output = Command::new("/bin/true").stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success());
    }
}

fn print(what: &str, begin: Instant, cpu_before: u64) {
    let (rate, cpu) = (JOBS as f64 / begin.elapsed().as_secs_f64(), (cpu_micros() - cpu_before) as f64 / JOBS as f64);
    println!("{what:<28} {rate:>6.0} /bin/true a second, {cpu:>5.0} us CPU each");
}

/// User and system time of this process and of all it has reaped: a better measure than the clock on a busy machine.
fn cpu_micros() -> u64 {
    (11..15).map(|field| u64::try_from(stat(agent(), field).unwrap()).unwrap() * 10_000).sum()
}

alone! {
    #[ignore = "a measurement"]
    async fn bench_true() {
        for in_flight in [1, 2, 4, 8, 16] {
            let warden = start(options());
            let (begin, cpu) = (Instant::now(), cpu_micros());
            let spawn = |_| tokio::runtime::Handle::current().spawn(truths(warden.clone(), JOBS / in_flight));
            for task in (0..in_flight).map(spawn).collect::<Vec<_>>() {
                task.await.unwrap();
            }
            // The warden's time, and through it that of keepers and jobs, is counted when it has been reaped.
            warden.stop().await;
            print(&format!("{in_flight:>2} in flight"), begin, cpu);
        }
        let (begin, cpu) = (Instant::now(), cpu_micros());
        std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(|| unsupervised(JOBS / 4)))));
        print(" 4 in flight, unsupervised", begin, cpu);
    }
}
