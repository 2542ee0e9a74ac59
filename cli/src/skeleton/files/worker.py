"""A worker: what it answers to, an agent can be asked for by name."""

from windlass_worker import job, run


@job("hello")
def hello(ctx, input):
    return {"hello": input["name"]}


run()
