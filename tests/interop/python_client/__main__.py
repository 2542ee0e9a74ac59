"""A client in Python, with nothing but the code that gRPC's own tools make of proto/. Started by python.sh, which starts the cluster
and generates the code.

A part is a function. Arguments: the coordinator's address, its program, the room of the cluster, and names of parts where not all
are wanted.
"""

import sys

import base
from handlers import handlers
from jobs import batch, filters, lists, logs, submits, waits
from operators import drains, pauses, words
from refusals import errors
from watching import watches

PARTS = [submits, batch, lists, filters, waits, logs, watches, errors, handlers, pauses, drains, words]

base.until(base.the_agent, lambda agent: agent.id)
for part in [part for part in PARTS if not base.WANTED or part.__name__ in base.WANTED]:
    print(f"--- {part.__name__}", flush=True)
    part()
print(f"\n{base.held} passed")
if not base.held:
    sys.exit("FAIL  nothing was checked")
