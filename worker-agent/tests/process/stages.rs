//! Stages that fail on no ordinary host, under a kernel that refuses one system call: a seccomp filter that everything started here
//! inherits, so that whoever else made that call would fail too.

use windlass_worker_agent::process::{Confinement, Limit, Proof, Resource, SpawnSpec, Stage};

use crate::support::*;

/// Installs the filter and becomes the rest of its arguments: `errno`, the call's number, then conditions on the low halves of its
/// arguments, each `INDEX=VALUE` or `INDEX!VALUE`, then `--` and a command. A filter needs no privileges where no new ones can be had.
const REFUSE: &str = r#"
import ctypes, os, re, struct, sys
split = sys.argv.index("--")
errno, call = int(sys.argv[1]), int(sys.argv[2])
conditions = [re.fullmatch(r"(\d)([=!])(\d+)", text).groups() for text in sys.argv[3:split]]
LOAD, IF_EQUAL, RETURN, ALLOW, ERRNO = 0x20, 0x15, 0x06, 0x7FFF0000, 0x00050000
checks = [(0, "=", call)] + [(16 + 8 * int(i), how, int(value)) for i, how, value in conditions]
program = []
for nth, (offset, how, value) in enumerate(checks):
    allow = 2 * (len(checks) - nth) - 1
    program += [(LOAD, 0, 0, offset), (IF_EQUAL, *((0, allow) if how == "=" else (allow, 0)), value)]
program += [(RETURN, 0, 0, ERRNO | errno), (RETURN, 0, 0, ALLOW)]
code = b"".join(struct.pack("HBBI", *step) for step in program)
buffer = ctypes.create_string_buffer(code, len(code))
filter = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program), ctypes.addressof(buffer)))
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, filter, 0, 0):
    sys.exit(os.strerror(ctypes.get_errno()))
os.execv(sys.argv[split + 1], sys.argv[split + 1:])
"#;

/// A kernel that answers `call` with this errno where all conditions hold.
struct Refusal {
    call: libc::c_long,
    errno: i32,
    conditions: &'static [&'static str],
}

/// The process does not start: it fails at this stage with the refusal's errno, and nothing of it ran or is left.
fn assert_fails_at(test: &str, refusal: &Refusal, stage: Stage, confinement: Confinement) {
    let mut wrapper = vec!["python3".to_owned(), "-c".into(), REFUSE.into()];
    wrapper.extend([refusal.errno.to_string(), refusal.call.to_string()]);
    wrapper.extend(refusal.conditions.iter().map(|condition| (*condition).to_owned()));
    wrapper.push("--".into());
    let path = format!("{}::{test}", module_path!());
    run_alone_under(&wrapper, &path, async || {
        let warden = start(options());
        let dir = scratch();
        let spec = SpawnSpec { cwd: dir.path().into(), confinement, ..sh("touch ran") };
        let error = warden.spawn(spec).await.expect_err("it started");
        assert_eq!((error.stage, error.errno, error.proof), (stage, refusal.errno, Proof::Keeper), "{error}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing ran");
        assert_only_the_warden_is_left(&warden).await;
    });
}

const SETMASK: &[&str] = &["0=2", "2=0"];

#[test]
fn niceness_that_cannot_be_changed_is_named_by_its_stage() {
    let refusal = Refusal { call: libc::SYS_setpriority, errno: libc::EACCES, conditions: &[] };
    let test = "niceness_that_cannot_be_changed_is_named_by_its_stage";
    assert_fails_at(test, &refusal, Stage::Nice, Confinement { nice: 5, ..Confinement::default() });
}

#[test]
fn a_limit_that_cannot_be_set_is_named_by_its_stage() {
    // Setting has the new limit's address as its third argument; asking has none.
    let refusal = Refusal { call: libc::SYS_prlimit64, errno: libc::EPERM, conditions: &["1=7", "2!0"] };
    let limits = vec![Limit { resource: Resource::Nofile, soft: Some(64), hard: None }];
    let test = "a_limit_that_cannot_be_set_is_named_by_its_stage";
    assert_fails_at(test, &refusal, Stage::Limits, Confinement { limits, ..Confinement::default() });
}

#[test]
fn privileges_that_cannot_be_given_up_are_named_by_their_stage() {
    const SET_NO_NEW_PRIVS: &[&str] = &["0=38"];
    let refusal = Refusal { call: libc::SYS_prctl, errno: libc::EINVAL, conditions: SET_NO_NEW_PRIVS };
    let test = "privileges_that_cannot_be_given_up_are_named_by_their_stage";
    assert_fails_at(test, &refusal, Stage::Privileges, Confinement { no_new_privs: true, ..Confinement::default() });
}

#[test]
fn signals_that_cannot_be_unblocked_are_named_by_their_stage() {
    let refusal = Refusal { call: libc::SYS_rt_sigprocmask, errno: libc::EINVAL, conditions: SETMASK };
    let test = "signals_that_cannot_be_unblocked_are_named_by_their_stage";
    assert_fails_at(test, &refusal, Stage::Signals, Confinement::default());
}

#[test]
fn a_process_that_cannot_be_tied_to_its_keeper_is_named_by_its_stage() {
    // With a signal: the keeper's own order is another.
    let refusal = Refusal { call: libc::SYS_prctl, errno: libc::EINVAL, conditions: &["0=1", "1=9"] };
    let test = "a_process_that_cannot_be_tied_to_its_keeper_is_named_by_its_stage";
    assert_fails_at(test, &refusal, Stage::Guard, Confinement::default());
}
