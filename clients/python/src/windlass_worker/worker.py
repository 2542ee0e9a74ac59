"""The handlers, and the loop that calls them."""

from __future__ import annotations

import asyncio
import base64
import inspect
import json
import os
import re
import sys
from typing import Any, Callable, Dict, NamedTuple, NoReturn, Optional, TypeVar

from . import frames
from .context import Context, Frame
from .pipe import Pipe, flush, take_descriptors

Function = TypeVar("Function", bound=Callable[..., Any])
EXIT_CONFIG = 78
"""An agent starts a worker that exits so only after its configuration has changed."""


class Handler(NamedTuple):
    call: Callable[[Context, Any], Any]
    validate: Optional[Callable[[Context, Any], Any]]


_handlers: Dict[str, Handler] = {}


def job(name: str, validate: Optional[Callable[[Context, Any], Any]] = None) -> Callable[[Function], Function]:
    """Makes a function, `async` or not, the handler of this name: it is called with a `Context` and the input.

    `validate` is called with the same where only a check is wanted, and raises if the handler would not take that input.
    """
    if not re.fullmatch(r"[a-zA-Z0-9._-]{1,128}", name):
        raise ValueError(f"a handler's name is 1 to 128 of [a-zA-Z0-9._-], not {name!r}")
    if name in _handlers:
        raise ValueError(f"there is a handler {name!r} already")

    def register(function: Function) -> Function:
        _handlers[name] = Handler(function, validate)
        return function

    return register


def run() -> None:
    """Answers the agent's calls until it says bye, or SIGTERM does; then returns.

    `--once HANDLER [JSON]` on the command line calls one handler, prints its result and exits.
    """
    if not 1 <= len(_handlers) <= 256:
        sys.stderr.write(f"windlass_worker: 1 to 256 handlers are needed, and there are {len(_handlers)}\n")
        sys.exit(EXIT_CONFIG)
    if sys.argv[1:2] == ["--once"]:
        _once(sys.argv[2:])
    if os.isatty(0):
        name = next(iter(_handlers))
        sys.stderr.write(
            f"This is a Windlass worker with the handlers {', '.join(_handlers)}: an agent starts it, as [[pool]] says.\n"
            f"To try one here:  python {sys.argv[0]} --once {name} '\"its input, as JSON\"'\n"
        )
        sys.exit(2)
    _serve(Pipe())


def _serve(pipe: Pipe) -> None:
    validates = ["validate"] if any(handler.validate for handler in _handlers.values()) else []
    # What is said waits for the next job's `started`, if there is a next: both are one write.
    said, going = frames.hello(_handlers, ["started", "recall", "cancel", *validates]), True
    caller = Caller()
    while going:
        ctx = pipe.take()
        if ctx is None:
            if said:
                pipe.write(said)
                said = b""
            going = pipe.wait()
        elif ctx._frame["type"] == "job" and "cancelled" not in ctx._frame:
            pipe.write(said + frames.started(ctx._id))
            said = caller.answer(ctx)
        else:
            said += caller.check(ctx)
    if pipe.leaving:
        pipe.write(frames.frame({"type": "bye", "reason": "drained"}))
    caller.close()


class Caller:
    """Calls handlers. Coroutines share one event loop, so that what they opened in it lasts from job to job."""

    def __init__(self) -> None:
        self._loop: Optional[asyncio.AbstractEventLoop] = None

    def answer(self, ctx: Context) -> bytes:
        """The frame that ends the job."""
        handler = _handlers.get(ctx._frame["handler"])
        if handler is None:
            return _unknown(ctx)
        try:
            return frames.result(ctx._id, self.call(handler.call, ctx))
        except KeyboardInterrupt:
            raise
        except BaseException as err:  # SystemExit too: a library that gives up is not the end of the worker
            return frames.failure(err, ctx)
        finally:
            flush()  # what it printed is read before what it answers

    def check(self, ctx: Context) -> bytes:
        """The answer to what is not to be run: only checked, or cancelled before its turn."""
        if ctx.handler not in _handlers:
            return _unknown(ctx)
        validate = _handlers[ctx.handler].validate
        if ctx._frame["type"] == "job":
            return frames.error(ctx._id, "stopped", "cancelled")
        if validate is None:
            message = f"the handler {ctx.handler} has no validate"
            return frames.error(ctx._id, message, "VALIDATE_UNSUPPORTED", retryable=False)
        try:
            self.call(validate, ctx)
        except Exception as err:
            return frames.refusal(err, ctx)
        return frames.frame({"type": "valid", "id": ctx._id})

    def call(self, function: Callable[[Context, Any], Any], ctx: Context) -> Any:
        text = ctx._frame.get("input_base64")
        value = function(ctx, ctx._frame.get("input") if text is None else base64.b64decode(text))
        return self._await(ctx, value) if inspect.iscoroutine(value) else value

    def _await(self, ctx: Context, coroutine: Any) -> Any:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            asyncio.set_event_loop(self._loop)
        ctx._task = task = self._loop.create_task(self._last(coroutine))
        if ctx.cancelled():  # before there was a task to tell
            # Not at once: a task that has not begun would end without `_last`, and nobody would stop the loop.
            self._loop.call_soon(ctx._stop)
        while not task.done():  # a handler may have stopped the loop
            self._loop.run_forever()
        return task.result()

    async def _last(self, coroutine: Any) -> Any:
        """Stops the loop in the turn that ends the coroutine. `run_until_complete` takes one turn more, as long as all the rest."""
        try:
            return await coroutine
        finally:
            self._loop.stop()

    def close(self) -> None:
        if self._loop is not None:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()


def _unknown(ctx: Context) -> bytes:
    message = f"no handler {ctx.handler} here, only {', '.join(_handlers)}"
    return frames.error(ctx._id, frames.cut(message, 1024), "UNKNOWN_HANDLER", retryable=False)


def _once(arguments: "list[str]") -> NoReturn:
    """Calls one handler as an agent would, and exits: 0 with its result on standard output, else 1."""
    _, out = take_descriptors()
    if not 1 <= len(arguments) <= 2:
        sys.exit("usage: --once HANDLER [JSON]")
    try:
        value = json.loads(arguments[1]) if len(arguments) == 2 else None
    except ValueError as err:
        sys.exit(f"the input is no JSON: {err}\ntext needs both kinds of quotes: '\"text\"'")
    frame = {"type": "job", "id": 1, "handler": arguments[0], "input": value, "attempt": 1, "fencing_token": "1"}
    ctx = Context({**frame, "job_id": "00000000-0000-7000-8000-000000000000"}, lambda said: print(_spoken(said)))
    answer = json.loads(Caller().answer(ctx)[1:])
    if answer["type"] == "error":
        sys.exit(answer.get("stack") or f"error: {answer['message']} " + json.dumps(answer))
    if "value_base64" in answer:
        os.write(out, base64.b64decode(answer["value_base64"]))
    else:
        os.write(out, json.dumps(answer["value"], ensure_ascii=False).encode() + b"\n")
    sys.exit(0)


def _spoken(said: Frame) -> str:
    return json.dumps({key: value for key, value in said.items() if key != "id"}, default=str)
