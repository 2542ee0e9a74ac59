"""A client in Python, with nothing but the code that gRPC's own tools make of proto/. Started by python.sh, which starts the cluster
and generates the code.

A part is a function; what it says is checked where it is said, and the first thing that does not hold ends the run.
Arguments: the coordinator's address, its program, the room of the cluster, and names of parts where not all are wanted.
"""

import collections
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import uuid

import grpc
from google.protobuf import duration_pb2, timestamp_pb2
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from windlass.v1 import agents_pb2, fleet_service_pb2 as fleet, fleet_service_pb2_grpc
from windlass.v1 import job_service_pb2 as jobs, job_service_pb2_grpc, jobs_pb2
from windlass.v1 import pool_service_pb2 as pools, pool_service_pb2_grpc
from windlass.v1 import queue_service_pb2 as queues, queue_service_pb2_grpc

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

# ---- helpers ---------------------------------------------------------------------------------------------------------

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

# ---- jobs ------------------------------------------------------------------------------------------------------------


def submits():
    job = submit(command("sh", "-c", "exit 0"))
    expect("a job's id is a UUIDv7", uuid.UUID(job.id).version == 7, job)
    done = wait(job.id)
    expect("it succeeds in one attempt", (name(done.state), len(done.attempts)) == ("SUCCEEDED", 1), done)
    exit_ = done.attempts[0].exit
    expect("whose exit code 0 is told apart from none", exit_.HasField("code") and exit_.code == 0, exit_)
    failed = wait(submit(command("sh", "-c", "exit 7")).id)
    expect("an exit code comes through", (name(failed.state), failed.attempts[0].exit.code) == ("FAILED", 7), failed)

    once = submit(command("true"), request_id="python-1")
    again = submit(command("true"), request_id="python-1")
    expect("a submit repeated under its request id makes one job", once.id == again.id, once, again)
    taken = jobs.SubmitJobRequest(spec=command("false"), request_id="python-1")
    refusal = refused(job_service.SubmitJob, taken)
    expect("and with another spec is refused by name", refusal.reason == "REQUEST_ID_TAKEN", refusal)


def batch():
    specs = [command("true"), jobs_pb2.JobSpec(exec=jobs_pb2.Exec()), command("true")]
    request = jobs.BatchSubmitJobsRequest(requests=[jobs.SubmitJobRequest(spec=spec) for spec in specs])
    results = job_service.BatchSubmitJobs(request, timeout=PATIENCE_S).results
    kinds = [result.WhichOneof("result") for result in results]
    expect("in a batch a bad item harms no other", kinds == ["job_id", "error", "job_id"], results)
    error = decoded(results[1].error)
    expect("and its error names the field with its place", error.fields == ["requests[1].spec.exec.argv"], error)
    expect("under the code of its own", error.code == CODES["INVALID_ARGUMENT"], error)
    expect("the others run", all(wait(results[i].job_id).state == Job.STATE_SUCCEEDED for i in (0, 2)))


def listed(**filters):
    request = jobs.ListJobsRequest(page_size=2, **filters)
    found = []
    while True:
        page = job_service.ListJobs(request, timeout=PATIENCE_S)
        assert len(page.jobs) <= 2, "a page is no larger than asked for"
        found.extend(job.id for job in page.jobs)
        if not page.next_page_token:
            return found
        request.page_token = page.next_page_token


def lists():
    mine = [submit(command("true", str(i), queue="listed")).id for i in range(5)]
    for job_id in mine:
        wait(job_id)
    whole = job_service.ListJobs(jobs.ListJobsRequest(page_size=1000), timeout=PATIENCE_S).jobs
    expect("pages of two are the whole list", listed() == [job.id for job in whole])
    expect("newest first", listed(queue="listed") == mine[::-1])
    expect("of one state", listed(queue="listed", states=[Job.STATE_FAILED]) == [])
    expect("and by the beginning of an id", listed(id_prefix=mine[0]) == [mine[0]])


