"""Plays the agent to a worker over real pipes, by script."""

import contextlib
import json
import os
import pathlib
import queue
import signal
import subprocess
import sys
import threading

PACKAGE = pathlib.Path(__file__).parents[1] / "src"
WORKER = pathlib.Path(__file__).parent / "handlers.py"
WAIT_S = 20
"""Longest wait for what must come: far above what it takes, for machines that do more than this."""


class Peer:
    """A worker and its agent's side. As a context manager it says hello and welcome, and leaves nothing running."""

    def __init__(self, *command, **env):
        self.env = {**os.environ, "PYTHONPATH": str(PACKAGE), **env}
        self.env.pop("PYTHONUNBUFFERED", None)  # as most workers are started
        pipe = subprocess.PIPE
        command = command or (sys.executable, str(WORKER))
        self.process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=pipe, env=self.env, start_new_session=True
        )
        self.said = queue.Queue()  # frames, then None
        self.strays, self.errors = [], b""
        self.logged = threading.Condition()
        self.threads = [threading.Thread(target=read) for read in (self._read_out, self._read_err)]
        for thread in self.threads:
            thread.start()

    def __enter__(self):
        self.hello = self.next()
        assert self.hello["type"] == "hello", self.hello
        self.send({"type": "welcome", "protocol": 1, "pool": "p", "worker": "p-0", "new": 1})
        return self

    def __exit__(self, kind, *_):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)  # with whatever it started
        self.process.wait()
        for thread in self.threads:
            thread.join()
        for file in (self.process.stdin, self.process.stdout, self.process.stderr):
            with contextlib.suppress(BrokenPipeError):
                file.close()
        if kind is not None:
            sys.stderr.write(f"--- worker's stderr\n{self.errors.decode(errors='replace')}\n")

    def _read_out(self):
        rest = b""
        while True:
            data = os.read(self.process.stdout.fileno(), 65536)
            lines = (rest + data).split(b"\n")
            rest = lines.pop()
            for line in lines:
                if line.startswith(b"\x1e"):
                    assert len(line) <= 1 << 20
                    self.said.put(json.loads(line[1:].decode()))
                else:
                    self.strays.append(line)
            if not data:
                self.strays += [rest] if rest else []
                return self.said.put(None)

    def _read_err(self):
        while True:
            data = os.read(self.process.stderr.fileno(), 65536)
            with self.logged:
                self.errors += data
                self.logged.notify_all()
            if not data:
                return

    def raw(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def send(self, *frames):
        """All in one write."""
        self.raw(b"".join(json.dumps(frame).encode() + b"\n" for frame in frames))

    def next(self):
        """The next frame; None: there are no more."""
        return self.said.get(timeout=WAIT_S)

    def expect(self, *frames):
        """These come next, in this order."""
        for frame in frames:
            said = self.next()
            assert said == frame, f"{said} came in place of {frame}"

    def call(self, number, handler, *value, **more):
        """Puts one job, and returns how it ended."""
        self.send(job(number, handler, *value, **more))
        self.expect(started(number))
        return self.next()

    def until_logged(self, text):
        with self.logged:
            assert self.logged.wait_for(lambda: text in self.errors, WAIT_S), f"{text} was not logged: {self.errors}"

    def end(self):
        """Its exit code, once it has said all; nothing but frames came over the protocol's pipe, and no frame is left."""
        code = self.process.wait(WAIT_S)
        last = self.next()
        assert last is None, f"{last} came last"
        assert self.strays == [], self.strays
        return code


def job(number, handler, *value, **more):
    frame = {
        "type": "job",
        "id": number,
        "handler": handler,
        "job_id": f"job-{number}",
        "attempt": 2,
        "fencing_token": str(2**60),
    }
    return {**frame, **({"input": value[0]} if value else {}), **more}


def started(number):
    return {"type": "started", "id": number}


def result(number, value=None):
    return {"type": "result", "id": number, "value": value}
