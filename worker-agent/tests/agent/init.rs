//! An agent that is PID 1, as in a container: it inherits what others leave behind. Ignored, because a namespace of its own needs root;
//! `.ci/run` runs it, as one of those `as_root`.

mod as_root {
    use std::process::Command;

    use rustix::process::{Pid, Signal};
    use windlass_shared::convert::FromAgent;
    use windlass_shared::domain::Reason;

    use crate::confinement::{configured, says};
    use crate::{PROGRAM, eventually};

    const BOTH: [&str; 2] = ["sleep", "windlass-warden"];

    /// An agent that a shell with a child of its own becomes, as PID 1 of a namespace. Its command ends with it.
    fn in_a_namespace() -> Command {
        let mut command = Command::new("unshare");
        command.args([
            "--pid",
            "--fork",
            "--mount-proc",
            "--kill-child",
            "sh",
            "-c",
            "sleep 1001 & exec \"$0\" \"$@\"",
        ]);
        command.arg(PROGRAM);
        command
    }

    /// Numbers, as seen from here, and names of its threads' children.
    fn children_of(agent: u32) -> Vec<(u32, String)> {
        let threads = std::fs::read_dir(format!("/proc/{agent}/task")).unwrap();
        let children = threads.map(|thread| std::fs::read_to_string(thread.unwrap().path().join("children")).unwrap());
        let name =
            |pid: u32| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned();
        let children = children.collect::<String>();
        children.split_whitespace().map(|pid| pid.parse().unwrap()).map(|pid| (pid, name(pid))).collect()
    }

    fn child(agent: u32, name: &str) -> u32 {
        children_of(agent).into_iter().find(|(_, its)| its == name).unwrap().0
    }

    /// Until it has these children and no other, zombies included.
    async fn has_children(agent: u32, expected: &[&str]) {
        eventually("it has these children and no other", || {
            let mut names: Vec<String> = children_of(agent).into_iter().map(|(_, name)| name).collect();
            names.sort_unstable();
            names == expected
        })
        .await;
    }

    fn kill(pid: u32) {
        rustix::process::kill_process(Pid::from_raw(pid.try_into().unwrap()).unwrap(), Signal::KILL).unwrap();
    }

    /// Leaves an orphan in the agent's namespace, which ends at once.
    fn leave_an_orphan(agent: u32) {
        let script = "(sh -c 'exit 3' &); exit";
        let entered = Command::new("nsenter").args(["-t", &agent.to_string(), "-p", "-m", "sh", "-c", script]).status();
        assert!(entered.unwrap().success());
    }

    #[tokio::test]
    #[ignore = "needs root; .ci/run runs it"]
    async fn pid_1_reaps_what_others_leave_and_spares_what_was_there_before_it() {
        let (fake, mut agent, mut stream) = configured("", in_a_namespace()).await;
        let inner = children_of(agent.pid())[0].0;
        has_children(inner, &BOTH).await;
        for orphan in 1..=3 {
            leave_an_orphan(inner);
            agent.says(&format!("reaped={orphan}\n")).await;
            has_children(inner, &BOTH).await;
        }
        assert_eq!(says(&fake, &mut stream, 1, "echo fine").await, "fine\n");

        // What the next warden's agent sweeps is not the sidecar.
        let warden = child(inner, "windlass-warden");
        kill(warden);
        agent.says("warden started").await;
        has_children(inner, &BOTH).await;
        assert_ne!(child(inner, "windlass-warden"), warden);
        assert_eq!(says(&fake, &mut stream, 2, "echo again").await, "again\n");

        kill(child(inner, "sleep"));
        has_children(inner, &["windlass-warden"]).await;

        rustix::process::kill_process(Pid::from_raw(inner.try_into().unwrap()).unwrap(), Signal::TERM).unwrap();
        assert_eq!(stream.next().await, Some(FromAgent::Draining(Reason::Drain)));
        stream.goodbye().await;
        assert_eq!(agent.exit().await.code(), Some(0));
    }
}
