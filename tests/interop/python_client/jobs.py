"""Jobs from their submit to their logs."""

import signal
import time
import uuid

from windlass.v1 import job_service_pb2 as jobs, jobs_pb2

from base import (
    CODES,
    PATIENCE_S,
    Job,
    command,
    decoded,
    expect,
    get,
    job_service,
    name,
    now,
    refused,
    seconds,
    submit,
    until,
    wait,
)


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
