//! Jobs that attack those who watch over them: the keeper is their parent, the warden its parent.

use std::time::Duration;

use super::row::Row;

/// The warden, from the leader's point of view.
const WARDEN: &str = "W=$(cut -d' ' -f4 /proc/$PPID/stat)";
/// A word, a look and a margin for a busy host.
const SOON: Duration = Duration::from_secs(8);

pub(super) fn rows() -> Vec<Row> {
    let warden = |name, script: &str| Row::sh(name, &format!("{WARDEN}; {script}"));
    vec![
        Row::sh("stops_its_keeper_and_exits", "kill -STOP $PPID; exit 0").within(SOON).rounds(3),
        Row::sh("stops_its_keeper_and_fails", "kill -STOP $PPID; exit 9").exits(9).within(SOON),
        Row::sh("stops_its_keeper_and_stays", "kill -STOP $PPID; echo up; sleep 1000")
            .cancelled_after("up")
            .by_signal(15)
            .within(SOON),
        Row::sh("stops_its_keeper_and_leaves_children", "setsid sleep 1000 & kill -STOP $PPID; exit 0").within(SOON),
        // A hundred times is enough, and then it has none.
        Row::sh("stops_its_keeper_without_end", "K=$PPID; while kill -STOP $K; do :; done")
            .supervision_is_lost()
            .within(Duration::from_secs(20)),
        Row::sh(
            "stops_its_keeper_with_a_terminals_signals",
            "for s in TSTP TTIN TTOU; do kill -$s $PPID; done; exit 0",
        )
        .within(SOON),
        // What its keeper hears as the order to kill.
        Row::sh("terminates_its_keeper", "kill -TERM $PPID; sleep 1000").dies_of(9).within(SOON),
        Row::sh(
            "hangs_up_on_its_keeper",
            "for s in HUP INT QUIT USR1 USR2 ALRM PIPE CHLD RTMIN; do kill -$s $PPID; done; exit 0",
        )
        .within(SOON),
        Row::sh("kills_its_keeper", "echo up; kill -KILL $PPID; sleep 1000").supervision_is_lost().within(SOON),
        Row::sh(
            "kills_its_keeper_and_hides",
            "(setsid sh -c 'setsid sleep 1000 & sleep 1000' &); sleep 0.2; kill -KILL $PPID; sleep 1000",
        )
        .supervision_is_lost()
        .within(SOON),
        // Its keeper may not have told that it runs, and then it is one that was never seen to start.
        Row::sh("kills_its_keeper_before_anything_else", "kill -KILL $PPID; sleep 1000")
            .supervision_is_lost()
            .within(SOON)
            .rounds(20),
        warden("stops_the_warden_and_exits", "kill -STOP $W; exit 0").within(SOON).rounds(3),
        warden("stops_the_warden_and_its_keeper", "kill -STOP $W $PPID; exit 0").within(SOON),
        warden("stops_the_warden_and_stays", "kill -STOP $W; echo up; sleep 1000")
            .cancelled_after("up")
            .by_signal(15)
            .within(SOON),
        warden("stops_the_warden_and_kills_its_keeper", "kill -STOP $W; kill -KILL $PPID; sleep 1000")
            .supervision_is_lost()
            .within(SOON),
        // Nobody on the host begins or ends meanwhile, so it is given up with all that ran under it.
        warden("stops_the_warden_without_end", "while kill -STOP $W; do :; done")
            .supervision_is_lost()
            .within(Duration::from_secs(25))
            .costs_the_neighbour(),
        warden(
            "sends_the_warden_all_that_it_can_be_sent",
            "for s in HUP INT QUIT USR1 TERM ALRM TSTP PIPE CHLD; do kill -$s $W; done; exit 0",
        )
        .within(SOON),
        warden("kills_the_warden", "kill -KILL $W; sleep 1000")
            .supervision_is_lost()
            .within(SOON)
            .costs_the_neighbour(),
    ]
}
