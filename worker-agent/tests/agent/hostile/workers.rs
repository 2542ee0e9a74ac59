//! Workers that do everything a worker must not. What their scripts are made of is in [`calls`](super::calls).

use std::time::Duration;

use windlass_shared::domain::{AttemptState, Reason};

use super::row::Row;

pub(super) fn rows() -> Vec<Row> {
    let mut rows = unheard();
    rows.extend(deaths());
    rows.extend(breaches());
    rows.extend(noises());
    rows.extend(attacks());
    rows
}

/// One that is well until it has its first call, and in that life does this.
fn worker(name: &'static str, script: &str) -> Row {
    Row::worker(name, &format!("once; hello; take; {script}"))
}

fn died(name: &'static str, script: &str, code: u8) -> Row {
    worker(name, script).ends(AttemptState::Failed, Reason::WorkerDied).leaves_with(code)
}

/// Before there is a call.
fn unheard() -> Vec<Row> {
    // One more, and the pool's breaker opens.
    let shy = "echo x >> $lives; [ $(wc -l < $lives) -gt 4 ] || exit 1; hello; serve";
    // 10 s of silence, 5 s for a sign, and a margin.
    let pulse = Duration::from_secs(20);
    vec![
        Row::worker("worker_exits_four_times_before_it_says_hello", shy),
        Row::worker("worker_stops_itself_while_idle", "once; hello; kill -STOP $$; serve")
            .called_after("it gave no sign of life", pulse),
    ]
}

/// In place of an answer.
fn deaths() -> Vec<Row> {
    let soon = Duration::from_secs(8);
    vec![
        died("worker_exits_in_a_call", "exit 0", 0),
        died("worker_exits_badly_in_a_call", "exit 3", 3),
        died("worker_dies_in_a_call", "kill -9 $$", 0).by_signal(9),
        died("worker_exits_while_a_child_holds_its_output", "sleep 1000 & exit 0", 0).within(soon),
        died("worker_daemonises_and_exits", "(setsid sleep 1000 &); exit 4", 4).within(soon),
        worker("worker_ignores_term", "trap '' TERM; echo up; while :; do sleep 1; done").cancelled_after("up"),
        worker("worker_ignores_its_time", "trap '' TERM; while :; do sleep 1; done").times_out(),
        worker("worker_stops_itself_in_a_call", "kill -STOP $$; serve").times_out().anyhow(),
    ]
}

/// Answers that are none.
fn breaches() -> Vec<Row> {
    let long = "printf '\\036{\"x\":\"'; head -c 104857600 /dev/zero | tr '\\0' x; serve";
    let unasked = "say '{\"type\":\"recalled\",\"id\":77}'; serve";
    vec![
        worker("worker_answers_for_another", "id=99; answer 1; serve").breaks_the_protocol("it answers for 99"),
        worker("worker_says_hello_twice", "hello; serve").breaks_the_protocol("it said hello twice"),
        worker("worker_says_a_frame_that_is_none", "printf '\\036{\\377\\0}\\n'; serve")
            .breaks_the_protocol("a frame cannot be read"),
        worker("worker_says_a_frame_of_100_mib", long).breaks_the_protocol("a frame is longer than 1048576 bytes"),
        worker("worker_closes_its_output", "exec >&-; sleep 1000").breaks_the_protocol("it closed its standard output"),
        worker("worker_gives_back_what_it_was_not_asked_for", unasked).breaks_the_protocol("it gives back 77"),
    ]
}

/// Answers, with more around them than there should be.
fn noises() -> Vec<Row> {
    let progress = "yes \"$(say \"{\\\"type\\\":\\\"progress\\\",\\\"id\\\":$id,\\\"done\\\":1}\")\" | head -n 100000";
    let lines =
        "yes \"$(say \"{\\\"type\\\":\\\"log\\\",\\\"id\\\":$id,\\\"message\\\":\\\"x\\\"}\")\" | head -n 100000";
    let binary = "head -c 1000000 /dev/urandom | tr -d '\\036'; answer 1; serve";
    let separators = "printf '\\036\\036\\0\\377\\036[\\n\\036'; answer 1; serve";
    vec![
        worker("worker_prints_half_a_line_before_it_answers", "printf 'half a line'; answer 1; serve")
            .looks(|_, outcome| assert_eq!(outcome.stdout_bytes, 11)),
        worker("worker_prints_binary_junk_before_it_answers", binary),
        worker("worker_prints_separators_before_it_answers", separators)
            .looks(|_, outcome| assert_eq!(outcome.stdout_bytes, 8)),
        worker("worker_prints_a_flood_before_it_answers", "head -c 134217728 /dev/zero; answer 1; serve")
            .within(Duration::from_secs(60))
            .looks(|_, outcome| assert_eq!(outcome.stdout_bytes, 128 << 20)),
        worker("worker_answers_with_its_errors_closed", "exec 2>&-; answer 1; serve"),
        worker("worker_prints_junk_after_its_answer", "answer 1; printf '\\0\\377junk'; serve"),
        worker("worker_tells_100_000_times_how_far_it_is", &format!("{progress}; answer 1; serve")),
        worker("worker_logs_100_000_lines", &format!("{lines}; answer 1; serve"))
            .looks(|_, outcome| assert_eq!(outcome.stderr_bytes, 200_000)),
    ]
}

/// Against its supervision.
fn attacks() -> Vec<Row> {
    vec![
        worker("worker_stops_its_keeper_and_answers", "kill -STOP $PPID; answer 1; serve"),
        died("worker_stops_its_keeper_and_exits", "kill -STOP $PPID; exit 5", 5),
        worker("worker_kills_its_keeper", "kill -KILL $PPID; sleep 1000").supervision_is_lost(),
    ]
}
