"""How many no-op jobs a second one worker answers over the pipe alone: `python bench.py [JOBS [WINDOW]]`.

A peer stands in for the agent: it keeps WINDOW jobs in the worker's pipe, as an agent does with prefetch, and counts results. Peer and
worker want a core each; on a machine that has none to spare, the worker's own time is what to look at.
"""

import os
import resource
import subprocess
import sys
import time

WORKER = "from windlass_worker import job, run\n@job('noop')\ndef noop(ctx, input): return input\nrun()\n"
JOB = (
    b'{"type":"job","id":%d,"handler":"noop","job_id":"0193a5b0-7c3e-7f00-8000-0123456789ab","attempt":1,'
    b'"fencing_token":"1099511627777","input":{"n":%d}}\n'
)


def measure(jobs: int, window: int) -> "tuple[float, float]":
    """Seconds that it took, and seconds of a processor that the worker took for it."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "src")
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)[:2]
    put, get = worker.stdin.fileno(), worker.stdout.fileno()
    os.read(get, 65536)  # hello
    frames = [JOB % (n, n) for n in range(1, jobs + 1)]
    began, sent, done, rest = time.perf_counter(), 0, 0, b""
    while done < jobs:
        most = min(jobs, done + window)
        if sent < most:
            os.write(put, b"".join(frames[sent:most]))
            sent = most
        read = rest + os.read(get, 65536)
        end = read.rfind(b"\n") + 1
        rest = read[end:]
        done += read.count(b'"result"', 0, end)
    took = time.perf_counter() - began
    worker.stdin.close()
    worker.wait(10)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return took, used.ru_utime + used.ru_stime - sum(before)


if __name__ == "__main__":
    jobs = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    windows = [int(sys.argv[2])] if len(sys.argv) > 2 else [1, 32]
    for window in windows:
        took, used = measure(jobs, window)
        print(
            f"window {window:>2}: {jobs / took:>9,.0f} jobs/s, {1e6 * used / jobs:.1f} µs of the worker's processor a job"
        )
