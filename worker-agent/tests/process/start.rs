//! From spec to running program, and every way that fails.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use windlass_worker_agent::process::{ExitKind, Proof, SpawnError, SpawnSpec, Stage, Stdin, Warden};

use crate::support::*;

async fn refusal(warden: &Warden, spec: SpawnSpec) -> SpawnError {
    let error = warden.spawn(spec).await.expect_err("it started");
    assert_eq!(error.proof, Proof::Keeper, "{error}");
    error
}

alone! {
    async fn exit_code_comes_with_usage_and_the_keepers_proof() {
        let warden = start(options());
        let ended = run(&warden, sh("echo out; echo err >&2; exit 7")).await;
        let exit = exited(ended.leader);
        assert_eq!((exit.status, ended.proof), (ExitKind::Code(7), Proof::Keeper));
        assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("out\n", "err\n"));
        assert!(exit.wall_time > Duration::ZERO && exit.wall_time < Duration::from_secs(5), "{exit:?}");
        assert!(exit.max_rss_bytes > 100_000, "{exit:?}");
        assert_only_the_warden_is_left(&warden).await;
    }

    async fn cpu_time_of_the_leader_is_counted() {
        let warden = start(options());
        let ended = run(&warden, sh("i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done")).await;
        let exit = exited(ended.leader);
        let busy = exit.user_time + exit.system_time;
        assert!(busy > Duration::from_millis(10) && busy <= exit.wall_time + Duration::from_millis(20), "{exit:?}");
        assert_only_the_warden_is_left(&warden).await;
    }

    async fn death_by_signal_names_the_signal() {
        let warden = start(options());
        for signo in [9, 15, 10] {
            let ended = run(&warden, sh(&format!("kill -{signo} $$"))).await;
            let expected = ExitKind::Signal { signo, core_dumped: false };
            assert_eq!((status(ended.leader), ended.proof), (expected, Proof::Keeper));
        }
        assert_only_the_warden_is_left(&warden).await;
    }

    async fn stdin_is_what_was_given_and_then_ends() {
        let warden = start(options());
        let text = "line\n".repeat(100_000);
        let ended = run(&warden, SpawnSpec { stdin: Stdin::Bytes(Bytes::from(text.clone())), ..spec(&["cat"]) }).await;
        assert_eq!((status(ended.leader), ended.stdout == text), (ExitKind::Code(0), true));
        let write = run(&warden, SpawnSpec { stdin: Stdin::Bytes(Bytes::from_static(b"x")), ..sh("echo no >&0") }).await;
        assert_ne!(status(write.leader), ExitKind::Code(0), "stdin can be written");
        assert_only_the_warden_is_left(&warden).await;
    }

    async fn stdin_can_be_a_pipe_that_is_written_to_while_it_runs_and_ends_when_it_is_dropped() {
        let warden = start(options());
        let mut process = warden.spawn(SpawnSpec { stdin: Stdin::Pipe, ..spec(&["cat"]) }).await.unwrap();
        let (mut stdin, mut read) = (process.stdin.take().unwrap(), BytesMut::new());
        for word in ["one", "two"] {
            let mut word = BytesMut::from(word);
            while !word.is_empty() {
                stdin.write(&mut word).await.unwrap();
            }
            while process.stdout.read(&mut read).await.unwrap() == 0 {}
        }
        drop(stdin);
        assert_eq!(process.stdout.read(&mut read).await.unwrap(), 0);
        assert_eq!((&read[..], process.events.tree_end().await.proof), (&b"onetwo"[..], Proof::Keeper));
        assert_only_the_warden_is_left(&warden).await;
    }

    async fn stdin_is_dev_null_when_none_was_given() {
        let warden = start(options());
        let ended = run(&warden, sh("readlink /proc/self/fd/0; cat")).await;
        assert_eq!((status(ended.leader), ended.stdout.as_str()), (ExitKind::Code(0), "/dev/null\n"));
        assert_only_the_warden_is_left(&warden).await;
    }

    async fn a_program_that_is_not_there_fails_at_exec_with_enoent() {
        let warden = start(options());
        let absolute = refusal(&warden, spec(&["/no/such/program"])).await;
        assert_eq!(absolute.to_string(), "exec: No such file or directory (ENOENT)");
        let looked_up = refusal(&warden, spec(&["no-such-program"])).await;
        assert_eq!((looked_up.stage, looked_up.errno), (Stage::Exec, libc::ENOENT));
        let empty = refusal(&warden, spec(&[""])).await;
        assert_eq!((empty.stage, empty.errno), (Stage::Exec, libc::ENOENT));
        assert_only_the_warden_is_left(&warden).await;
    }

    async fn a_file_that_is_no_program_fails_at_exec_with_eacces_or_enoexec() {
        let warden = start(options());
        let dir = scratch();
        let plain = write(dir.path().join("plain"), "text", 0o644);
        assert_eq!(refusal(&warden, spec(&[&plain])).await.to_string(), "exec: Permission denied (EACCES)");
        let no_shebang = write(dir.path().join("script"), "exit 3", 0o755);
        // Never a shell that nobody asked for.
        assert_eq!(refusal(&warden, spec(&[&no_shebang])).await.to_string(), "exec: Exec format error (ENOEXEC)");
        assert_only_the_warden_is_left(&warden).await;
    }

    async fn a_working_directory_that_is_not_there_fails_at_chdir() {
        let warden = start(options());
        let error = refusal(&warden, SpawnSpec { cwd: "/no/such/dir".into(), ..sh("true") }).await;
        assert_eq!(error.to_string(), "chdir: No such file or directory (ENOENT)");
        let file = refusal(&warden, SpawnSpec { cwd: "/etc/passwd".into(), ..sh("true") }).await;
        assert_eq!((file.stage, file.errno), (Stage::Chdir, libc::ENOTDIR));
        assert_only_the_warden_is_left(&warden).await;
    }

    async fn malformed_specs_are_refused_before_anything_is_sent() {
        let warden = start(options());
        let nul = sh("true\0");
        let no_program = spec(&[]);
        let relative = SpawnSpec { cwd: "tmp".into(), ..sh("true") };
        for malformed in [nul, no_program, relative] {
            let error = refusal(&warden, malformed).await;
            assert_eq!((error.stage, error.errno), (Stage::Prepare, libc::EINVAL));
        }
        assert_only_the_warden_is_left(&warden).await;
    }

    async fn arguments_the_kernel_does_not_take_fail_at_exec_with_e2big() {
        let warden = start(options());
        let error = refusal(&warden, spec(&["/bin/true", &"x".repeat(200_000)])).await;
        assert_eq!((error.stage, error.errno), (Stage::Exec, libc::E2BIG));
        assert_only_the_warden_is_left(&warden).await;
    }

    async fn a_child_that_does_not_reach_exec_in_time_is_killed() {
        let limit = Duration::from_millis(300);
        let warden = start(windlass_worker_agent::process::WardenOptions { start_timeout: limit, ..options() });
        let dir = scratch();
        // Forty links of two thousand steps each: every look-up takes milliseconds, and PATH asks for thousands of them.
        for link in 0..38 {
            let target = format!("{}link{}", "./".repeat(1990), link + 1);
            std::os::unix::fs::symlink(target, dir.path().join(format!("link{link}"))).unwrap();
        }
        std::fs::create_dir(dir.path().join("link38")).unwrap();
        let path = vec![format!("{}/link0", dir.path().display()); 4000].join(":");
        let slow = SpawnSpec { env: env(&[("PATH", &path), (MARK, &mark())]), ..spec(&["nothing"]) };
        let error = refusal(&warden, slow).await;
        assert_eq!(error.to_string(), "exec: not within the start timeout (ETIME)");
        assert_only_the_warden_is_left(&warden).await;
    }

    async fn a_bare_name_is_looked_up_on_the_path_of_the_job_and_not_of_the_agent() {
        let warden = start(options());
        let (first, second) = (scratch(), scratch());
        write(first.path().join("tool"), "not executable", 0o644);
        write(second.path().join("tool"), "#!/bin/sh\necho second", 0o755);
        let path = format!("/no/such:{}:{}", first.path().display(), second.path().display());
        let found = run(&warden, SpawnSpec { env: env(&[("PATH", &path)]), ..spec(&["tool"]) }).await;
        assert_eq!((status(found.leader), found.stdout.as_str()), (ExitKind::Code(0), "second\n"));
        // Found where it may not be run, and nowhere else: that says more than "not found".
        let path = format!("{}:/no/such", first.path().display());
        let error = refusal(&warden, SpawnSpec { env: env(&[("PATH", &path)]), ..spec(&["tool"]) }).await;
        assert_eq!((error.stage, error.errno), (Stage::Exec, libc::EACCES));
        let hidden = refusal(&warden, SpawnSpec { env: env(&[("PATH", "/no/such")]), ..spec(&["true"]) }).await;
        assert_eq!((hidden.stage, hidden.errno), (Stage::Exec, libc::ENOENT));
        assert_only_the_warden_is_left(&warden).await;
    }

    async fn environment_and_working_directory_are_exactly_what_was_given() {
        let warden = start(options());
        let dir = scratch();
        let cwd = dir.path().canonicalize().unwrap();
        let given = SpawnSpec { env: env(&[("B", "2=3"), ("A", ""), (MARK, &mark())]), cwd: cwd.clone(), ..spec(&["/usr/bin/env"]) };
        let ended = run(&warden, given).await;
        assert_eq!(ended.stdout, format!("B=2=3\nA=\n{MARK}={}\n", mark()));
        let ended = run(&warden, SpawnSpec { cwd: cwd.clone(), ..spec(&["/bin/pwd"]) }).await;
        assert_eq!(ended.stdout, format!("{}\n", cwd.display()));
        assert_only_the_warden_is_left(&warden).await;
    }

    async fn signals_descriptors_and_session_of_a_job_are_clean() {
        let warden = start(options());
        let ended = run(&warden, spec(&["cat", "/proc/self/status"])).await;
        for line in ["SigBlk:\t0000000000000000", "SigIgn:\t0000000000000000", "SigCgt:\t0000000000000000", "SigPnd:\t0000000000000000"] {
            assert!(ended.stdout.contains(line), "{line} in {}", ended.stdout);
        }
        // 3 is the directory ls itself reads.
        let ended = run(&warden, spec(&["ls", "/proc/self/fd"])).await;
        assert_eq!(ended.stdout, "0\n1\n2\n3\n");
        let process = warden.spawn(spec(&["sleep", "1000"])).await.unwrap();
        let pid = leader(&process);
        assert_eq!([2, 3, 4].map(|field| stat(pid, field)), [Some(pid), Some(pid), Some(0)], "group, session, terminal");
        process.control.kill();
        assert_eq!(finish(process).await.proof, Proof::Keeper);
        assert_only_the_warden_is_left(&warden).await;
    }

    async fn many_jobs_at_once_do_not_mix() {
        let warden = start(options());
        let jobs: Vec<_> = (0..50)
            .map(|n| {
                let warden = warden.clone();
                tokio::runtime::Handle::current().spawn(async move { run(&warden, sh(&format!("echo {n}; echo {n} >&2; exit {n}"))).await })
            })
            .collect();
        for (n, job) in jobs.into_iter().enumerate() {
            let ended = job.await.unwrap();
            let said = format!("{n}\n");
            assert_eq!((ended.stdout, ended.stderr), (said.clone(), said));
            assert_eq!((status(ended.leader), ended.proof), (ExitKind::Code(i32::try_from(n).unwrap()), Proof::Keeper));
        }
        assert_only_the_warden_is_left(&warden).await;
    }
}