def filters():
    before = now()
    specs = [
        command("true", labels={"team": "ml", "gpu": "a100"}, group="night"),
        command("true", labels={"team": "ml"}, group="night"),
        command("true", labels={"team": "web", "gpu": ""}),
    ]
    # Apart by more than a millisecond, which is how fine the record's times are.
    made = [time.sleep(0.01) or submit(spec) for spec in specs]
    a, b, c = (wait(job.id).id for job in made)
    expect("a label filters by its value", listed(labels={"team": "ml"}) == [b, a])
    expect("or by its key", listed(labels={"gpu": ""}) == [c, a])
    expect("and of several all have to fit", listed(labels={"team": "ml", "gpu": ""}) == [a])
    expect("a group is found again", listed(group="night") == [b, a])
    expect("a group that nobody named is empty", listed(group="day") == [])
    expect("a time filters from then on", listed(created_from=made[1].create_time) == [c, b])
    expect("and before then", listed(created_from=made[0].create_time, created_before=made[2].create_time) == [b, a])
    expect("what was there before is apart from what came since", listed(created_from=before) == [c, b, a])
    expect("and nothing is on both sides", not {a, b, c} & set(listed(created_before=before)))
    refusal = refused(job_service.ListJobs, jobs.ListJobsRequest(labels={str(i): "" for i in range(17)}))
    expect("too many labels are refused by field", refusal.fields == ["labels"], refusal)


def waits():
    job = submit(command("sleep", "60"))
    until(lambda: get(job.id), lambda job: job.state == Job.STATE_RUNNING)
    begun = time.monotonic()
    answer = job_service.WaitJob(jobs.WaitJobRequest(job_id=job.id, timeout=seconds(0.3)), timeout=PATIENCE_S)
    took = time.monotonic() - begun
    expect("a wait may end before the job", not answer.done and answer.job.state == Job.STATE_RUNNING, answer)
    expect("after the time that was asked for", 0.25 < took < 5, took)

    asked = job_service.CancelJob(jobs.CancelJobRequest(job_id=job.id, reason="enough"), timeout=PATIENCE_S).job
    expect("a cancel is on record when it is answered", asked.cancel_requested, asked)
    done = wait(job.id)
    exit_ = done.attempts[0].exit
    expect(
        "the job ends CANCELLED by SIGTERM", (done.state, exit_.signal) == (Job.STATE_CANCELLED, signal.SIGTERM), done
    )
    expect("with proof that nothing is left", exit_.proof == jobs_pb2.Exit.PROOF_KEEPER, exit_)


def logs():
    script = "for i in 1 2 3 4 5; do echo out $i; echo err $i >&2; sleep 0.1; done"
    job = submit(command("sh", "-c", script))
    streams = {jobs_pb2.LogChunk.STREAM_STDOUT: b"", jobs_pb2.LogChunk.STREAM_STDERR: b""}
    for piece in job_service.TailJobLogs(jobs.TailJobLogsRequest(job_id=job.id), timeout=PATIENCE_S):
        for chunk in piece.chunks:
            assert chunk.offset == len(streams[chunk.stream]), f"a gap or a repeat at {chunk.offset}"
            streams[chunk.stream] += chunk.data
    out, err = streams.values()
    expect(
        "a tail brings all of both streams, in order", out == b"".join(b"out %d\n" % i for i in range(1, 6)), streams
    )
    expect("and ends with the job", err == out.replace(b"out", b"err"), err)
    done = wait(job.id)
    counts = (done.attempts[0].stdout_bytes, done.attempts[0].stderr_bytes)
    expect("the record counts the same bytes", counts == (len(out), len(err)), done)

    read, offset = b"", 0
    while True:
        request = jobs.ReadJobLogsRequest(
            job_id=job.id, stream=jobs_pb2.LogChunk.STREAM_STDOUT, offset=offset, max_bytes=7
        )
        piece = job_service.ReadJobLogs(request, timeout=PATIENCE_S)
        read += b"".join(chunk.data for chunk in piece.chunks)
        offset = piece.next_offset
        if piece.complete and not piece.chunks:
            break
    expect("read by sevens they are the same", read == out, read)


# ---- a coordinator that dies -----------------------------------------------------------------------------------------


def restart():
    """kill -9, and the same program over the same record at the same address."""
    pid_file = ROOM / "coordinator.pid"
    os.kill(int(pid_file.read_text()), signal.SIGKILL)
    log = (ROOM / "coordinator.log").open("ab")
    arguments = [PROGRAM, "--listen", ADDRESS, "--data", str(ROOM / "c"), "--jobs-live-max", "100"]
    started = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=log)
    assert started.stdout.readline().startswith(b"listening on "), "it listens again"
    pid_file.write_text(str(started.pid))


