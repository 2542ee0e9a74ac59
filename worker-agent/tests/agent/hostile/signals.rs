//! Commands that will not hear a signal, or die of one.

use windlass_shared::domain::{ExitStatus, Proof};

use super::row::Row;

/// All that can be blocked or ignored, from Python.
const EVERY_SIGNAL: &str = "every = [n for n in signal.valid_signals() if n not in (signal.SIGKILL, signal.SIGSTOP)]";

pub(super) fn rows() -> Vec<Row> {
    let deaf = format!(
        "import os, signal, time\n{EVERY_SIGNAL}\n\
         for n in every: signal.signal(n, signal.SIG_IGN)\n\
         os.fork(); print('up', flush=True)\nwhile True: time.sleep(9)"
    );
    let blocked = format!(
        "import os, signal\n{EVERY_SIGNAL}\nsignal.pthread_sigmask(signal.SIG_BLOCK, every)\n\
         print('up', flush=True); os.execvp('sleep', ['sleep', '1000'])"
    );
    let mut rows = vec![
        Row::sh("ignores_term", "trap '' TERM; echo up; while :; do sleep 1; done").cancelled_after("up"),
        Row::python("ignores_all_it_can", &deaf).cancelled_after("up"),
        Row::python("blocks_all_it_can_and_execs", &blocked).cancelled_after("up"),
        Row::sh("ignores_term_past_its_timeout", "trap '' TERM; while :; do sleep 1; done").times_out(),
        Row::sh("stops_itself", "echo up; kill -STOP $$; sleep 1000").cancelled_after("up").by_signal(15),
        Row::sh("stops_its_whole_group", "sleep 1000 & echo up; kill -STOP 0; sleep 1000")
            .cancelled_after("up")
            .by_signal(15),
        Row::sh(
            "answers_term_with_more_of_itself",
            "trap 'sleep 1000 & sleep 1000 &' TERM; echo up; while :; do sleep 0.05; done",
        )
        .cancelled_after("up"),
        Row::sh("answers_term_with_success", "trap 'exit 0' TERM; echo up; while :; do sleep 0.05; done")
            .cancelled_after("up")
            .exits(0)
            .ends(windlass_shared::domain::AttemptState::Cancelled, windlass_shared::domain::Reason::CancelRequested),
        Row::sh("kills_its_group", "sleep 1000 & kill -KILL 0; sleep 1000").dies_of(9),
        Row::sh("terminates_its_group", "sleep 1000 & kill -TERM 0; sleep 1000").dies_of(15),
        Row::sh("exits_1", "exit 1").exits(1),
        Row::sh("exits_77", "exit 77").exits(77),
        Row::sh("exits_255", "exit 255").exits(255),
        // What a core costs is its directory's, which goes with the attempt.
        Row::sh("dumps_core", "ulimit -c unlimited; kill -ABRT $$").dies_of(6).anyhow().looks(|_, outcome| {
            let exit = outcome.exit.as_ref().unwrap();
            assert!(matches!(exit.status, ExitStatus::Signal { number: 6, .. }), "{exit:?}");
            assert_eq!(exit.proof, Proof::Keeper);
        }),
    ];
    let deaths = [("hup", 1), ("int", 2), ("ill", 4), ("bus", 7), ("fpe", 8), ("kill", 9), ("usr1", 10), ("segv", 11)];
    let more = [("pipe", 13), ("alrm", 14), ("term", 15), ("xcpu", 24), ("sys", 31), ("rtmin", 34), ("rtmax", 64)];
    rows.extend(deaths.into_iter().chain(more).map(|(name, number)| {
        let name: &'static str = Box::leak(format!("dies_of_{name}").into_boxed_str());
        Row::sh(name, &format!("ulimit -c 0; kill -{number} $$")).dies_of(number)
    }));
    rows
}
