//! Jobs that write what and as much as they like.

use std::time::Duration;

use super::row::Row;
use super::site::Site;

const FLOOD: u64 = 1 << 30;
/// What an agent may grow by, whatever is written.
const GROWTH_KIB: u64 = 64 << 10;
/// What one that has done nothing yet takes.
const IDLE_KIB: u64 = 32 << 10;

pub(super) fn rows() -> Vec<Row> {
    let flood = Duration::from_secs(60);
    vec![
        Row::command("writes_a_gibibyte", &["head", "-c", "1073741824", "/dev/zero"]).within(flood).looks(
            |site, outcome| {
                assert_eq!(outcome.stdout_bytes, FLOOD);
                is_small(site);
            },
        ),
        Row::sh("writes_a_gibibyte_in_one_line", "head -c 1073741824 /dev/zero | tr '\\0' x >&2").within(flood).looks(
            |site, outcome| {
                assert_eq!(outcome.stderr_bytes, FLOOD);
                is_small(site);
            },
        ),
        Row::sh("writes_on_both_at_once", "head -c 536870912 /dev/zero & head -c 536870912 /dev/zero >&2; wait")
            .within(flood)
            .looks(|site, outcome| {
                assert_eq!((outcome.stdout_bytes, outcome.stderr_bytes), (FLOOD / 2, FLOOD / 2));
                is_small(site);
            }),
        Row::sh("writes_byte_by_byte", "i=0; while [ $i -lt 5000 ]; do printf x; i=$((i+1)); done").looks(
            |_, outcome| {
                assert_eq!(outcome.stdout_bytes, 5000);
            },
        ),
        Row::sh("writes_nul_and_what_is_no_text", "printf 'a\\0\\377\\376\\300\\200b\\r\\033[2J'; printf '\\0' >&2")
            .looks(|_, outcome| {
                assert_eq!((outcome.stdout_bytes, outcome.stderr_bytes), (12, 1));
            }),
        Row::sh("closes_its_input", "exec <&-; sleep 0.2"),
        Row::sh("closes_its_output", "exec >&-; sleep 0.2"),
        Row::sh("closes_its_errors", "exec 2>&-; sleep 0.2"),
        Row::sh("closes_both_its_outputs_and_stays", "echo up; exec >&- 2>&-; sleep 1000")
            .cancelled_after("up")
            .by_signal(15),
        Row::sh("floods_until_it_is_cancelled", "echo up; exec cat /dev/zero")
            .cancelled_after("up")
            .by_signal(15)
            .looks(|site, _| {
                is_small(site);
            }),
        Row::sh("floods_until_its_time_is_over", "trap '' TERM; exec cat /dev/zero").times_out(),
    ]
}

fn is_small(site: &Site) {
    let status = std::fs::read_to_string(format!("/proc/{}/status", site.agent.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak <= IDLE_KIB + GROWTH_KIB, "{peak} KiB");
}
