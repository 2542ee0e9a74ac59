//! What a process is confined by, read by the process itself. What only root can do is in `as_root`.

use windlass_worker_agent::process::{Confinement, ExitKind, Limit, Proof, Resource, SpawnSpec, User, Warden};

use crate::support::*;

/// What a confined shell prints.
pub(crate) async fn says(warden: &Warden, script: &str, confinement: Confinement) -> String {
    let ended = run(warden, SpawnSpec { confinement, ..sh(script) }).await;
    assert_eq!((status(ended.leader), ended.proof, ended.stderr.as_str()), (ExitKind::Code(0), Proof::Keeper, ""));
    ended.stdout
}

fn limited(resource: Resource, soft: Option<u64>, hard: Option<u64>) -> Confinement {
    Confinement { limits: vec![Limit { resource, soft, hard }], ..Confinement::default() }
}

/// The soft and the hard limit, as a process has them.
async fn limits(warden: &Warden, name: &str, confinement: Confinement) -> [String; 2] {
    let text = says(warden, "cat /proc/self/limits", confinement).await;
    let line = text.lines().find(|line| line.starts_with(name)).unwrap();
    let mut words = line[name.len()..].split_whitespace().map(str::to_owned);
    [words.next().unwrap(), words.next().unwrap()]
}

