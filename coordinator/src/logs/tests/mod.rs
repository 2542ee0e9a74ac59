//! What a log promises, wherever it is kept.

mod bounds;
mod files;

use bytes::Bytes;
use tempfile::TempDir;

use super::*;

fn key() -> LogKey {
    LogKey { job: JobId::from_bytes([1; 16]), attempt: 1, stream: LogStream::Stdout }
}

fn chunk(offset: u64, data: impl Into<Vec<u8>>) -> LogChunk {
    LogChunk { stream: LogStream::Stdout, offset, data: Bytes::from(data.into()) }
}

fn limits(stream_bytes_max: u64, total_bytes_max: u64) -> LogLimits {
    LogLimits { stream_bytes_max, total_bytes_max, ..LogLimits::default() }
}

fn open(dir: &TempDir) -> Logs {
    Logs::open(dir.path(), LogLimits::default(), Bells::default()).unwrap()
}

/// The same for both places.
fn both(limits: &LogLimits, test: impl Fn(&Logs)) {
    test(&Logs::new(limits.clone(), Bells::default()));
    let dir = tempfile::tempdir().unwrap();
    test(&Logs::open(dir.path(), limits.clone(), Bells::default()).unwrap());
}

fn text(logs: &Logs, offset: u64, limit: usize) -> (Vec<(u64, String)>, u64) {
    let (chunks, next) = logs.read(key(), offset, limit);
    let show = |chunk: LogChunk| (chunk.offset, String::from_utf8_lossy(&chunk.data).into_owned());
    (chunks.into_iter().map(show).collect(), next)
}

#[test]
fn a_resent_piece_counts_once() {
    both(&LogLimits::default(), |logs| {
        assert_eq!(logs.append(key().job, 1, chunk(0, "hello")), 5);
        assert_eq!(logs.append(key().job, 1, chunk(0, "hello")), 5);
        assert_eq!(logs.append(key().job, 1, chunk(3, "lo, you")), 10);
        assert_eq!(text(logs, 0, 100), (vec![(0, "hello".into()), (5, ", you".into())], 10));
    });
}

#[test]
fn reading_goes_on_in_the_middle_of_a_piece() {
    both(&LogLimits::default(), |logs| {
        logs.append(key().job, 1, chunk(0, "hello"));
        assert_eq!(text(logs, 0, 2), (vec![(0, "he".into())], 2));
        assert_eq!(text(logs, 2, 2), (vec![(2, "ll".into())], 4));
        assert_eq!(text(logs, 4, 2), (vec![(4, "o".into())], 5));
        assert_eq!(text(logs, 5, 2), (vec![], 5));
    });
}

#[test]
fn a_reader_goes_on_from_any_offset_of_a_long_log_among_others() {
    // Segments of 1 KiB, so that the log spreads over many.
    both(&limits(1 << 20, 64 << 10), |logs| {
        for i in 0..200_u32 {
            logs.append(key().job, 1, chunk(u64::from(i) * 7, format!("{i:07}")));
            logs.append(key().job, 2, chunk(u64::from(i) * 5, "other"));
        }
        let (mut all, mut next) = (String::new(), 0);
        while next < logs.end(key()) {
            let (pieces, to) = text(logs, next, 10);
            all.extend(pieces.into_iter().map(|(_, data)| data));
            assert!(to > next);
            next = to;
        }
        assert_eq!(all, (0..200).map(|i| format!("{i:07}")).collect::<String>());
        assert_eq!(text(logs, 700, 7), (vec![(700, "0000100".into())], 707));
    });
}

#[test]
fn what_the_agent_dropped_shows_as_a_gap_and_streams_are_apart() {
    both(&LogLimits::default(), |logs| {
        logs.append(key().job, 1, chunk(0, "hello"));
        logs.append(key().job, 1, LogChunk { stream: LogStream::Stderr, ..chunk(0, "oh") });
        assert_eq!(logs.append(key().job, 1, chunk(1_000, "end")), 1_003);
        assert_eq!(text(logs, 0, 100), (vec![(0, "hello".into()), (1_000, "end".into())], 1_003));
        assert_eq!(logs.end(LogKey { stream: LogStream::Stderr, ..key() }), 2);
        assert_eq!(logs.read(LogKey { attempt: 2, ..key() }, 3, 100), (vec![], 3));
    });
}

#[test]
fn an_offset_at_the_end_of_numbers_is_survived() {
    both(&LogLimits::default(), |logs| {
        assert_eq!(logs.append(key().job, 1, chunk(u64::MAX - 2, "hello")), u64::MAX);
        assert_eq!(text(logs, 0, 100), (vec![(u64::MAX - 2, "he".into())], u64::MAX));
        assert_eq!(logs.end(key()), u64::MAX);
    });
}

#[tokio::test]
async fn whoever_waits_for_a_job_hears_of_its_log() {
    let bells = Bells::default();
    let logs = Logs::new(LogLimits::default(), bells.clone());
    let bell = bells.subscribe(key().job);
    let mut looks = 0;
    let seen = bell.until(|| {
        looks += 1;
        if looks == 1 {
            logs.append(key().job, 1, chunk(0, "hello"));
        }
        (looks == 2).then(|| logs.end(key()))
    });
    assert_eq!(seen.await, 5);
}
