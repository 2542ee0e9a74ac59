"""What a handler is given, what it may answer, and how it may fail."""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
import time
from types import MappingProxyType
from typing import Any, Callable, Dict, Mapping, NamedTuple, Optional

Frame = Dict[str, Any]


class Bytes(NamedTuple):
    """A result that is no JSON. Plain `bytes` do as well, as application/octet-stream."""

    data: bytes
    content_type: str = "application/octet-stream"


class JobError(Exception):
    """A failure, with what the scheduler should make of it. `code` is the handler's own name for it, up to 128 bytes.

    `retry_after` is seconds. `cooldown_key`, up to 128 bytes, names the upstream that wants the pause.
    """

    def __init__(
        self,
        message: str,
        code: Optional[str] = None,
        retryable: bool = True,
        retry_after: Optional[float] = None,
        cooldown_key: Optional[str] = None,
    ) -> None:
        super().__init__(message)
        if retry_after is not None and not 0 <= retry_after < float("inf"):
            raise ValueError(f"retry_after must be 0 s or more, not {retry_after}")
        if cooldown_key is not None and not 0 < len(cooldown_key.encode()) <= 128:
            raise ValueError("cooldown_key must have 1 to 128 bytes")
        self.code, self.retryable, self.retry_after, self.cooldown_key = code, retryable, retry_after, cooldown_key


class NonRetryable(JobError):
    """Trying again cannot help: ends the job, whatever its retry policy."""

    def __init__(self, message: str, code: Optional[str] = None) -> None:
        super().__init__(message, code, retryable=False)


class RetryAfter(JobError):
    """Try again in so many seconds, in place of the policy's next delay."""

    def __init__(
        self, seconds: float, message: str = "", cooldown_key: Optional[str] = None, code: Optional[str] = None
    ) -> None:
        message = message or f"try again in {seconds:g} s"
        super().__init__(message, code, retry_after=seconds, cooldown_key=cooldown_key)


def _field(name: str, default: Any = None) -> Any:
    """An attribute that is a field of the job's frame: most handlers look at none, so none is prepared."""
    return property(lambda self: self._frame.get(name, default))


class Context:
    """The job that runs. Its methods may be called from any thread.

    - `handler`, `job_id`, `attempt`: what is called, for which job, and which try at it this is, from 1.
    - `content_type`: the input's media type; unless that is application/json, the input is `bytes`.
    - `headers`, `traceparent`, `tracestate`: what the submitter passed on, and the W3C trace it belongs to.
    """

    handler: str = _field("handler")
    job_id: str = _field("job_id")
    attempt: int = _field("attempt")
    content_type: str = _field("content_type", "application/json")
    headers: Mapping[str, str] = _field("headers", MappingProxyType({}))
    traceparent: Optional[str] = _field("traceparent")
    tracestate: Optional[str] = _field("tracestate")

    _cancelled = False
    _event: Optional[threading.Event] = None
    _task: "Optional[asyncio.Task[Any]]" = None

    def __init__(self, frame: Frame, say: Callable[[Frame], None]) -> None:
        self._frame, self._say, self._began = frame, say, time.monotonic()
        self._id: int = frame["id"]

    @property
    def fencing_token(self) -> int:
        """Grows with every attempt in the cluster: pass it on to whatever is shared, which refuses lower ones."""
        return int(self._frame["fencing_token"])

    @property
    def scratch(self) -> str:
        """A directory to work in: the worker's own, emptied when the worker starts; else the system's for temporary files."""
        return os.environ.get("WINDLASS_SCRATCH") or tempfile.gettempdir()

    def remaining(self) -> Optional[float]:
        """Seconds until the job is stopped, never negative; None: it has no time limit."""
        timeout = self._frame.get("timeout_ms")
        return None if timeout is None else max(0.0, self._began + timeout / 1000 - time.monotonic())

    @property
    def deadline(self) -> Optional[float]:
        """When the job is stopped, in seconds since 1970, by this machine's clock."""
        remaining = self.remaining()
        return None if remaining is None else time.time() + remaining

    def cancelled(self) -> bool:
        """Whether the handler is to stop: somebody cancelled the job, its time is up, or the agent is gone."""
        return self._cancelled

    def raise_if_cancelled(self) -> None:
        if self._cancelled:
            raise JobError("stopped", "cancelled")

    def wait_cancelled(self, timeout: Optional[float] = None) -> bool:
        """Sleeps, but no longer than until the handler is to stop; whether it is."""
        event = self._event = self._event or threading.Event()
        # The request may have come before there was an event to tell.
        return self._cancelled or event.wait(timeout)

    def progress(
        self, done: Optional[float] = None, total: Optional[float] = None, message: Optional[str] = None
    ) -> None:
        """Says how far the job is."""
        self._tell("progress", done=done, total=total, message=message)

    def log(self, message: str, level: str = "info", **fields: Any) -> None:
        """A line in the job's log, with fields. `level` is one of debug, info, warn and error."""
        self._tell("log", level=level, message=message, fields=fields or None)

    def child_env(self) -> Dict[str, str]:
        """The environment for a program that works for this job: it can see which job, and carries the trace on."""
        mine = {
            "WINDLASS_JOB_ID": self.job_id,
            "WINDLASS_ATTEMPT": str(self.attempt),
            "WINDLASS_FENCING_TOKEN": str(self.fencing_token),
            "TRACEPARENT": self.traceparent,
            "TRACESTATE": self.tracestate,
        }
        return {**os.environ, **{name: value for name, value in mine.items() if value}}

    def _tell(self, kind: str, **fields: Any) -> None:
        said = {name: value for name, value in fields.items() if value is not None}
        self._say({"type": kind, "id": self._id, **said})

    def _cancel(self) -> None:
        self._cancelled = True
        if self._event is not None:
            self._event.set()
        task = self._task
        if task is not None:
            task.get_loop().call_soon_threadsafe(self._stop)

    def _stop(self) -> None:
        """Cancels the coroutine, in a turn of its loop after the one that begins it; once, so that what it does then is left alone."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
