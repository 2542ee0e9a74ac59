"""Speaks the worker protocol, version 1, with the worker of `windlass dev`, as an agent would. Needs Python 3.8 alone."""

import json
import pathlib
import subprocess
import sys

WORKER = pathlib.Path(__file__).parents[2] / "cli/src/demo/worker.py"


def answers(*frames, raw=b""):
    """What the worker writes when it is sent these frames, and its exit code."""
    sent = b"".join(json.dumps(frame).encode() + b"\n" for frame in frames) + raw
    command = [sys.executable, "-u", str(WORKER)]
    done = subprocess.run(command, input=sent, stdout=subprocess.PIPE, timeout=30, check=False)
    lines = done.stdout.split(b"\n")
    assert lines.pop() == b"", "the last line has no end"
    assert all(line.startswith(b"\x1e") for line in lines), lines
    return [json.loads(line[1:]) for line in lines], done.returncode


def job(number, handler, **more):
    return {"type": "job", "id": number, "handler": handler, "job_id": "j", "attempt": 1, "fencing_token": "1", **more}


HELLO = {"type": "hello", "protocol": 1, "handlers": ["upper", "sleep", "fail"]}
WELCOME = {"type": "welcome", "protocol": 1, "pool": "demo", "worker": "demo-0"}

said, code = answers(WELCOME, job(1, "upper", input="hé"), job(2, "sleep", input=0.01), {"type": "ping", "n": 3})
assert said == [
    HELLO,
    {"type": "result", "id": 1, "value": "HÉ"},
    {"type": "result", "id": 2, "value": 0.01},
    {"type": "pong", "n": 3},
], said
assert code == 0, "the end of standard input ends it well"
print("ok    the demo worker says hello, answers in order, and ends with its input")

said, _ = answers(WELCOME, job(1, "upper", input=7), job(2, "fail", input="why"), job(3, "upper", input_base64="/w=="))
assert said[1:] == [
    {"type": "error", "id": 1, "message": "upper takes a string, not int", "retryable": False},
    {"type": "error", "id": 2, "message": "why", "retryable": True},
    {"type": "error", "id": 3, "message": "upper takes a string, not NoneType", "retryable": False},
], said
print("ok    an error names its cause, and whether trying again can help")

said, code = answers(
    WELCOME, {"type": "new"}, job(1, "upper", input="a", new=1), {"type": "bye"}, job(2, "upper", input="b")
)
assert said == [HELLO, {"type": "result", "id": 1, "value": "A"}] and code == 0, said
print("ok    what it does not know it ignores, and bye is the end")
