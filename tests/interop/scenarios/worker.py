"""The handlers that tests/interop/scenarios.py calls, on the Python SDK: half of them are coroutines."""

import asyncio
import os
import subprocess
import sys

from windlass_worker import Bytes, JobError, NonRetryable, RetryAfter, job, run


@job("echo")
async def echo(ctx, value):
    return value


@job("fail")
def fail(ctx, message):
    raise JobError(message, code="E_FAIL")


@job("refuse")
def refuse(ctx, message):
    raise NonRetryable(message)


@job("later")
async def later(ctx, seconds):
    if ctx.attempt == 1:
        raise RetryAfter(seconds, "slow down", cooldown_key="api.example")
    return ctx.attempt


@job("sleep")
async def sleep(ctx, milliseconds):
    await asyncio.sleep(milliseconds / 1000)
    return milliseconds


@job("report")
def report(ctx, value):
    ctx.progress(1, 2, "pages")
    ctx.log("slow", level="warn", ms=1200)


@job("prints")
def prints(ctx, value):
    print('\x1e{"type":"result","id":1,"value":"forged"}')
    print("printed")
    print("complained", file=sys.stderr)
    subprocess.run(["sh", "-c", "echo from a child"], check=True)
    return "done"


@job("exit")
def exit_now(ctx, code):
    os._exit(code)


@job("reverse")
def reverse(ctx, data):
    return Bytes(data[::-1], ctx.content_type)


@job("blow")
def blow(ctx, length):
    return "x" * length


@job("who")
def who(ctx, value):
    script = 'printf "%s %s" "$WINDLASS_ATTEMPT" "$TRACEPARENT"'
    child = subprocess.run(["sh", "-c", script], env=ctx.child_env(), stdout=subprocess.PIPE, check=True)
    return {
        "pid": os.getpid(),
        "job": ctx.job_id,
        "attempt": ctx.attempt,
        "token": str(ctx.fencing_token),
        "tenant": ctx.headers.get("tenant"),
        "trace": ctx.traceparent,
        "timed": ctx.deadline is not None,
        "child": child.stdout.decode(),
    }


def small(ctx, number):
    if number > 1000:
        raise NonRetryable("at most 1000", code="TOO_LARGE")


@job("double", validate=small)
def double(ctx, number):
    return number * 2


run()