def watches():
    flag = ROOM / "flag"
    job = submit(command("sh", "-c", f"until [ -e {flag} ]; do sleep 0.05; done"))
    seen, revision = [], 0

    def watch(enough):
        nonlocal revision
        request = jobs.WatchJobsRequest(job_ids=[job.id], after_revision=revision)
        stream = job_service.WatchJobs(request, timeout=PATIENCE_S, wait_for_ready=True)
        for message in stream:
            seen.extend(message.events)
            revision = message.revision
            if seen and enough(seen[-1].state):
                return stream
        sys.exit("FAIL  the watch ended by itself")

    stream = watch(lambda state: state == Job.STATE_RUNNING)
    expect("a watch shows each change", [name(e.state) for e in seen] == ["QUEUED", "LEASED", "RUNNING"], seen)
    restart()
    try:
        for message in stream:
            sys.exit(f"FAIL  the watch goes on over a dead coordinator: {message}")
        sys.exit("FAIL  the watch ends as if all were well")
    except grpc.RpcError as err:
        expect("a coordinator that dies is told as one", err.code() == grpc.StatusCode.UNAVAILABLE, err)
    flag.touch()
    watch(FINAL.__contains__)
    states = [name(event.state) for event in seen]
    expect(
        "resumed by revision, it misses nothing and repeats nothing",
        states == ["QUEUED", "LEASED", "RUNNING", "SUCCEEDED"],
        seen,
    )
    revisions = [event.revision for event in seen]
    expect("revisions only grow", revisions == sorted(set(revisions)), revisions)
    page = job_service.ListJobEvents(jobs.ListJobEventsRequest(job_ids=[job.id], page_size=1000), timeout=PATIENCE_S)
    expect("the changes read back are those that were watched", list(page.events) == seen, page)
    expect("the job ran on over the restart", len(wait(job.id).attempts) == 1)


# ---- errors ----------------------------------------------------------------------------------------------------------


def errors():
    refusal = refused(job_service.GetJob, jobs.GetJobRequest(job_id=UNKNOWN))
    known = (CODES["NOT_FOUND"], "JOB_NOT_FOUND", "windlass.dev")
    expect("an error has a reason and a domain", (refusal.code, refusal.reason, refusal.domain) == known, refusal)
    bad = jobs_pb2.JobSpec(exec=jobs_pb2.Exec(), priority=-101, queue="a b")
    refusal = refused(job_service.SubmitJob, jobs.SubmitJobRequest(spec=bad))
    wanted = {"spec.exec.argv", "spec.priority", "spec.queue"}
    expect("a bad request names every field at once", set(refusal.fields) == wanted, refusal)

    # This coordinator was told to hold a hundred unfinished jobs.
    request = jobs.BatchSubmitJobsRequest(requests=[jobs.SubmitJobRequest(spec=command("sleep", "60"))] * 101)
    results = job_service.BatchSubmitJobs(request, timeout=PATIENCE_S).results
    taken = [result.job_id for result in results if result.job_id]
    with contextlib.ExitStack() as cleanup:
        for job_id in taken:
            cancel = jobs.CancelJobRequest(job_id=job_id)
            cleanup.callback(job_service.CancelJob, cancel, timeout=PATIENCE_S)
        full = decoded(results[-1].error)
        expect(
            "what does not fit is refused item by item",
            (len(taken), full.code) == (100, CODES["RESOURCE_EXHAUSTED"]),
            full,
        )
        refusal = refused(job_service.SubmitJob, jobs.SubmitJobRequest(spec=command("true")))
        expect("and says when to come back", refusal.retry_s is not None and refusal.retry_s > 0, refusal)
    ended = [wait(job_id).state for job_id in taken]
    expect("all that was taken can be cancelled", set(ended) == {Job.STATE_CANCELLED}, ended)


# ---- handlers --------------------------------------------------------------------------------------------------------


def result(job_id):
    return job_service.GetJobResult(jobs.GetJobResultRequest(job_id=job_id), timeout=PATIENCE_S)


