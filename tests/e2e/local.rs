//! `windlass run --local`: a newcomer's first command, typed exactly so.

use std::io::Read;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;

use crate::rig::{PATIENCE, Rig, Running, send, within};

/// What may be left a moment after the command is gone.
const AFTER: Duration = Duration::from_secs(10);

#[test]
fn one_job_a_file_in_input_order_on_two_agents_and_nothing_left_behind() {
    let rig = Rig::new();
    let run = rig.windlass(["run", "--local", "2", "--each", "proto/windlass/v1/*.proto", "--", "sha256sum", "{}"]);
    assert!(run.stderr().contains("2 agents"), "both got work: {}", run.stderr());
    let mut sums = std::process::Command::new("sha256sum");
    let expected = sums.current_dir(crate::rig::root()).args(protos()).output().expect("sha256sum runs").stdout;
    assert_eq!(run.expect(0), String::from_utf8(expected).expect("text"));
    rig.assert_nothing_runs(AFTER);
    rig.assert_nothing_on_disk(AFTER);
}

fn protos() -> Vec<String> {
    let entries = std::fs::read_dir(crate::rig::root().join("proto/windlass/v1")).expect("a directory");
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut files: Vec<_> = names.filter(|name| name.ends_with(".proto")).collect();
    files.sort();
    files.into_iter().map(|name| format!("proto/windlass/v1/{name}")).collect()
}

#[test]
fn lines_of_standard_input_become_jobs_and_their_output_comes_in_input_order() {
    let rig = Rig::new();
    let lines: String = (1..=200).map(|n| format!("{n}\n")).collect();
    let run = rig.windlass_fed(["run", "--local", "2", "--each", "-", "--", "sh", "-c", "echo {}"], &lines);
    assert_eq!(run.expect(0), lines);
    rig.assert_nothing_runs(AFTER);
}

#[test]
fn a_single_jobs_own_exit_code_is_passed_through() {
    let rig = Rig::new();
    assert_eq!(rig.windlass(["run", "--local", "1", "--", "sh", "-c", "exit 7"]).expect(7), "");
    assert_eq!(rig.windlass(["run", "--local", "1", "--", "sh", "-c", "kill -9 $$"]).expect(137), "");
    assert_eq!(rig.windlass(["run", "--local", "1", "--", "echo", "hello"]).expect(0), "hello\n");
    rig.assert_nothing_runs(AFTER);
    rig.assert_nothing_on_disk(AFTER);
}

#[test]
fn a_program_that_cannot_be_started_is_named_with_stage_and_errno() {
    let rig = Rig::new();
    let missing = rig.windlass(["run", "--local", "1", "--", "/no/such/program"]);
    let said = missing.stderr();
    assert!(said.contains("/no/such/program") && said.contains("exec") && said.contains("ENOENT"), "{said}");
    missing.expect(127);
    let script = rig.dir.path().join("not-executable");
    std::fs::write(&script, "#!/bin/sh\n").expect("written");
    let refused = rig.windlass(["run", "--local", "1", "--", script.to_str().expect("text")]);
    assert!(refused.stderr().contains("EACCES"), "{}", refused.stderr());
    refused.expect(126);
}

#[test]
fn a_run_timeout_ends_the_job_with_that_reason() {
    let rig = Rig::new();
    let began = std::time::Instant::now();
    let run = rig.windlass(["run", "--local", "1", "--timeout", "1s", "--", "sleep", "60"]);
    assert!(run.stderr().contains("run timeout"), "{}", run.stderr());
    assert_eq!(run.code(), 124, "{}", run.stderr());
    assert!(began.elapsed() < Duration::from_secs(30), "the sixty seconds were not waited out");
    rig.assert_nothing_runs(AFTER);
}

#[test]
fn standard_error_stays_standard_error_and_one_failure_among_many_is_told() {
    let rig = Rig::new();
    let script = "echo out {}; echo err {} >&2; test {} != b";
    let run = rig.windlass_fed(["run", "--local", "1", "--each", "-", "--", "sh", "-c", script], "a\nb\nc\n");
    for item in ["err a", "err b", "err c"] {
        assert!(run.stderr().lines().any(|line| line == item), "{}", run.stderr());
    }
    assert!(run.stderr().contains("1 failure"), "{}", run.stderr());
    assert_eq!(run.expect(3), "out a\nout b\nout c\n");
}

#[test]
fn a_job_that_is_retried_succeeds_and_the_summary_counts_the_retry() {
    let rig = Rig::new();
    let flag = rig.dir.path().join("flag");
    let script = format!("test -e {0} || {{ touch {0}; exit 1; }}", flag.display());
    let run = rig.windlass(["run", "--local", "1", "--retry", "aggressive", "--", "sh", "-c", &script]);
    assert!(run.stderr().contains("1 retr"), "{}", run.stderr());
    run.expect(0);
}

