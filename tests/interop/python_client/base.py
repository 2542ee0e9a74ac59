"""The cluster that python.sh has started, and what every part does with it: ask, wait, be refused, and say what holds.

What is said is checked where it is said, and the first thing that does not hold ends the run.
"""

import collections
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import grpc
from google.protobuf import duration_pb2, timestamp_pb2
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from windlass.v1 import (
    agents_pb2,
    fleet_service_pb2 as fleet,
    fleet_service_pb2_grpc,
    job_service_pb2 as jobs,
    job_service_pb2_grpc,
    jobs_pb2,
    pool_service_pb2_grpc,
    queue_service_pb2_grpc,
)

ADDRESS, PROGRAM, ROOM, *WANTED = sys.argv[1:]
ROOM = pathlib.Path(ROOM)
Job, Attempt, Agent = jobs_pb2.Job, jobs_pb2.Attempt, agents_pb2.Agent
FINAL = {Job.STATE_SUCCEEDED, Job.STATE_FAILED, Job.STATE_CANCELLED, Job.STATE_EXPIRED}
UNKNOWN = "0193a5b0-7c3e-7f00-8000-0123456789ab"
# Nothing here takes this long on any machine; what does, hangs.
PATIENCE_S = 60

channel = grpc.insecure_channel(
    ADDRESS, options=[("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 500)]
)
job_service = job_service_pb2_grpc.JobServiceStub(channel)
fleet_service = fleet_service_pb2_grpc.FleetServiceStub(channel)
pool_service = pool_service_pb2_grpc.PoolServiceStub(channel)
queue_service = queue_service_pb2_grpc.QueueServiceStub(channel)

held = 0


def expect(sentence, holds, *shown):
    global held
    if not holds:
        sys.exit(f"FAIL  {sentence}\n      {' '.join(map(str, shown))}")
    held += 1
    print(f"ok    {sentence}", flush=True)


def seconds(number):
    return duration_pb2.Duration(nanos=int(number * 1e9) % 10**9, seconds=int(number))


def now():
    stamp = timestamp_pb2.Timestamp()
    stamp.GetCurrentTime()
    return stamp


def command(*argv, **more):
    return jobs_pb2.JobSpec(exec=jobs_pb2.Exec(argv=argv), **more)


def call(handler, value=None, **more):
    return jobs_pb2.JobSpec(call=jobs_pb2.Call(handler=handler, input=json.dumps(value).encode()), **more)


def submit(spec, **more):
    return job_service.SubmitJob(jobs.SubmitJobRequest(spec=spec, **more), timeout=PATIENCE_S).job


def get(job_id):
    return job_service.GetJob(jobs.GetJobRequest(job_id=job_id), timeout=PATIENCE_S).job


def wait(job_id):
    """The job once it is over."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        answer = job_service.WaitJob(jobs.WaitJobRequest(job_id=job_id, timeout=seconds(10)), timeout=PATIENCE_S)
        if answer.done:
            return answer.job
    sys.exit(f"FAIL  job {job_id} is not over after {PATIENCE_S} s:\n{answer.job}")


def until(look, holds):
    """What `look` sees once it holds: for what takes its time by nature."""
    end = time.monotonic() + PATIENCE_S
    while not holds(seen := look()):
        if time.monotonic() > end:
            sys.exit(f"FAIL  not so after {PATIENCE_S} s, but:\n{seen}")
        time.sleep(0.05)
    return seen


def name(state):
    return Job.State.Name(state).removeprefix("STATE_")


Refusal = collections.namedtuple("Refusal", "code message reason domain fields retry_s")


def decoded(status):
    """What a google.rpc.Status says, with its details by type."""
    details = {"ErrorInfo": error_details_pb2.ErrorInfo(), "BadRequest": error_details_pb2.BadRequest()}
    for packed in status.details:
        kind = packed.TypeName().removeprefix("google.rpc.")
        details[kind] = getattr(error_details_pb2, kind)()
        assert packed.Unpack(details[kind]), packed
    fields = [violation.field for violation in details["BadRequest"].field_violations]
    retry = details.get("RetryInfo")
    retry_s = retry.retry_delay.ToMilliseconds() / 1000 if retry else None
    info = details["ErrorInfo"]
    return Refusal(status.code, status.message, info.reason, info.domain, fields, retry_s)


def refused(method, request):
    """How the coordinator refuses a call, which it must."""
    try:
        answer = method(request, timeout=PATIENCE_S)
    except grpc.RpcError as err:
        status = rpc_status.from_call(err)
        assert status is not None, f"{err} carries no details"
        assert status.code == err.code().value[0], "the details tell of the same code"
        return decoded(status)
    sys.exit(f"FAIL  this was to be refused: {request}\n      {answer}")


CODES = {code.name: code.value[0] for code in grpc.StatusCode}


def restart():
    """kill -9, and the same program over the same record at the same address."""
    pid_file = ROOM / "coordinator.pid"
    os.kill(int(pid_file.read_text()), signal.SIGKILL)
    log = (ROOM / "coordinator.log").open("ab")
    arguments = [PROGRAM, "--listen", ADDRESS, "--data", str(ROOM / "c"), "--jobs-live-max", "100"]
    started = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=log)
    assert started.stdout.readline().startswith(b"listening on "), "it listens again"
    pid_file.write_text(str(started.pid))


def the_agent():
    agents = fleet_service.ListAgents(fleet.ListAgentsRequest(), timeout=PATIENCE_S).agents
    return next((agent for agent in agents if agent.state == Agent.STATE_CONNECTED), Agent())
