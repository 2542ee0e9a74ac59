//! What only an agent of root's can do: let jobs be another user. Ignored, because not everybody is root; `.ci/run` runs it.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use windlass_shared::domain::{AttemptState, Reason};
use windlass_shared::pb;

use crate::confinement::{configured, pool, says};
use crate::{PROGRAM, bytes, eventually, lease, sh};

/// A user that no host knows.
const FILE: &str = "[exec]\nrun_as = \"61234:61235\"\n";

#[tokio::test]
#[ignore = "needs root; .ci/run runs it"]
async fn a_job_is_the_user_it_is_told_to_be_in_a_scratch_directory_of_its_own_and_sees_nothing_of_the_agents() {
    let (fake, agent, mut stream) = configured(FILE, Command::new(PROGRAM)).await;
    let data = agent.dir().join("parent/data");
    // `ls` of what can be passed through and not read, and `cat` of what is known by name.
    let script = format!(
        "id -u; id -g; id -G; stat -c '%u %g %a' .; mkdir -p a/b; echo x > a/b/c; chmod 0 a/b; \
         for no in 'ls {0}' 'ls {0}/scratch' 'cat {0}/agent-id' 'cat {0}/outbox' 'cat {0}/seen'; do $no >/dev/null 2>&1 && echo \"$no\"; done; :",
        data.display()
    );
    let said = says(&fake, &mut stream, 1, &script).await;
    assert_eq!(said, "61234\n61235\n61235\n61234 61235 700\n");
    assert!(!agent.log().contains("JOBS RUN AS ROOT"));
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!([mode(&data), mode(&data.join("scratch"))], [0o711, 0o711]);
    for file in std::fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
    agent.finish(&mut stream).await;
}

#[tokio::test]
#[ignore = "needs root; .ci/run runs it"]
async fn jobs_as_root_are_loudly_warned_of_once_and_the_data_directory_is_closed() {
    let (fake, agent, mut stream) = configured("", Command::new(PROGRAM)).await;
    assert_eq!(says(&fake, &mut stream, 1, "id -u").await, "0\n");
    assert_eq!(agent.log().matches("JOBS RUN AS ROOT").count(), 1);
    let data = std::fs::metadata(agent.dir().join("parent/data")).unwrap();
    assert_eq!(data.mode() & 0o777, 0o700);
    agent.finish(&mut stream).await;
    let (_fake, meant, mut stream) = configured("[exec]\nrun_as = \"root\"\n", Command::new(PROGRAM)).await;
    assert!(!meant.log().contains("JOBS RUN AS ROOT"));
    meant.finish(&mut stream).await;
}

#[tokio::test]
#[ignore = "needs root; .ci/run runs it"]
async fn a_variable_that_loads_code_is_not_taken_from_a_job_that_becomes_another_user() {
    let (fake, agent, mut stream) = configured(FILE, Command::new(PROGRAM)).await;
    for (number, name) in (1..).zip(["LD_PRELOAD", "BASH_ENV", "ENV", "PYTHONSTARTUP", "NODE_OPTIONS"]) {
        let mut spec = sh("true");
        if let Some(pb::job_spec::Work::Exec(exec)) = &mut spec.work {
            exec.env.insert(name.into(), "/tmp/evil".into());
        }
        stream.assign(lease(number), &bytes(&spec)).await;
        let outcome = stream.ended(lease(number)).await;
        assert_eq!((outcome.state, outcome.reason), (AttemptState::Rejected, Some(Reason::Rejected)));
        let expected = format!("env: {name} is not taken from jobs on this host (run_as is set): leave it out");
        assert_eq!(outcome.detail.as_deref(), Some(&*expected));
    }
    assert_eq!(says(&fake, &mut stream, 9, "echo fine").await, "fine\n");
    agent.finish(&mut stream).await;
}

#[tokio::test]
#[ignore = "needs root; .ci/run runs it"]
async fn a_worker_is_the_user_of_its_pool_and_commands_are_not() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let path = dir.path().join("said");
    let file = pool(&path, "id -u; id -g; pwd", "run_as = \"61234:61235\"\n");
    let (fake, agent, mut stream) = configured(&file, Command::new(PROGRAM)).await;
    eventually("the worker wrote it", || path.exists()).await;
    let said = std::fs::read_to_string(&path).unwrap();
    assert!(said.starts_with("61234\n61235\n/"), "{said}");
    assert_eq!(says(&fake, &mut stream, 1, "id -u").await, "0\n");
    agent.finish(&mut stream).await;
}

#[tokio::test]
#[ignore = "needs root; .ci/run runs it"]
async fn a_job_that_hangs_on_its_way_to_its_program_says_how_far_it_came() {
    let dir = tempfile::tempdir().unwrap();
    // It opens a file system that nobody answers for: the shell that should is busy with `cat`.
    let script =
        "exec 3<>/dev/fuse; mount -i -t fuse -o fd=3,rootmode=40000,user_id=0,group_id=0 hung \"$1\"; cat >/dev/null";
    let mut server = Command::new("sh");
    let server = server.args(["-c", script, "sh"]).arg(dir.path()).stdin(std::process::Stdio::piped());
    let mut server = server.spawn().unwrap();
    let mounted = || std::fs::read_to_string("/proc/mounts").unwrap().contains(&*dir.path().to_string_lossy());
    eventually("it is mounted", mounted).await;
    let (_fake, agent, mut stream) = configured("start_timeout = \"300ms\"\n", Command::new(PROGRAM)).await;
    let mut spec = sh("true");
    if let Some(pb::job_spec::Work::Exec(exec)) = &mut spec.work {
        exec.cwd = dir.path().to_string_lossy().into_owned();
    }
    stream.assign(lease(1), &bytes(&spec)).await;
    let outcome = stream.ended(lease(1)).await;
    drop(server.stdin.take());
    server.wait().unwrap();
    Command::new("umount").arg("-l").arg(dir.path()).status().unwrap();
    assert_eq!((outcome.state, outcome.reason, outcome.exit), (AttemptState::Failed, Some(Reason::SpawnFailed), None));
    let expected = format!("cannot enter {}: not within the start timeout (ETIME)", dir.path().display());
    assert_eq!(outcome.detail.as_deref(), Some(&*expected));
    agent.finish(&mut stream).await;
}

#[tokio::test]
#[ignore = "needs root; .ci/run runs it"]
async fn an_agent_that_may_not_become_others_says_so_with_each_attempt() {
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set", "-setuid", "--inh-caps", "-setuid", "--", PROGRAM]);
    let (_fake, agent, mut stream) = configured(FILE, command).await;
    stream.assign(lease(1), &bytes(&sh("true"))).await;
    let outcome = stream.ended(lease(1)).await;
    // The operator's mistake and not the job's: another host may do it.
    assert_eq!((outcome.state, outcome.reason), (AttemptState::Interrupted, Some(Reason::AgentFault)));
    let failure = outcome.spawn_failure.unwrap();
    assert_eq!((&*failure.stage, failure.errno), ("user", libc::EPERM));
    assert_eq!(outcome.detail.as_deref(), Some("cannot become user 61234: Operation not permitted (EPERM)"));
    agent.finish(&mut stream).await;
}
