"""A watch that outlives the coordinator."""

import sys

import grpc
from windlass.v1 import job_service_pb2 as jobs

from base import FINAL, PATIENCE_S, ROOM, Job, command, expect, job_service, name, restart, submit, wait


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
