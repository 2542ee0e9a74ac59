//! What jobs and workers may do and what they find around them, told by themselves.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use windlass_shared::domain::{AttemptState, LogStream, Reason};
use windlass_shared::pb;

use crate::fake::{Fake, Stream};
use crate::{Agent, PROGRAM, bytes, eventually, lease, sh};

/// An agent with this file, started by this command, and its first session.
pub(crate) async fn configured(file: &str, command: Command) -> (Fake, Agent, Stream) {
    let mut fake = Fake::start().await;
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let config = dir.path().join("agent.toml");
    std::fs::write(&config, file).unwrap();
    let agent = Agent::start_by(dir, &fake.url, &["--slots", "4", "--config", config.to_str().unwrap()], command);
    let mut stream = fake.session().await;
    stream.pass_credit();
    (fake, agent, stream)
}

/// What a job prints that succeeds.
pub(crate) async fn says(fake: &Fake, stream: &mut Stream, number: u64, script: &str) -> String {
    stream.assign(lease(number), &bytes(&sh(script))).await;
    let outcome = stream.ran(lease(number)).await;
    assert_eq!((outcome.state, outcome.stderr_bytes), (AttemptState::Succeeded, 0), "{outcome:?}");
    let said = fake.logs.full(lease(number), LogStream::Stdout, outcome.stdout_bytes).await;
    String::from_utf8(said.data).unwrap()
}

/// Prints all that confines a process: score, niceness, mask, descriptors, core dumps, file size, privileges.
const CONFINED: &str = "cat /proc/self/oom_score_adj; cut -d' ' -f19 /proc/self/stat; umask; ulimit -Sn; ulimit -Hc; ulimit -Hf; \
                        grep NoNewPrivs /proc/self/status | tail -c 2";

/// The agent's own niceness and what its files are masked with, to which a job's are relative.
fn own() -> (i32, u32) {
    let read = |file: &str| std::fs::read_to_string(format!("/proc/self/{file}")).unwrap();
    let (stat, status) = (read("stat"), read("status"));
    let mask = status.lines().find_map(|line| line.strip_prefix("Umask:")).unwrap().trim().to_owned();
    let nice = stat.rsplit_once(") ").unwrap().1.split(' ').nth(16).unwrap().parse().unwrap();
    (nice, u32::from_str_radix(&mask, 8).unwrap())
}

#[tokio::test]
async fn without_a_word_of_the_operator_a_job_is_nicer_dies_sooner_and_keeps_its_files() {
    let (fake, agent, mut stream) = configured("", Command::new(PROGRAM)).await;
    let (nice, mask) = own();
    let expected = format!("500\n{}\n{:04o}\n4096\n0\nunlimited\n1\n", nice + 5, mask | 0o022);
    assert_eq!(says(&fake, &mut stream, 1, CONFINED).await, expected);
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn what_the_operator_says_of_commands_is_done() {
    let file = "[exec]\nnice = 2\noom_score_adj = 600\numask = \"077\"\nnofile = 128\ncore_dumps = true\nno_new_privs = false\n\
                [exec.limits]\nfsize_bytes = 1048576\n";
    let (fake, agent, mut stream) = configured(file, Command::new(PROGRAM)).await;
    let hard = Command::new("sh").args(["-c", "ulimit -Hc"]).output().unwrap();
    let hard = String::from_utf8(hard.stdout).unwrap();
    let said = says(&fake, &mut stream, 1, CONFINED).await;
    assert_eq!(said, format!("600\n{}\n0077\n128\n{hard}2048\n0\n", own().0 + 2));
    agent.finish(&mut stream).await;
}

/// What a worker wrote as soon as it was there.
async fn wrote(path: &Path) -> String {
    eventually("the worker wrote it", || path.exists()).await;
    std::fs::read_to_string(path).unwrap()
}

/// The file of a pool whose one worker writes what `script` prints to `path`.
pub(crate) fn pool(path: &Path, script: &str, rest: &str) -> String {
    let hello = r#"printf '\036{"type":"hello","protocol":1,"handlers":["h"]}\n'; read welcome; grep -qm1 '"bye"'"#;
    let script = format!("({script}) >{0}.new; mv {0}.new {0}; {hello}", path.display());
    format!("[[pool]]\nname = \"p\"\ncommand = [\"sh\", \"-c\", {script:?}]\n{rest}\n")
}

#[tokio::test]
async fn a_worker_is_confined_by_its_pools_word_and_else_by_that_for_commands() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("said");
    let rest = "nice = 3\n[pool.limits]\nfsize_bytes = 1048576\n";
    let file = format!("[exec]\nnice = 2\nnofile = 128\n{}", pool(&path, CONFINED, rest));
    let (_fake, agent, mut stream) = configured(&file, Command::new(PROGRAM)).await;
    let (nice, mask) = own();
    assert_eq!(wrote(&path).await, format!("500\n{}\n{:04o}\n128\n0\n2048\n1\n", nice + 3, mask | 0o022));
    agent.finish(&mut stream).await;
}

