//! What a policy allows, refuses and cannot say.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::time::Duration;

use windlass_shared::domain::{ExecSpec, JobHeader, JobSpec, OnDisconnect, Work};

use super::file::trust;
use super::*;

fn policy(text: &str) -> Policy {
    Policy::parse(Path::new("/p.toml"), text).expect("a policy")
}

fn problem(text: &str) -> String {
    Policy::parse(Path::new("/p.toml"), text).expect_err("no policy").to_string()
}

fn exec() -> ExecSpec {
    ExecSpec { argv: vec!["true".into()], env: Vec::new(), cwd: None, stdin: Vec::new() }
}

fn job(exec: ExecSpec) -> JobSpec {
    JobSpec {
        work: Work::Exec(exec),
        header: JobHeader::default(),
        run_timeout: None,
        stop_grace: Duration::from_secs(5),
        stop_signal: 15,
        on_disconnect: OnDisconnect::default(),
        trace: None,
    }
}

/// The rule that a job breaks, with its line.
fn broken(policy: &Policy, spec: &JobSpec) -> Option<(&'static str, usize)> {
    policy.check(spec).err().map(|violation| (violation.rule, violation.place.line))
}

#[test]
fn what_is_not_said_is_allowed_and_an_empty_rule_allows_nothing() {
    let spec = job(ExecSpec { env: vec![("A".into(), "1".into())], cwd: Some("/x".into()), stdin: vec![1], ..exec() });
    assert_eq!(broken(&policy(""), &spec), None);
    assert_eq!(policy("").program("sh", Some(b"/bin")), Ok(None));
    assert_eq!(broken(&policy("# first\nenv = []"), &spec), Some(("env", 2)));
    assert_eq!(broken(&policy("cwd_roots = []"), &spec), Some(("cwd_roots", 1)));
    assert!(policy("programs = []").program("/bin/sh", None).is_err());
}

#[test]
fn variables_are_allowed_by_name_or_by_the_beginning_of_one() {
    let policy = policy("env = [\"MODE\", \"APP_*\"]");
    let with =
        |name: &str| job(ExecSpec { env: vec![("MODE".into(), "x".into()), (name.into(), "1".into())], ..exec() });
    assert_eq!(broken(&policy, &with("APP_KEY")), None);
    for name in ["MODES", "APP", "LD_PRELOAD"] {
        assert_eq!(broken(&policy, &with(name)), Some(("env", 1)), "{name}");
    }
    let said = policy.check(&with("LD_PRELOAD")).expect_err("refused").to_string();
    assert_eq!(
        said,
        "this host's policy does not allow it (/p.toml:1, env): LD_PRELOAD is not among the variables that jobs may set"
    );
}

#[test]
fn a_job_runs_below_the_roots_and_no_way_back_leads_out_of_them() {
    let policy = policy("cwd_roots = [\"/srv/data\", \"/tmp\"]");
    let at = |cwd: &str| job(ExecSpec { cwd: Some(cwd.into()), ..exec() });
    assert_eq!(broken(&policy, &job(exec())), None, "its scratch directory is its own");
    for cwd in ["/srv/data", "/srv/data/a/b", "/tmp"] {
        assert_eq!(broken(&policy, &at(cwd)), None, "{cwd}");
    }
    for cwd in ["/", "/srv", "/srv/database", "/srv/data/../../etc", "/tmp/./x", "/tmp//x"] {
        assert_eq!(broken(&policy, &at(cwd)), Some(("cwd_roots", 1)), "{cwd}");
    }
}

#[test]
fn what_a_job_asks_for_stays_within_the_maximum_and_no_run_timeout_is_too_much() {
    let policy = policy("[max]\nrun_timeout = \"1m\"\nstop_grace = \"10s\"\nstdin_bytes = 3\n");
    let fine = JobSpec { run_timeout: Some(Duration::from_secs(60)), ..job(exec()) };
    assert_eq!(broken(&policy, &fine), None);
    assert_eq!(broken(&policy, &job(exec())), Some(("max.run_timeout", 2)));
    let long = JobSpec { run_timeout: Some(Duration::from_millis(60_001)), ..fine.clone() };
    assert_eq!(broken(&policy, &long), Some(("max.run_timeout", 2)));
    let graceful = JobSpec { stop_grace: Duration::from_secs(11), ..fine.clone() };
    assert_eq!(broken(&policy, &graceful), Some(("max.stop_grace", 3)));
    let fed = JobSpec { work: Work::Exec(ExecSpec { stdin: vec![0; 4], ..exec() }), ..fine };
    assert_eq!(broken(&policy, &fed), Some(("max.stdin_bytes", 4)));
}

