"""What operators do to queues, agents and pools."""

from windlass.v1 import (
    fleet_service_pb2 as fleet,
    job_service_pb2 as jobs,
    pool_service_pb2 as pools,
    queue_service_pb2 as queues,
)

from base import (
    CODES,
    PATIENCE_S,
    UNKNOWN,
    Agent,
    Job,
    command,
    expect,
    fleet_service,
    get,
    job_service,
    name,
    pool_service,
    queue_service,
    refused,
    restart,
    seconds,
    submit,
    the_agent,
    until,
    wait,
)


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
