"""The agent's pipes, and what waits in them.

    agent ──► fd 0 ──► private, closed in children        fd 0 becomes /dev/null
    agent ◄── fd 1 ◄── private, closed in children        fd 1 becomes fd 2: whatever is printed is the job's log

The main thread reads between jobs, so that short ones cost no change of threads. A second thread, the watch, reads once the
main thread has not for a tick: then a handler takes longer, and recalls and cancels must be heard. It gives the reading back with
the first frames that find the main thread waiting.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
import threading
import time
from collections import deque
from typing import Any, Deque, Optional, Tuple

from . import frames
from .context import Context, Frame

TICK_S = 0.01
"""Longest time before a recall is heard; an agent asks for frames back behind jobs older than 0.1 s."""
END_S = 5.0
"""Time a handler has to end when the agent is gone; an agent gives as much after a bye."""
READ_BYTES = 64 << 10
"""What a pipe holds."""

_scan = json.JSONDecoder().scan_once


def _read(line: str) -> Any:
    try:
        frame, end = _scan(line, 0)
        if end == len(line):
            return frame
    except (ValueError, StopIteration):
        pass
    return json.loads(line)  # spaces around it, or what is wrong in its own words


class Pipe:
    """Both directions. Made once: from then on the process's standard input and output are no longer the agent's."""

    def __init__(self) -> None:
        self._in, self._out = take_descriptors()
        self._rest = b""
        self._queue: Deque[Frame] = deque()
        self._running: Optional[Context] = None
        self._lock = threading.Lock()  # over the queue, what runs, and who reads
        self._writing = threading.Lock()
        self.leaving = False  # nothing more is begun, and what waits goes back
        self._said_bye = self._cut = False  # nothing more will come; nobody is there
        self._main_waits = self._watch_reads = False
        self._reads = 0
        self._busy = threading.Event()
        self._wake_in, self._wake_out = os.pipe()
        os.set_blocking(self._wake_out, False)
        self._frames, self._wakes = select.poll(), select.poll()
        self._frames.register(self._in, select.POLLIN)
        for poll in (self._frames, self._wakes):
            poll.register(self._wake_in, select.POLLIN)
        os.register_at_fork(after_in_child=self._in_child)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, lambda *_: setattr(self, "leaving", True))
            # A signal between the last look at `leaving` and the wait must end that wait.
            signal.set_wakeup_fd(self._wake_out, warn_on_full_buffer=False)
        threading.Thread(target=self._watch, name="windlass-watch", daemon=True).start()

    def write(self, data: bytes) -> None:
        """Returns when the pipe has all of it. Nobody at its other end: nothing more is begun."""
        with self._writing:
            try:
                done = os.write(self._out, data)
                while done < len(data):
                    done += os.write(self._out, data[done:])
            except OSError:
                self._cut = True

    def say(self, message: Frame) -> None:
        self.write(frames.line(message))

    def take(self) -> Optional[Context]:
        """The next job if one waits, begun from here on: it cannot be recalled any more."""
        with self._lock:
            some = self._queue and not self._cut and not self.leaving
            self._running = Context(self._queue.popleft(), self.say) if some else None
            return self._running

    def wait(self) -> bool:
        """Waits until there may be something to take. False: there will be nothing."""
        with self._lock:
            if self._cut or self.leaving or (self._said_bye and not self._queue):
                return False
            if self._queue:
                return True
            self._main_waits = True
            poll = self._wakes if self._watch_reads else self._frames
        ready = [fd for fd, _ in poll.poll()]
        with self._lock:
            self._main_waits = False
            self._reads += 1
            self._busy.set()
        if self._wake_in in ready:
            os.read(self._wake_in, READ_BYTES)
        if self._in in ready:
            self._feed(os.read(self._in, READ_BYTES))
        return True

    def _watch(self) -> None:
        try:
            while not self._cut:
                self._busy.wait()
                reads = self._reads
                time.sleep(TICK_S)
                with self._lock:
                    if self._main_waits:
                        self._busy.clear()
                    self._watch_reads = not self._main_waits and reads == self._reads
                while self._watch_reads:
                    self._feed(os.read(self._in, READ_BYTES))
                    with self._lock:
                        self._watch_reads = not self._main_waits and not self._cut
                        if self._main_waits:
                            self._wake()
            time.sleep(END_S)
        except BaseException as err:
            print(f"windlass_worker: {err!r}", file=sys.stderr, flush=True)
        os._exit(1)

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):  # full of wakes
            os.write(self._wake_out, b"\0")

    def _feed(self, data: bytes) -> None:
        if not data:
            self._cut = True
            if self._running is not None:
                self._running._cancel()
            return
        data = self._rest + data
        end = data.rfind(b"\n") + 1
        self._rest = data[end:]
        if len(self._rest) > frames.FRAME_BYTES_MAX:
            raise ValueError(f"the agent sent a frame longer than {frames.FRAME_BYTES_MAX} bytes")
        for line in data[:end].decode().split("\n"):
            if line:
                self._on_frame(_read(line))

    def _on_frame(self, frame: Frame) -> None:
        kind = frame.get("type")
        if kind == "job" or kind == "validate":
            if self.leaving:
                self._give_back(frame)
            elif not self._said_bye:
                self._queue.append(frame)
        elif kind == "ping":
            self.write(frames.frame({"type": "pong", "n": frame["n"]}))
        elif kind == "bye":
            self._said_bye = True
        elif kind == "cancel":
            self._cancel(frame["id"])
        elif kind == "recall" or kind == "drain":
            self.leaving = self.leaving or kind == "drain"
            with self._lock:
                back = [job for job in self._queue if self.leaving or job["id"] == frame["id"]]
                for job in back:
                    self._queue.remove(job)
            for job in back:
                self._give_back(job)

    def _give_back(self, job: Frame) -> None:
        self.write(frames.frame({"type": "recalled", "id": job["id"]}))

    def _cancel(self, number: int) -> None:
        with self._lock:
            for job in self._queue:
                if job["id"] == number:
                    job["cancelled"] = True  # answered when it is its turn
            if self._running is not None and self._running._id == number:
                self._running._cancel()

    def _in_child(self) -> None:
        """A fork that does not exec is no worker: it can neither read frames nor write any, and SIGTERM ends it."""
        self._writing = threading.Lock()
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, self._in, inheritable=False)
        os.dup2(null, self._out, inheritable=False)
        os.close(null)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def take_descriptors() -> Tuple[int, int]:
    """Private copies of fds 0 and 1, which become /dev/null and fd 2."""
    flush()
    taken = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    # A pipe is block-buffered: a line would wait for the next 8 KiB of them.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(line_buffering=True)
    return taken


def flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