alone! {
    async fn an_unconfined_process_has_what_the_agent_has() {
        let warden = start(options());
        let script = "cat /proc/self/oom_score_adj; cut -d' ' -f19 /proc/self/stat; umask; grep -E '^(Uid|Gid|Groups|NoNewPrivs|CapEff)' /proc/self/status; \
                      cat /proc/self/limits";
        let own = std::process::Command::new("sh").args(["-c", script]).output().unwrap();
        assert_eq!(says(&warden, script, Confinement::default()).await, String::from_utf8(own.stdout).unwrap());
        assert_only_the_warden_is_left(&warden).await;
    }

    async fn a_process_is_killed_sooner_by_the_oom_score_it_is_given() {
        let warden = start(options());
        let raised = Confinement { oom_score_adj: Some(777), ..Confinement::default() };
        assert_eq!(says(&warden, "cat /proc/self/oom_score_adj", raised).await, "777\n");
        let error = warden.spawn(SpawnSpec { confinement: Confinement { oom_score_adj: Some(1001), ..Confinement::default() }, ..sh("true") }).await;
        assert_eq!(error.unwrap_err().to_string(), "oom-score: Invalid argument (EINVAL)");
        assert_only_the_warden_is_left(&warden).await;
    }

    async fn niceness_is_added_to_the_agents_and_the_session_is_as_nice() {
        let warden = start(options());
        let own: i32 = stat(agent(), 16).unwrap();
        let nicer = |nice| Confinement { nice, ..Confinement::default() };
        assert_eq!(says(&warden, "cut -d' ' -f19 /proc/self/stat", nicer(5)).await, format!("{}\n", own + 5));
        assert_eq!(says(&warden, "cut -d' ' -f19 /proc/self/stat", nicer(40)).await, "19\n");
        if std::path::Path::new("/proc/self/autogroup").exists() {
            let session = says(&warden, "cat /proc/self/autogroup", nicer(5)).await;
            assert!(session.ends_with(&format!(" nice {}\n", own + 5)), "{session}");
        }
        assert_only_the_warden_is_left(&warden).await;
    }

    async fn limits_are_set_and_never_above_the_hard_limit_of_the_agent() {
        let warden = start(options());
        let [_, hard] = limits(&warden, "Max open files", Confinement::default()).await;
        let both = |text: &str| [text.to_owned(), text.to_owned()];
        let soft = limits(&warden, "Max open files", limited(Resource::Nofile, Some(64), None)).await;
        assert_eq!(soft, ["64".to_owned(), hard.clone()]);
        assert_eq!(limits(&warden, "Max open files", limited(Resource::Nofile, Some(1 << 40), None)).await, both(&hard));
        assert_eq!(limits(&warden, "Max open files", limited(Resource::Nofile, Some(1 << 40), Some(99))).await, both("99"));
        assert_eq!(limits(&warden, "Max core file size", limited(Resource::Core, None, Some(0))).await, both("0"));
        for (resource, name) in [
            (Resource::Fsize, "Max file size"),
            (Resource::Cpu, "Max cpu time"),
            (Resource::Data, "Max data size"),
            (Resource::Stack, "Max stack size"),
            (Resource::Memlock, "Max locked memory"),
            (Resource::Nproc, "Max processes"),
            (Resource::AddressSpace, "Max address space"),
        ] {
            // Enough for a shell, in each unit, and lower than any limit a host begins with.
            assert_eq!(limits(&warden, name, limited(resource, None, Some(7_000_000))).await, match resource {
                // Hosts have limits of their own below that.
                Resource::Nproc | Resource::Memlock => {
                    let own = limits(&warden, name, Confinement::default()).await;
                    own.map(|own| own.parse().map_or(7_000_000, |own: u64| own.min(7_000_000)).to_string())
                }
                _ => both("7000000"),
            }, "{name}");
        }
        assert_only_the_warden_is_left(&warden).await;
    }

    async fn a_limit_is_what_the_kernel_holds_the_process_to() {
        let warden = start(options());
        let dir = scratch();
        let spec = SpawnSpec {
            cwd: dir.path().into(),
            confinement: limited(Resource::Fsize, None, Some(4096)),
            ..spec(&["dd", "if=/dev/zero", "of=file", "bs=1M", "count=1"])
        };
        let ended = run(&warden, spec).await;
        assert_eq!(status(ended.leader), ExitKind::Signal { signo: libc::SIGXFSZ, core_dumped: false });
        assert_eq!(std::fs::metadata(dir.path().join("file")).unwrap().len(), 4096);
        assert_only_the_warden_is_left(&warden).await;
    }

    async fn files_get_the_mode_that_the_umask_leaves() {
        let warden = start(options());
        let masked = Confinement { umask: Some(0o137), ..Confinement::default() };
        assert_eq!(says(&warden, "umask", masked.clone()).await, "0137\n");
        let dir = scratch();
        let ended = run(&warden, SpawnSpec { cwd: dir.path().into(), confinement: masked, ..sh("echo > file; stat -c %a file") }).await;
        assert_eq!(ended.stdout, "640\n");
        assert_only_the_warden_is_left(&warden).await;
    }

    async fn privileges_that_were_given_up_stay_given_up_below() {
        let warden = start(options());
        let given_up = Confinement { no_new_privs: true, ..Confinement::default() };
        let script = "grep NoNewPrivs /proc/self/status; sh -c 'grep NoNewPrivs /proc/self/status'";
        assert_eq!(says(&warden, script, given_up).await, "NoNewPrivs:\t1\nNoNewPrivs:\t1\n");
        assert_only_the_warden_is_left(&warden).await;
    }

    async fn a_user_that_cannot_be_become_is_named_by_its_stage_and_nothing_runs() {
        let warden = start(options());
        let dir = private();
        let becoming = |uid| {
            let user = User { uid, gid: 12_345, groups: vec![12_346] };
            Confinement { user: Some(user), ..Confinement::default() }
        };
        let other = SpawnSpec { cwd: dir.path().into(), confinement: becoming(12_345), ..sh("touch ran") };
        let said = warden.spawn(other).await.unwrap_err().to_string();
        // Root can become anybody, who then may not enter what is root's alone.
        let as_root = rustix::process::geteuid().is_root();
        let expected = if as_root { "chdir: Permission denied (EACCES)" } else { "user: Operation not permitted (EPERM)" };
        assert_eq!(said, expected);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        let as_before = SpawnSpec { confinement: becoming(u32::MAX), ..sh("true") };
        assert_eq!(warden.spawn(as_before).await.unwrap_err().to_string(), "prepare: Invalid argument (EINVAL)");
        assert_only_the_warden_is_left(&warden).await;
    }

    async fn a_fully_confined_process_starts_and_ends_as_any_other() {
        let warden = start(options());
        let confinement = Confinement {
            oom_score_adj: Some(500),
            nice: 5,
            limits: vec![Limit { resource: Resource::Nofile, soft: Some(4096), hard: None }, Limit { resource: Resource::Core, soft: None, hard: Some(0) }],
            umask: Some(0o27),
            user: None,
            no_new_privs: true,
        };
        let script = "grep -E 'Sig(Blk|Ign)' /proc/self/status; ls /proc/self/fd | wc -l; ulimit -n; ulimit -c; umask";
        let said = says(&warden, script, confinement).await;
        assert_eq!(said, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n4\n4096\n0\n0027\n");
        assert_only_the_warden_is_left(&warden).await;
    }
}
