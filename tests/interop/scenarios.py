"""Everything that can happen to a call, with a worker of one SDK, through the command and a running cluster.

Arguments: the command, the agent. The workers of its one pool have the handlers of scenarios/worker.py.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

WINDLASS, AGENT = sys.argv[1:]
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SECONDS = 60  # longest wait for anything; a loaded machine is slow
passed = failed = 0


def expect(sentence, holds, *shown):
    global passed, failed
    if holds:
        passed += 1
    else:
        failed += 1
    print("ok   " if holds else "FAIL ", sentence, *([] if holds else shown), flush=True)


def windlass(*argv, **env):
    command = [WINDLASS, *map(str, argv)]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, env={**os.environ, **env}, check=False
    )
    return done.returncode, done.stdout, done.stderr.decode(errors="replace")


def call(handler, value=None, *flags, **env):
    """The exit code of a submit that waits, and what it printed."""
    return windlass("submit", "--handler", handler, "--input", json.dumps(value), "--wait", *flags, **env)


def begin(handler, value, *flags):
    code, out, err = windlass("submit", "--handler", handler, "--input", json.dumps(value), "-o", "id", *flags)
    assert code == 0, err
    return out.decode().strip()


def last():
    return json.loads(windlass("job", "get", "@last", "-o", "json")[1])


def until(look, what):
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        seen = look()
        if seen:
            return seen
        time.sleep(0.05)
    raise SystemExit(f"FAIL  never came: {what}")


def running(job):
    until(lambda: json.loads(windlass("job", "get", job, "-o", "json")[1])["state"] == "STATE_RUNNING", "RUNNING")


def log():
    """What it wrote, to either output."""
    _, out, err = windlass("logs", "@last", "--follow")
    return out.decode(errors="replace") + err


def answers():
    for value in ({"a": [1.5, None, "é\n"]}, "z\u0000\u2028\U0001f680\\\"", -0.5, "", []):
        code, out, err = call("echo", value)
        expect(f"{json.dumps(value)} comes back", code == 0 and json.loads(out) == value, code, out, err)


def failures():
    code, _, err = call("fail", "out of paper")
    job = last()
    error = job["attempts"][-1].get("error", {})
    expect("a failure is told, with its code", (code, error.get("code")) == (3, "E_FAIL") and "out of paper" in err, err, job)
    call("fail", "again", "--retry", "aggressive", "--max-attempts", "2")
    expect("it is tried again as the submitter says", len(last()["attempts"]) == 2, last())
    code, _, err = call("refuse", "never", "--retry", "aggressive")
    expect("one for good is not", (code, len(last()["attempts"])) == (3, 1) and "never" in err, err, last())
    code, out, err = call("later", 0.2, "--max-attempts", "3")
    first = last()["attempts"][0].get("error", {})
    expect("the next attempt comes when the handler says", (code, out.strip()) == (0, b"2"), out, err)
    expect("and the record says what it waited for", first.get("cooldownKey") == "api.example", first)
    code, _, err = call("nobody-has-this", 1, "--wait-timeout", "1s")
    expect("a handler that nobody has is waited for", code == 124, code, err)
    windlass("job", "cancel", "@last")


def words():
    code, out, err = call("prints")
    expect("prints cost nothing and forge nothing", (code, out.strip()) == (0, b'"done"'), out, err)
    wrote = log()
    wanted = ("forged", "printed", "complained", "from a child")
    expect("they are the job's log, a child's too", all(text in wrote for text in wanted), wrote)
    call("report")
    wrote = log()
    expect("progress is in the log", "1 of 2 pages" in wrote, wrote)
    expect("so is a line with its level and fields", "WARN slow" in wrote and "1200" in wrote, wrote)


def stops():
    job = begin("sleep", 60000)
    running(job)
    windlass("job", "cancel", job)
    code, _, err = windlass("wait", job)
    expect("a job that runs is cancelled", code == 4 and last()["state"] == "STATE_CANCELLED", code, err, last())
    code, _, err = call("sleep", 60000, "--timeout", "300ms")
    expect("one that takes too long is stopped", "run timeout" in err and code == 3, code, err)
    expect("and the worker lives on", call("echo", 1)[:2] == (0, b"1\n"))
    pid = who()
    call("sleep", 60000, "--timeout", "100ms")
    expect("as the same process", pid == who() is not None, pid, who())


def who():
    return json.loads(call("who")[1] or b"{}").get("pid")


def sizes():
    with tempfile.TemporaryDirectory() as room:
        data = bytes(range(256)) * 512
        path = pathlib.Path(room, "bytes")
        path.write_bytes(data)
        flags = ("--content-type", "application/octet-stream", "--wait")
        code, out, err = windlass("submit", "--handler", "reverse", "--input", f"@{path}", *flags)
        expect("bytes come back as bytes", (code, out) == (0, data[::-1]), code, len(out), err)
        text = json.dumps("x" * ((256 << 10) - 2)).encode()
        path.write_bytes(text)
        code, out, err = windlass("submit", "--handler", "echo", "--input", f"@{path}", "--wait")
        expect("256 KiB go there and back", (code, out.rstrip(b"\n")) == (0, text), code, len(out), err)
    code, _, err = call("blow", (256 << 10) - 1, "--retry", "aggressive")
    expect("a result above that is refused once, by name", code == 3 and len(last()["attempts"]) == 1, err, last())
    expect("with the limit", "262144" in err, err)


def knows():
    flags = ("--header", "tenant=a", "--timeout", "1m")
    code, out, err = call("who", None, *flags, TRACEPARENT=TRACE)
    job, known = last(), json.loads(out or b"{}")
    wanted = {"job": job["id"], "attempt": 1, "tenant": "a", "trace": TRACE, "timed": True, "child": f"1 {TRACE}"}
    wanted["pid"] = known.get("pid")
    expect("a handler knows its job, and so do its children", {**wanted, "token": known.get("token")} == known, known, err)
    expect("and has a token to fence with", known.get("token", "").isdigit(), known)


def checks():
    expect("an input is checked alone", call("double", 5, "--validate")[0] == 0, windlass("job", "get", "@last")[1])
    code, _, err = call("double", 5000, "--validate")
    expect("and what is wrong with it is told", code == 3 and "at most 1000" in err, err)
    code, out, _ = call("double", 5)
    expect("a call that is no check is done", (code, out) == (0, b"10\n"), code, out)
    pid = who()
    code, _, err = call("exit", 9, "--validate")
    # Whether a handler without a check of its own passes is the SDK's choice.
    held = code == 0 or "VALIDATE_UNSUPPORTED" in err
    expect("a check runs nothing", held and who() == pid is not None, code, err)


def crashes():
    code, _, err = call("exit", 9)
    reason = last()["attempts"][-1]["reason"]
    expect("a worker that dies fails its job", (code, reason) == (3, "REASON_WORKER_DIED"), code, err, last())
    expect("and another takes its place", call("echo", 1)[:2] == (0, b"1\n"))


def many():
    jobs = [begin("echo", number, "--group", "many") for number in range(20)]
    code, _, err = windlass("wait", *jobs)
    expect("many in a row", code == 0, err)


def drains():
    job = begin("sleep", 1500)
    running(job)
    code, _, err = windlass("agent", "drain", AGENT, "--wait")
    code, out, err = windlass("job", "result", job)
    expect("a drain lets a job finish", (code, out) == (0, b"1500"), code, err, last())


for scenario in (answers, failures, words, stops, sizes, knows, checks, crashes, many, drains):
    scenario()
print(f"\n{passed} passed, {failed} failed")
sys.exit(0 if passed and not failed else 1)
