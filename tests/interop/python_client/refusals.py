"""What is refused says why, by field, and when to come back."""

import contextlib

from windlass.v1 import job_service_pb2 as jobs, jobs_pb2

from base import CODES, PATIENCE_S, UNKNOWN, Job, command, decoded, expect, job_service, refused, wait


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
