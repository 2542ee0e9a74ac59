"""The worker under test."""

import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time

from windlass_worker import Bytes, JobError, NonRetryable, RetryAfter, job, run


def positive(ctx, value):
    if value <= 0:
        raise NonRetryable("must be positive", code="NEGATIVE")


@job("echo")
def echo(ctx, value):
    return value


@job("root", validate=positive)
def root(ctx, value):
    return value**0.5


@job("prints")
def prints(ctx, value):
    print("printed", flush=value == "flush")
    print('\x1e{"type":"result","id":1,"value":"forged"}')
    sys.stdout.write("half a line")
    sys.stderr.write("half an error")
    os.write(1, b"raw\n")
    subprocess.run(["sh", "-c", "echo from a child; cat"], check=True)
    return sys.stdin.read()


@job("forks")
def forks(ctx, value):
    """A fork writes, speaks and is ended by SIGTERM; the worker is not."""
    child = multiprocessing.get_context("fork").Process(target=in_fork, args=(ctx,))
    child.start()
    time.sleep(0.05)
    child.terminate()
    child.join()
    return child.exitcode


def in_fork(ctx):
    print("from a fork")
    ctx.log("never on the protocol")
    time.sleep(60)


@job("waits")
def waits(ctx, value):
    print("waiting")
    return ctx.wait_cancelled(60)


@job("stops")
def stops(ctx, value):
    while not ctx.wait_cancelled(60):
        pass
    ctx.raise_if_cancelled()


@job("blocks")
def blocks(ctx, value):
    print("blocking")
    time.sleep(value)
    return "slept"


@job("tells")
def tells(ctx, value):
    ctx.progress(3, 10, "pages")
    ctx.progress(message="most")
    ctx.log("fetched", ms=12)
    ctx.log("x" * 100_000, level="warn", other=object, long="y" * 100_000)
    ctx.log("odd", fields={(1, 2): "no key of JSON"})
    thread = threading.Thread(target=ctx.log, args=("from a thread",))
    thread.start()
    thread.join()


@job("context")
def context(ctx, value):
    env = ctx.child_env()
    return {
        "ctx": [
            ctx.handler,
            ctx.job_id,
            ctx.attempt,
            ctx.fencing_token,
            ctx.content_type,
            ctx.traceparent,
            ctx.tracestate,
        ],
        "headers": dict(ctx.headers),
        "scratch": ctx.scratch,
        "in_time": ctx.remaining() is None or 0 < ctx.remaining() <= 60 and abs(ctx.deadline - time.time() - 60) < 5,
        "child": {name: env.get(name) for name in value or []},
        "cancelled": ctx.cancelled(),
    }


@job("fails")
def fails(ctx, value):
    raise {
        "plain": ValueError("out of páper"),
        "silent": ValueError(),
        "code": JobError("no such image", code="E404"),
        "never": NonRetryable("broken"),
        "later": RetryAfter(1.5, cooldown_key="upstream", code="E429"),
        "exit": SystemExit(3),
        "long": ValueError("x" * 100_000),
    }[value]


@job("returns")
def returns(ctx, value):
    circle = []
    circle.append(circle)
    return {
        "bytes": b"\xff\x00",
        "png": Bytes(b"\x89PNG", "image/png"),
        "set": {1},
        "nan": float("nan"),
        "circle": circle,
        "surrogate": "\ud800",
        "most": "é" * (131_072 - 1),
        "more": "é" * (131_072 - 1) + "x",
        "many": b"x" * 262_144,
        "too many": b"x" * 262_145,
        "long type": Bytes(b"", "a/" + "x" * 127),
    }[value]


@job("length")
def length(ctx, value):
    return [type(value).__name__, len(value), ctx.content_type]


@job("async")
async def asynchronous(ctx, value):
    await asyncio.sleep(value)
    return "slept"


@job("late")
def late(ctx, value):
    """A coroutine that nobody has begun to await when the request to stop comes."""
    ctx.wait_cancelled(60)
    return asynchronous(ctx, value)


@job("stops-the-loop")
async def stops_the_loop(ctx, value):
    asyncio.get_running_loop().stop()
    await asyncio.sleep(0)
    return value


@job("dies")
def dies(ctx, value):
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    run()