def handlers():
    agent = until(the_agent, lambda agent: agent.pools and "upper" in agent.pools[0].handlers)
    pool = agent.pools[0]
    expect(
        "the agent shows its pool",
        (pool.name, sorted(pool.handlers), pool.workers) == ("demo", ["fail", "sleep", "upper"], 1),
        agent,
    )
    done = wait(submit(call("upper", "hé")).id)
    answer = result(done.id)
    expect(
        "a handler's answer is kept",
        (json.loads(answer.result), answer.content_type) == ("HÉ", "application/json"),
        answer,
    )
    expect("and its size is on record", done.attempts[0].result_bytes == len(answer.result), done)

    failed = wait(submit(call("fail", "why not")).id)
    attempt = failed.attempts[0]
    expect(
        "an error of a handler fails the job with its reason",
        (failed.state, attempt.reason) == (Job.STATE_FAILED, jobs_pb2.REASON_HANDLER_ERROR),
        failed,
    )
    expect(
        "and its message is the attempt's detail", attempt.detail == "why not" and not attempt.error.permanent, attempt
    )
    retry = jobs_pb2.RetryPolicy(preset=jobs_pb2.RetryPolicy.PRESET_AGGRESSIVE, max_attempts=2)
    expect("it is tried again as often as was asked for", wait(submit(call("fail", "x", retry=retry)).id).failures == 2)
    permanent = wait(submit(call("upper", 7, retry=retry)).id)
    expect(
        "but not where the handler says that this cannot help",
        permanent.failures == 1 and permanent.attempts[0].error.permanent,
        permanent,
    )

    for what, job_id, code in [
        ("a job that failed", failed.id, "FAILED_PRECONDITION"),
        ("an unknown job", UNKNOWN, "NOT_FOUND"),
    ]:
        refusal = refused(job_service.GetJobResult, jobs.GetJobResultRequest(job_id=job_id))
        expect(f"{what} has no answer", refusal.code == CODES[code], refusal)
    plain = wait(submit(command("true")).id)
    refusal = refused(job_service.GetJobResult, jobs.GetJobResultRequest(job_id=plain.id))
    expect("nor has a command", refusal.code == CODES["FAILED_PRECONDITION"], refusal)
    refusal = refused(
        job_service.SubmitJob,
        jobs.SubmitJobRequest(spec=jobs_pb2.JobSpec(call=jobs_pb2.Call(handler="upper", input=b"{"))),
    )
    expect("an input that is no JSON is refused by field", refusal.fields == ["spec.call.input"], refusal)

    nobody = submit(call("nobody"))
    waiting = until(lambda: get(nobody.id), lambda job: job.waiting_for)
    expect(
        "a call that nobody offers waits, and says for what",
        waiting.state == Job.STATE_QUEUED and "nobody" in waiting.waiting_for,
        waiting,
    )
    job_service.CancelJob(jobs.CancelJobRequest(job_id=nobody.id), timeout=PATIENCE_S)
    expect("and can be cancelled", wait(nobody.id).state == Job.STATE_CANCELLED)

    sleeper = submit(call("sleep", 60))
    until(lambda: get(sleeper.id), lambda job: job.state == Job.STATE_RUNNING)
    job_service.CancelJob(jobs.CancelJobRequest(job_id=sleeper.id), timeout=PATIENCE_S)
    expect("a call that runs can be cancelled", wait(sleeper.id).state == Job.STATE_CANCELLED)
    after = wait(submit(call("upper", "next")).id)
    expect("and the next one finds a worker again", json.loads(result(after.id).result) == "NEXT", after)


# ---- operators -------------------------------------------------------------------------------------------------------


def the_agent():
    agents = fleet_service.ListAgents(fleet.ListAgentsRequest(), timeout=PATIENCE_S).agents
    return next((agent for agent in agents if agent.state == Agent.STATE_CONNECTED), Agent())


def pauses():
    wait(submit(command("true")).id)
    wait(submit(command("true", queue="halted")).id)
    queue = queue_service.PauseQueue(queues.PauseQueueRequest(queue="halted", reason="why"), timeout=PATIENCE_S).queue
    expect("a queue can be paused", (queue.name, queue.paused) == ("halted", True), queue)
    held_back, other = submit(command("true", queue="halted")), submit(command("true"))
    expect("the others go on", wait(other.id).state == Job.STATE_SUCCEEDED)
    waiting = get(held_back.id)
    expect(
        "its jobs wait, and say for what",
        waiting.state == Job.STATE_QUEUED and "pause" in waiting.waiting_for,
        waiting,
    )
    seen = queue_service.GetQueue(queues.GetQueueRequest(queue="halted"), timeout=PATIENCE_S).queue
    expect("and are counted", (seen.paused, seen.queued, seen.running) == (True, 1, 0), seen)
    names = [queue.name for queue in queue_service.ListQueues(queues.ListQueuesRequest(), timeout=PATIENCE_S).queues]
    expect("queues are listed by name", names == sorted(names) and {"default", "halted"} <= set(names), names)
    restart()
    seen = queue_service.GetQueue(queues.GetQueueRequest(queue="halted"), timeout=PATIENCE_S, wait_for_ready=True).queue
    expect("a restart forgets no pause", seen.paused and seen.queued == 1, seen)
    queue = queue_service.ResumeQueue(queues.ResumeQueueRequest(queue="halted"), timeout=PATIENCE_S).queue
    expect("resumed, it hands out again", not queue.paused and wait(held_back.id).state == Job.STATE_SUCCEEDED, queue)
    refusal = refused(queue_service.PauseQueue, queues.PauseQueueRequest(queue="a b"))
    expect("a name that is none is refused by field", refusal.fields == ["queue"], refusal)


