//! Commands whose trees do not want to be found, or to end; and those that are greedy.

use std::time::Duration;

use super::row::Row;

/// Time for what survives its leader, 2 s, and for a busy host to notice.
const SURVIVORS: Duration = Duration::from_secs(6);

pub(super) fn rows() -> Vec<Row> {
    // A killer that is bound to the life of a thread kills what its runtime takes for idle.
    let idle = Row::command("sleeps_for_15_s_with_nothing_else_there", &["sleep", "15"]).alone();
    let mut rows = vec![idle.within(Duration::from_secs(20))];
    rows.extend(survivors());
    rows.extend(crowds());
    rows.extend(traced());
    rows.extend(greedy());
    rows
}

/// With a C library by hand, for what Python does not offer.
fn python(name: &'static str, script: &str) -> Row {
    let head = "import ctypes, os, resource, signal, sys, threading, time\nlibc = ctypes.CDLL(None, use_errno=True)\n";
    Row::python(name, &format!("{head}{script}"))
}

/// Leaders that leave, and what they leave.
fn survivors() -> Vec<Row> {
    let names = "bash -c 'exec -a \"[kworker/0:1]\" setsid sleep 1000' & bash -c 'exec -a \"\" sleep 1000' & exit 0";
    let bare = "((env -i setsid sh -c '(env -i setsid sleep 1000 &)' &) &); exit 3";
    let orphans = "libc.prctl(1, 0)\n\
        if os.fork() == 0:\n os.setsid()\n if os.fork() == 0: libc.prctl(1, 0); time.sleep(1000)\n os._exit(0)\n\
        os.wait()";
    let rows = vec![
        Row::sh("daemonises", "setsid sleep 1000 </dev/null >/dev/null 2>&1 & exit 0"),
        Row::sh("forks_twice_into_a_session", "(setsid sh -c 'sleep 1000 & sleep 1000' &); exit 0"),
        Row::sh("forks_thrice_with_a_bare_environment", bare).exits(3),
        Row::sh("leaves_a_child_with_its_output", "sleep 1000 & echo bye; exit 0")
            .looks(|_, outcome| assert_eq!(outcome.stdout_bytes, 4)),
        Row::sh("leaves_a_child_that_writes_on", "(while :; do echo x; done) & exit 0"),
        Row::sh("hides_behind_other_names", names),
        python("will_not_die_with_its_parent", orphans),
    ];
    rows.into_iter().map(|row| row.within(SURVIVORS)).collect()
}

/// Trees of many, and of many kinds.
fn crowds() -> Vec<Row> {
    let keeper = "libc.prctl(15, b'windlass-keeper')\n\
        os.setpgid(0, 0) if os.fork() == 0 else print('up', flush=True)\ntime.sleep(1000)";
    let groups = "for _ in range(20):\n\
        \x20if os.fork() == 0: os.setpgid(0, 0); signal.signal(15, signal.SIG_IGN); time.sleep(1000)\n\
        print('up', flush=True)\ntime.sleep(1000)";
    let restless = "print('up', flush=True)\nother = os.fork() or time.sleep(1000)\nos.setpgid(other, other)\n\
        if os.fork(): time.sleep(1000)\nwhile True: os.setpgid(0, other); os.setpgid(0, 0)";
    // About two hundred at a time, for as long as it is let.
    let bomb = "bomb() { while :; do (sleep 0.1 & setsid sleep 0.1 &); sleep 0.05; done; }\n\
        i=0; while [ $i -lt 40 ]; do bomb & i=$((i+1)); done; echo lit; wait";
    vec![
        python("calls_itself_a_keeper", keeper).cancelled_after("up").by_signal(15),
        python("puts_each_into_a_group_of_its_own", groups).cancelled_after("up").by_signal(15),
        python("changes_its_group_without_end", restless).cancelled_after("up").by_signal(15),
        Row::sh("is_a_fork_bomb", bomb).cancelled_after("lit").by_signal(15),
        Row::sh("flees_by_forking_without_end", "flee() { flee & exit; }; flee").within(Duration::from_secs(12)),
    ]
}

/// Whoever is traced stands still at each signal until its tracer, which may be its keeper, lets it go.
fn traced() -> Vec<Row> {
    let me = "assert libc.ptrace(0, 0, 0, 0) == 0\n";
    let signalled =
        format!("{me}signal.signal(10, lambda *_: sys.exit(5))\nos.kill(os.getpid(), 10)\ntime.sleep(1000)");
    let executed = format!("{me}os.execvp('sh', ['sh', '-c', 'sleep 0.1; exit 6'])");
    let waiting = format!("{me}print('up', flush=True)\ntime.sleep(1000)");
    let child = "pid = os.fork()\n\
        if pid == 0: libc.ptrace(0, 0, 0, 0); os.kill(os.getpid(), signal.SIGSTOP); time.sleep(1000)\n\
        os.waitpid(pid, 2)\nsys.exit(4)";
    // To /proc it is dead then, and it runs on.
    let thread = "go = lambda: (time.sleep(0.1), print('up', flush=True), time.sleep(1000))\n\
        threading.Thread(target=go).start()\nlibc.syscall(60, 0)";
    vec![
        python("is_traced_by_its_keeper", &signalled).exits(5),
        python("is_traced_by_its_keeper_and_execs", &executed).exits(6),
        python("is_traced_by_its_keeper_and_waits", &waiting).cancelled_after("up").by_signal(15),
        python("traces_its_child", child).exits(4).within(SURVIVORS),
        python("leaves_with_its_first_thread_only", thread).cancelled_after("up").by_signal(15),
    ]
}

fn greedy() -> Vec<Row> {
    let files = "resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))\nfds = []\n\
        try:\n while True: fds.append(os.open('/dev/null', 0))\nexcept OSError: pass\nassert len(fds) > 4000";
    let shared = "f = os.open('/dev/shm', os.O_TMPFILE | os.O_RDWR)\nfor _ in range(64): os.write(f, bytes(1 << 20))\n\
        print('up', flush=True)\ntime.sleep(1000)";
    let memory = "x = bytearray(256 << 20)\nfor i in range(0, len(x), 4096): x[i] = 1";
    let nice = ["nice", "-n", "19", "sh", "-c", "echo up; while :; do :; done"];
    let close = "i=0; while [ $i -lt 10 ]; do eval \"exec $i>&-\"; i=$((i+1)); done; sleep 0.2";
    vec![
        Row::command("is_nice", &nice).cancelled_after("up").by_signal(15),
        Row::sh("closes_all_it_has", close),
        python("opens_all_it_may", files),
        python("eats_memory", memory)
            .looks(|_, outcome| assert!(outcome.exit.as_ref().unwrap().max_rss_bytes > 256 << 20)),
        python("fills_shared_memory", shared).cancelled_after("up").by_signal(15),
    ]
}