#[test]
fn a_program_is_what_its_whole_path_says_and_a_bare_name_is_found_among_what_is_allowed() {
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str| format!("{}/{name}", dir.path().display());
    for (name, mode) in [("evil/tool", 0o755), ("good/tool", 0o755), ("good/plain", 0o644)] {
        std::fs::create_dir_all(Path::new(&at(name)).parent().expect("a parent")).expect("a directory");
        std::fs::write(at(name), "").expect("a file");
        std::fs::set_permissions(at(name), std::fs::Permissions::from_mode(mode)).expect("its mode");
    }
    let policy = policy(&format!("programs = [\"/bin/true\", {:?}]", at("good/*")));
    assert_eq!(policy.program("/bin/true", None), Ok(None));
    assert_eq!(policy.program(&at("good/tool"), None), Ok(None));
    for named in
        ["/bin/truer", "/bin/sh", "./tool", "good/tool", &at("good/../evil/tool"), &at("evil/tool"), "/bin//true"]
    {
        assert_eq!(policy.program(named, None).expect_err(named).rule, "programs");
    }
    let path = format!("{}:{}/", at("evil"), at("good"));
    assert_eq!(policy.program("tool", Some(path.as_bytes())), Ok(Some(at("good/tool"))), "the other is passed over");
    for (named, path) in [("plain", Some(&*path)), ("nothing", Some(&*path)), ("tool", Some("/bin")), ("tool", None)] {
        assert!(policy.program(named, path.map(str::as_bytes)).is_err(), "{named} on {path:?}");
    }
}

#[test]
fn what_a_file_cannot_say_is_named_with_its_line() {
    assert_eq!(
        problem("\nprogram = []"),
        "/p.toml:2: unknown field `program`, expected one of `programs`, `users`, `cwd_roots`, `env`, `max`"
    );
    assert!(problem("programs = [\"/bin/true\"").starts_with("/p.toml:1: "));
    assert!(problem("[max]\nrun_time = \"1s\"").starts_with("/p.toml:2: unknown field `run_time`"));
    assert!(problem("[max]\n\npids = -1").starts_with("/p.toml:3: "));
    let no_path = "must be whole paths, without `.` and `..`";
    assert_eq!(problem("programs = [\"sh\"]"), format!("/p.toml:1: programs {no_path}: \"sh\""));
    assert_eq!(problem("#\ncwd_roots = [\"/a/..\"]"), format!("/p.toml:2: cwd_roots {no_path}: \"/a/..\""));
    assert_eq!(problem("env = [\"A=B\"]"), "/p.toml:1: env must be a name, or the beginning of one and *: \"A=B\"");
    assert_eq!(problem("users = [\"a:b\"]"), "/p.toml:1: users must be names or numbers of users: \"a:b\"");
    assert_eq!(problem("[max]\nstop_grace = \"5\""), "/p.toml:2: max.stop_grace needs a unit: ms, s, m or h");
    let many = vec!["\"A\""; 257].join(",");
    assert_eq!(problem(&format!("env = [{many}]")), "/p.toml:1: env holds 257 entries, the limit is 256");
}

#[test]
fn a_file_that_somebody_else_could_have_written_is_not_taken() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("policy.toml");
    std::fs::write(&path, "programs = []").expect("a file");
    let mode = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("its mode");
    mode(0o644);
    assert!(Policy::read(&path).is_ok());
    for others in [0o664, 0o646, 0o666] {
        mode(others);
        let said = Policy::read(&path).expect_err("others may write it").to_string();
        assert!(said.ends_with(&format!("mode {others:03o} lets others write it: chmod go-w it")), "{said}");
    }
    mode(0o600);
    let metadata = std::fs::metadata(&path).expect("it is there");
    let own = rustix::process::geteuid().as_raw();
    assert!(trust(&path, &metadata, own).is_ok());
    if own == 0 {
        chown(&path, Some(12_345), None).expect("root may");
        let said = Policy::read(&path).expect_err("it is somebody else's").to_string();
        assert!(said.contains("belongs to user 12345; it must be root's, or the agent's own user's"), "{said}");
    } else {
        assert!(trust(&path, &metadata, own + 1).is_err(), "it is nobody's who is asked");
    }
    assert!(Policy::read(dir.path()).expect_err("no file").to_string().ends_with("is no regular file"));
    let gone = Policy::read(Path::new("/no/such")).expect_err("none").to_string();
    assert_eq!(gone, "/no/such: No such file or directory (os error 2)");
    std::fs::write(&path, vec![b'#'; (1 << 20) + 1]).expect("a file");
    if own != 0 {
        assert!(Policy::read(&path).expect_err("too long").to_string().ends_with("is longer than 1048576 bytes"));
    }
}
