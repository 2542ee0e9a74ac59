"""Calls of handlers, and what they answer."""

import json

from windlass.v1 import job_service_pb2 as jobs, jobs_pb2, reasons_pb2, retry_pb2

from base import (
    CODES,
    PATIENCE_S,
    UNKNOWN,
    Job,
    call,
    command,
    expect,
    get,
    job_service,
    refused,
    submit,
    the_agent,
    until,
    wait,
)


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
        (failed.state, attempt.reason) == (Job.STATE_FAILED, reasons_pb2.REASON_HANDLER_ERROR),
        failed,
    )
    expect(
        "and its message is the attempt's detail", attempt.detail == "why not" and not attempt.error.permanent, attempt
    )
    retry = retry_pb2.RetryPolicy(preset=retry_pb2.RetryPolicy.PRESET_AGGRESSIVE, max_attempts=2)
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