def drains():
    agent_id = until(the_agent, lambda agent: agent.id).id
    cordoned = fleet_service.CordonAgent(
        fleet.CordonAgentRequest(agent_id=agent_id, reason="why"), timeout=PATIENCE_S
    ).agent
    expect(
        "an agent can be cordoned",
        (cordoned.scheduling, cordoned.reason) == (Agent.SCHEDULING_CORDONED, "why"),
        cordoned,
    )
    job = submit(command("sleep", "60"))
    waiting = until(lambda: get(job.id), lambda job: job.waiting_for)
    expect("and gets nothing new", waiting.state == Job.STATE_QUEUED and "cordoned" in waiting.waiting_for, waiting)
    active = fleet_service.UncordonAgent(fleet.UncordonAgentRequest(agent_id=agent_id), timeout=PATIENCE_S).agent
    expect("until it is uncordoned", active.scheduling == Agent.SCHEDULING_ACTIVE, active)
    until(lambda: get(job.id), lambda job: job.state == Job.STATE_RUNNING)

    request = fleet.DrainAgentRequest(agent_id=agent_id, deadline=seconds(0.5), reason="new kernel")
    draining = fleet_service.DrainAgent(request, timeout=PATIENCE_S).agent
    expect(
        "a drain says until when it lets things run",
        draining.scheduling == Agent.SCHEDULING_DRAINING and draining.HasField("drain_time"),
        draining,
    )

    def look():
        return fleet_service.GetAgent(fleet.GetAgentRequest(agent_id=agent_id), timeout=PATIENCE_S).agent

    drained = until(look, lambda agent: agent.scheduling == Agent.SCHEDULING_DRAINED)
    expect("at its end the agent holds nothing", (drained.held, drained.running) == (0, 0), drained)
    back = get(job.id)
    expect(
        "what ran was interrupted, and waits again at no cost",
        (name(back.state), back.interruptions, back.failures) == ("QUEUED", 1, 0),
        back,
    )
    fleet_service.UncordonAgent(fleet.UncordonAgentRequest(agent_id=agent_id), timeout=PATIENCE_S)
    again = until(lambda: get(job.id), lambda job: job.state == Job.STATE_RUNNING)
    expect("uncordoned, the agent runs it once more", len(again.attempts) == 2, again)
    job_service.CancelJob(jobs.CancelJobRequest(job_id=job.id), timeout=PATIENCE_S)
    wait(job.id)
    refusal = refused(fleet_service.DrainAgent, fleet.DrainAgentRequest(agent_id=UNKNOWN))
    expect("an unknown agent is NOT_FOUND", refusal.code == CODES["NOT_FOUND"], refusal)


def words():
    agent_id = until(the_agent, lambda agent: agent.id).id
    state = pool_service.GetPool(pools.GetPoolRequest(agent_id=agent_id, pool="demo"), timeout=PATIENCE_S).pool
    expect("a pool is shown as its agent answers", (state.name, state.max_workers) == ("demo", 1), state)
    request = pools.ListWorkersRequest(agent_id=agent_id, pool="demo")
    workers = pool_service.ListWorkers(request, timeout=PATIENCE_S).workers
    expect("and its workers by their ids", [worker.id for worker in workers] == ["demo-0"], workers)
    refusal = refused(fleet_service.ForceLostAgent, fleet.ForceLostAgentRequest(agent_id=agent_id))
    expect("an agent in touch speaks for itself", refusal.code == CODES["FAILED_PRECONDITION"], refusal)
    refusal = refused(job_service.AbandonJob, jobs.AbandonJobRequest(job_id=UNKNOWN))
    expect("an unknown job is NOT_FOUND", refusal.code == CODES["NOT_FOUND"], refusal)


PARTS = [submits, batch, lists, filters, waits, logs, watches, errors, handlers, pauses, drains, words]

until(the_agent, lambda agent: agent.id)
for part in [part for part in PARTS if not WANTED or part.__name__ in WANTED]:
    print(f"--- {part.__name__}", flush=True)
    part()
print(f"\n{held} passed")
if not held:
    sys.exit("FAIL  nothing was checked")
