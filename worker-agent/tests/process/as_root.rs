//! What only root can do: becoming another user. Ignored, because not everybody is root; `.ci/run` runs it.

use std::io::BufRead;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use windlass_worker_agent::process::{Confinement, ExitKind, Proof, SpawnSpec, Stage, Stdin, User, WardenOptions};

use crate::confinement::says;
use crate::support::*;

/// Nobody's numbers.
fn other() -> Confinement {
    let user = User { uid: 61_234, gid: 61_235, groups: vec![61_236, 61_237] };
    Confinement { user: Some(user), no_new_privs: true, ..Confinement::default() }
}

/// A file system that answers nothing, as a server that is gone.
struct Hung {
    dir: tempfile::TempDir,
    server: Child,
}

impl Hung {
    fn new() -> Self {
        let dir = scratch();
        // The shell is the server: it holds the kernel's end of it open, and never reads.
        let script = "exec 3<>/dev/fuse; mount -i -t fuse -o fd=3,rootmode=40000,user_id=0,group_id=0 hung \"$1\" && echo mounted; cat";
        let mut server = Command::new("sh");
        let server = server.args(["-c", script, "sh"]).arg(dir.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut server = server.spawn().unwrap();
        let mut said = String::new();
        std::io::BufReader::new(server.stdout.as_mut().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said, "mounted\n", "this test needs FUSE");
        Self { dir, server }
    }
}

impl Drop for Hung {
    fn drop(&mut self) {
        drop(self.server.stdin.take());
        let _ = self.server.wait();
        let _ = Command::new("umount").arg("-l").arg(self.dir.path()).status();
    }
}

alone! {
    #[ignore = "needs root; .ci/run runs it"]
    async fn a_hung_mount_under_the_working_directory_or_the_program_is_named_by_the_stage_and_its_child_is_killed() {
        let start_timeout = Duration::from_millis(300);
        let warden = start(WardenOptions { start_timeout, ..options() });
        let hung = Hung::new();
        let cwd = warden.spawn(SpawnSpec { cwd: hung.dir.path().into(), ..sh("true") }).await.unwrap_err();
        assert_eq!((cwd.to_string().as_str(), cwd.proof), ("chdir: not within the start timeout (ETIME)", Proof::Keeper));
        let program = hung.dir.path().join("program").into_os_string().into_string().unwrap();
        let program = warden.spawn(spec(&[&program])).await.unwrap_err();
        assert_eq!((program.to_string().as_str(), program.proof), ("exec: not within the start timeout (ETIME)", Proof::Keeper));
        // Nobody else waited for it.
        assert_eq!(status(run(&warden, sh("true")).await.leader), ExitKind::Code(0));
        drop(hung);
        assert_only_the_warden_is_left(&warden).await;
    }

    #[ignore = "needs root; .ci/run runs it"]
    async fn nothing_of_the_agents_user_is_left_to_a_job_of_another() {
        let warden = start(options());
        let script = "grep -E '^(Uid|Gid|Groups|Cap(Prm|Eff|Amb))' /proc/self/status; kill -0 1 2>/dev/null || echo powerless";
        let said = says(&warden, script, other()).await;
        let ids = |name: &str, id: u32| format!("{name}:\t{id}\t{id}\t{id}\t{id}\n");
        let no = "0000000000000000";
        let caps = format!("CapPrm:\t{no}\nCapEff:\t{no}\nCapAmb:\t{no}\npowerless\n");
        assert_eq!(said, ids("Uid", 61_234) + &ids("Gid", 61_235) + "Groups:\t61236 61237 \n" + &caps);
        assert_only_the_warden_is_left(&warden).await;
    }

    #[ignore = "needs root; .ci/run runs it"]
    async fn a_job_enters_its_directory_and_finds_its_program_with_its_users_rights() {
        let warden = start(options());
        let dir = private();
        let locked = SpawnSpec { cwd: dir.path().into(), confinement: other(), ..sh("true") };
        assert_eq!(warden.spawn(locked).await.unwrap_err().to_string(), "chdir: Permission denied (EACCES)");
        let program = write(dir.path().join("program"), "#!/bin/sh\n", 0o755);
        let hidden = SpawnSpec { confinement: other(), ..spec(&[&program]) };
        assert_eq!(warden.spawn(hidden).await.unwrap_err().stage, Stage::Exec);
        assert_only_the_warden_is_left(&warden).await;
    }

    #[ignore = "needs root; .ci/run runs it"]
    async fn a_job_of_another_user_can_be_signalled_and_killed_with_its_tree() {
        let warden = start(options());
        let script = "trap 'echo told' TERM; setsid sleep 1000 & echo ready; while :; do wait; done";
        let mut process = warden.spawn(SpawnSpec { confinement: other(), ..sh(script) }).await.unwrap();
        read_until(&mut process.stdout, "ready").await;
        process.control.signal(libc::SIGTERM);
        read_until(&mut process.stdout, "told").await;
        process.control.kill();
        let ended = finish(process).await;
        assert_eq!((status(ended.leader), ended.proof), (KILLED, Proof::Keeper));
        assert_only_the_warden_is_left(&warden).await;
    }

    #[ignore = "needs root; .ci/run runs it"]
    async fn standard_input_and_output_are_the_users_to_open_again() {
        let warden = start(options());
        for stdin in [Stdin::Bytes("given\n".into()), Stdin::Pipe] {
            let script = "echo out > /dev/stdout; echo err > /dev/stderr; cat < /dev/stdin";
            let mut process = warden.spawn(SpawnSpec { stdin, confinement: other(), ..sh(script) }).await.unwrap();
            let given = if process.stdin.take().is_some() { "" } else { "given\n" };
            let ended = finish(process).await;
            assert_eq!((ended.stdout, ended.stderr.as_str()), (format!("out\n{given}"), "err\n"));
        }
        assert_only_the_warden_is_left(&warden).await;
    }

    #[ignore = "needs root; .ci/run runs it"]
    async fn a_job_of_another_user_dies_with_its_keeper() {
        let warden = start(options());
        let process = warden.spawn(SpawnSpec { confinement: other(), ..spec(&["sleep", "1000"]) }).await.unwrap();
        let leader = leader(&process);
        // Nobody but the kernel is left to do it.
        let helpless = Stopped::new(warden_pid(&warden));
        kill(keeper_of(&process), Signal::KILL);
        eventually("the leader is dead", || marked().is_empty()).await;
        drop(helpless);
        let ended = finish(process).await;
        assert_eq!(ended.proof, Proof::Swept);
        assert!(!exists(leader));
        assert_only_the_warden_is_left(&warden).await;
    }
}