#[test]
fn a_job_runs_in_the_callers_directory_with_the_callers_environment() {
    let rig = Rig::new();
    let mut command = rig.command("windlass");
    command.current_dir(rig.dir.path()).env("GREETING", "ahoy");
    let output = command
        .args(["run", "--local", "1", "--", "sh", "-c", "pwd; echo $GREETING; echo $WINDLASS_ATTEMPT"])
        .output()
        .expect("it runs");
    let here = rig.dir.path().canonicalize().expect("a path");
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{}\nahoy\n1\n", here.display()));
}

#[test]
fn a_job_of_a_local_run_may_do_what_its_caller_may_and_is_held_to_nothing_more() {
    let rig = Rig::new();
    // What an agent by itself would change: niceness, OOM score, descriptors, core dumps, umask, privileges, environment.
    let script = "ulimit -Sn; ulimit -Hn; ulimit -Sc; ulimit -Hc; umask; cut -d' ' -f19 /proc/self/stat; \
                  cat /proc/self/oom_score_adj; echo $SECRET_OF_THE_CALLER $BASH_ENV; \
                  grep -E '^(NoNewPrivs|Uid|Gid|Groups|CapEff)' /proc/self/status";
    let under = |command: &[&str]| {
        let caller = "umask 0005; ulimit -Sn 700; exec nice -n 3 \"$@\"";
        let mut sh = std::process::Command::new("sh");
        sh.args(["-c", caller, "sh"]).args(command).current_dir(crate::rig::root());
        sh.envs([("SECRET_OF_THE_CALLER", "s3"), ("BASH_ENV", "/dev/null"), ("TMPDIR", "/tmp")]);
        let (name, value) = rig.mark_pair();
        let output = sh.env(name, value).stdin(Stdio::null()).output().expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    let windlass = crate::rig::binary("windlass").display().to_string();
    let local = under(&[&windlass, "run", "--local", "1", "--", "sh", "-c", script]);
    assert_eq!(local, under(&["sh", "-c", script]));
    assert!(local.contains("\ns3 /dev/null\n") && local.contains("\n3\n") && local.contains("0005"), "{local}");
    rig.assert_nothing_runs(AFTER);
}

#[test]
fn hello_is_printed_every_single_time() {
    let rig = Rig::new();
    // The long form, 200 out of 200, is in `.ci/run`.
    for nth in 1..=10 {
        assert_eq!(rig.windlass(["run", "--local", "1", "--", "echo", "hello"]).expect(0), "hello\n", "time {nth}");
    }
    rig.assert_nothing_runs(AFTER);
    rig.assert_nothing_on_disk(AFTER);
}

/// The command at work: both jobs sleep.
fn sleeping(rig: &Rig) -> Running {
    let mut command = rig.command("windlass");
    command.args(["run", "--local", "2", "--each", "-", "--", "sleep", "600.{}"]).stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    std::io::Write::write_all(&mut child.stdin.take().expect("piped"), b"1\n2\n").expect("it reads");
    rig.wait_for("sleep 600.", 2);
    Running { child, url: String::new() }
}

#[test]
fn ctrl_c_stops_the_jobs_and_leaves_nothing_behind() {
    let rig = Rig::new();
    let mut command = sleeping(&rig);
    command.signal(Signal::INT);
    assert_eq!(command.ended(), Some(130));
    let mut said = String::new();
    command.child.stderr.take().expect("piped").read_to_string(&mut said).expect("text");
    rig.assert_nothing_runs(AFTER);
    rig.assert_nothing_on_disk(AFTER);
    assert!(said.contains("cancel"), "{said}");
}

#[test]
fn kill_9_of_the_command_itself_leaves_nothing_behind() {
    let rig = Rig::new();
    let mut command = sleeping(&rig);
    command.signal(Signal::KILL);
    command.ended();
    rig.assert_nothing_runs(Duration::from_secs(20));
    rig.assert_nothing_on_disk(AFTER);
}

#[test]
fn the_end_of_the_local_coordinator_ends_the_command_with_a_word_about_it() {
    let rig = Rig::new();
    let mut command = sleeping(&rig);
    let coordinator = rig.wait_for("__coordinator", 1)[0];
    send(coordinator, Signal::KILL);
    let code = within(PATIENCE, "the command's end", || command.child.try_wait().expect("ours")).code();
    assert!(code.is_some_and(|code| code != 0), "{code:?}");
    let mut said = String::new();
    command.child.stderr.take().expect("piped").read_to_string(&mut said).expect("text");
    assert!(said.contains("coordinator"), "{said}");
    rig.assert_nothing_runs(Duration::from_secs(20));
}
