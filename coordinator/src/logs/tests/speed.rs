use super::*;
use std::time::Instant;
#[test]
#[ignore]
fn speed() {
    let dir = tempfile::Builder::new().tempdir_in("/work/main/target/tmp").unwrap();
    let logs = open(&dir);
    let n = 7_000_000u64;
    let job = |i: u64| JobId::new(i, &[3; 10]);
    let rss = || {
        std::fs::read_to_string("/proc/self/status")
            .unwrap()
            .lines()
            .find(|l| l.starts_with("VmRSS"))
            .unwrap()
            .to_owned()
    };
    let (mut t, mut max) = (Instant::now(), 0);
    for i in 0..n {
        let one = Instant::now();
        logs.append(job(i), 1, chunk(0, [b'x'; 100]));
        max = max.max(one.elapsed().as_micros());
        if (i + 1) % 500_000 == 0 {
            println!(
                "{} appends: {} ns each, worst {max} us, {}, {:?}",
                i + 1,
                t.elapsed().as_nanos() / 500_000,
                rss(),
                logs.shelf().total()
            );
            (t, max) = (Instant::now(), 0);
        }
    }
    let t = Instant::now();
    for i in 0..100_000 {
        assert_eq!(logs.read(LogKey { job: job(n - 1 - i * 60), ..key() }, 0, 1000).1, 100);
    }
    println!("read {} ns", t.elapsed().as_nanos() / 100_000);
    drop(logs);
    let t = Instant::now();
    let logs = open(&dir);
    println!("open {:?} {}", t.elapsed(), rss());
    assert_eq!(logs.end(LogKey { job: job(n - 1), ..key() }), 100);
    let dir = tempfile::Builder::new().tempdir_in("/work/main/target/tmp").unwrap();
    let logs = open(&dir);
    let t = Instant::now();
    for i in 0..16_384u64 {
        logs.append(key().job, 1, chunk(i * 1000, [b'x'; 1000]));
    }
    println!("long: {} ns an append of 1000", t.elapsed().as_nanos() / 16_384);
    let t = Instant::now();
    for _ in 0..1000 {
        logs.read(key(), 16_000_000, 256 << 10);
    }
    println!("long tail read of 384 records: {} us; ", t.elapsed().as_micros() / 1000);
    let t = Instant::now();
    for _ in 0..1000 {
        logs.read(key(), 16_384_000, 256 << 10);
    }
    println!("nothing new: {} us; ", t.elapsed().as_micros() / 1000);
}
