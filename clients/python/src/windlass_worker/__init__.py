"""Workers for Windlass pools: functions that an agent calls by name.

from windlass_worker import job, run

@job("greet")
def greet(ctx, input):
    return {"hello": input["name"]}

run()
"""

from .context import Bytes, Context, JobError, NonRetryable, RetryAfter
from .worker import job, run

__all__ = ["Bytes", "Context", "JobError", "NonRetryable", "RetryAfter", "job", "run"]
__version__ = "0.1.0"