/// An agent whose environment holds a secret, and all that may be passed on.
fn secretive() -> Command {
    let mut command = Command::new(PROGRAM);
    command.env_clear().env("PATH", std::env::var("PATH").unwrap()).env("SECRET", "s3cret").env("PASSED", "p");
    command.envs([("HOME", "/h"), ("LANG", "C"), ("LC_TIME", "C"), ("TZ", "UTC"), ("TMPDIR", "/tmp"), ("USER", "u")]);
    command.env("OMP_NUM_THREADS", "77").env("LD_LIBRARY_PATH", "/nowhere");
    command
}

/// The variables that are not the shell's own.
fn variables(said: &str) -> Vec<&str> {
    let mut names: Vec<&str> = said.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    names.retain(|name| !["PWD", "OLDPWD", "SHLVL", "_"].contains(name));
    names.sort_unstable();
    names
}

const BASE: [&str; 6] = ["HOME", "LANG", "LC_TIME", "PATH", "TMPDIR", "TZ"];

#[tokio::test]
async fn nothing_of_the_agents_environment_reaches_a_job_but_what_is_named() {
    let (fake, agent, mut stream) = configured("[exec]\nenv_pass = [\"PASS*\"]\n", secretive()).await;
    let said = says(&fake, &mut stream, 1, "env").await;
    let ours = ["WINDLASS_AGENT_ID", "WINDLASS_ATTEMPT", "WINDLASS_FENCING_TOKEN", "WINDLASS_JOB_ID"];
    let mut expected = [&BASE[..], &["PASSED"], &ours].concat();
    expected.sort_unstable();
    assert_eq!(variables(&said), expected);
    assert!(!said.contains("s3cret"));
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn nothing_of_the_agents_environment_reaches_a_worker_and_many_share_the_cores() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("said");
    let file = pool(&path, "env", "max = 2\nmin = 1\nenv = { OPENBLAS_NUM_THREADS = \"9\", GIVEN = \"g\" }\n");
    let (_fake, agent, mut stream) = configured(&file, secretive()).await;
    let said = wrote(&path).await;
    let names = variables(&said);
    let threads = ["GIVEN", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"];
    let mut expected = [&BASE[..], &threads].concat();
    expected.sort_unstable();
    assert_eq!(names.iter().filter(|name| !name.starts_with("WINDLASS_")).copied().collect::<Vec<_>>(), expected);
    let each = (std::thread::available_parallelism().unwrap().get() / 2).max(1);
    assert!(said.contains(&format!("OMP_NUM_THREADS={each}\n")), "{said}");
    assert!(said.contains("OPENBLAS_NUM_THREADS=9\n") && !said.contains("s3cret"), "{said}");
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn what_the_agents_parent_ignored_and_blocked_is_neither_in_a_job_nor_in_a_worker() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("said");
    // As nohup, a shell's `trap ''` or a careless daemon leave it.
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' HUP PIPE CHLD USR1 QUIT; exec \"$0\" \"$@\"", PROGRAM]);
    let masks = "grep -E '^Sig(Blk|Ign)' /proc/self/status";
    let (fake, agent, mut stream) = configured(&pool(&path, masks, ""), command).await;
    let ignored = std::fs::read_to_string(format!("/proc/{}/status", agent.pid())).unwrap();
    assert!(!ignored.contains("SigIgn:\t0000000000000000"), "the test's own trap works");
    let clean = "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n";
    assert_eq!(says(&fake, &mut stream, 1, masks).await, clean);
    assert_eq!(wrote(&path).await, clean);
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn what_is_ours_cannot_be_given_by_a_job() {
    let (_fake, agent, mut stream) = configured("", Command::new(PROGRAM)).await;
    let mut spec = sh("true");
    if let Some(pb::job_spec::Work::Exec(exec)) = &mut spec.work {
        exec.env.insert("WINDLASS_FENCING_TOKEN".into(), "9".into());
    }
    stream.assign(lease(1), &bytes(&spec)).await;
    let outcome = stream.ended(lease(1)).await;
    assert_eq!((outcome.state, outcome.reason), (AttemptState::Rejected, Some(Reason::Rejected)));
    let detail = outcome.detail.unwrap();
    assert!(detail.contains("WINDLASS_"), "{detail}");
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn a_file_that_cannot_be_right_is_named_by_its_table_and_the_agent_does_not_start() {
    for (file, said) in [
        ("[exec]\nnice = 20\n", "--config [exec]: nice must be -20 to 19"),
        ("[exec]\nrun_as = \"no-such-user\"\n", "--config [exec]: run_as: this host knows no user \"no-such-user\""),
        ("[exec.limits]\nopen_files = 3\n", "unknown field `open_files`"),
        ("[[pool]]\nname = \"p\"\ncommand = [\"w\"]\nnise = 3\n", "unknown field `nise`"),
        ("[[pool]]\nname = \"p\"\ncommand = [\"w\"]\numask = \"9\"\n", "--config [[pool]] \"p\": umask must be octal"),
    ] {
        let dir = Arc::new(tempfile::tempdir().unwrap());
        let config = dir.path().join("agent.toml");
        std::fs::write(&config, file).unwrap();
        let mut agent = Agent::start_in(dir, "http://127.0.0.1:1", &["--config", config.to_str().unwrap()]);
        assert_eq!(agent.exit().await.code(), Some(78), "{file}");
        assert!(agent.log().contains(said), "{file}: {}", agent.log());
    }
}
