//! What follows the flags in `--help`: examples, and the exit codes.

pub(crate) const ALL: &str = "\
Examples:
  windlass dev                                               # a coordinator and an agent to try things on
  windlass run -- echo hello                                 # one job, as if it ran here
  windlass run --local 2 --each 'src/*.c' -- gcc -c {}       # many, on a cluster that lasts as long as the command
  windlass submit --retry default -- ./nightly.sh            # leave it to the cluster,
  windlass wait @last && windlass logs @last                 # and come back for it
  windlass submit --handler upper --input '\"hi\"' --wait      # call a handler of a pool, print its answer
  windlass job list --state failed -o id | windlass logs -   # what went wrong, everywhere

Exit codes:
  0 ok   1 other   2 wrong usage   3 a job failed   4 a job was cancelled   5 not found   6 not allowed
  7 coordinator, or the agent asked, out of reach   8 not now (precondition)   124 time ran out   130 Ctrl-C
  `run` of one job passes its own code through: 128+n on signal n, 127 no such program, 126 cannot be started
  `dev` answers 78 where the port or the directory is taken";

pub(crate) const RUN: &str = "\
Examples:
  windlass run -- make -j4
  windlass run --timeout 10m --retry default -- ./flaky-test.sh
  windlass run --local 2 --each 'proto/**/*.proto' -- sha256sum {}
  seq 1 200 | windlass run --local 2 --each - -- sh -c 'echo \"$1\"' sh {}

Ctrl-C cancels the jobs and waits for their end; a second one leaves at once.
One job answers with its own exit code; jobs of --each with 0, 3 (one failed) or 4 (one was cancelled).";

pub(crate) const SUBMIT_USAGE: &str = "\
windlass submit [OPTIONS] -- <COMMAND>...
       windlass submit [OPTIONS] --handler <NAME> [--input <JSON|@FILE|->] [--wait]";

pub(crate) const SUBMIT: &str = "\
Examples:
  windlass submit --queue nightly --label team=ml -- python3 train.py
  id=$(windlass submit -o id -- ./build.sh) && windlass wait $id
  windlass submit --each '/data/*.csv' -o id -- ./import {} | windlass wait -
  windlass submit --handler resize --input @photo.json --wait                 # a handler's answer, or its error and 3
  windlass submit --at-most-once --request-id invoice-4711 -- ./charge 4711    # may be typed again: it is one job

Every submit carries an id of its own, so one whose answer got lost is repeated without making a second job.";

pub(crate) const LIST: &str = "\
Examples:
  windlass job list --state failed --since 1h
  windlass job list --label team=ml --label gpu --group nightly
  windlass job list --since 2026-01-31T12:00:00Z --until 2026-01-31T13:00:00Z -o id";

pub(crate) const DEAD: &str = "\
Examples:
  windlass dead list --queue mail --since 1h
  windlass dead requeue --handler resize --since 1d   # once what failed them is mended
  windlass dead purge --all";

pub(crate) const RESULT: &str = "\
Examples:
  windlass job result @last | jq .
  windlass job result 0193a5b0 > photo.png

5: no such job, or its answer is no longer kept   8: it is no call, or has not succeeded";

pub(crate) const DRAIN: &str = "\
Examples:
  windlass agent drain host-7 --deadline 10m --reason 'new kernel' --wait && ssh host-7 reboot
  windlass agent uncordon host-7                         # also ends a drain that still goes on";

pub(crate) const WORD: &str = "\
Examples:
  windlass agent force-lost host-7 --reason 'burnt down'   # what it ran goes on elsewhere, also what would wait for it
  windlass job abandon @last --reason 'nobody needs it'    # this one job is over, whatever its agent still does

Only of agents out of touch (8: there is nothing unproven): one in touch is drained, its jobs are cancelled. Whoever says so must
know it: what still runs there is killed when the agent is back, and may overlap until then.";

pub(crate) const POOL: &str = "\
Examples:
  windlass pool list --agent host-7
  windlass pool get img                                  # the breaker, and the last words of the worker that opened it
  windlass pool reset img --agent host-7                 # after the repair
  windlass pool recycle img && windlass worker list img  # new workers, as each finishes its call";

pub(crate) const DEV: &str = "\
Examples:
  windlass dev                                           # what is submitted is there again at the next start
  windlass dev --data \"$(mktemp -d)\" --listen 127.0.0.1:0

Ctrl-C stops the agent first: running jobs have 5 s to finish, and begin again at the next start if they have not.";

pub(crate) const WATCH: &str = "\
Examples:
  windlass job watch                                     # everything, until Ctrl-C
  windlass job watch @last                               # until all of them are over
  windlass job watch --after 4711 -o jsonl               # go on where another watch ended";

pub(crate) const WORKER_CHECK: &str = "\
Examples:
  windlass worker check -- python3 worker.py
  windlass worker check --handler resize --input '{\"width\":80}' -- ./worker
  windlass worker check --slow-handler sleep --slow-input 60000 -- ./worker

1: it breaks a rule";

pub(crate) const INIT: &str = "\
Examples:
  windlass init --lang python resize
  windlass init --lang go

What it writes runs as it is, needs no package that is not there, and is yours to change.";

pub(crate) const WORKER_DEV: &str = "\
Examples:
  windlass worker dev -- python3 worker.py
  windlass worker dev --watch dist --listen 127.0.0.1:0 -- node dist/worker.js

Nothing is kept: what was submitted goes with it.";

pub(crate) const LIMIT: &str = "\
Examples:
  windlass limit set api.example --max 20 --rate 600/1m --burst 1
  windlass limit set 'tenant:*' --max 5             # five at a time for each tenant, not for all together
  windlass limit set licences --max 10              # a countable thing of the whole cluster: jobs say how many they take
  windlass limit cooldown api.example --for 5m --reason 'they asked for it'

Jobs name the keys they count against. What is set is taken from when a job is handed out, all of its keys at once.";

pub(crate) const QUEUE: &str = "\
Examples:
  windlass queue set bulk --max-running 20 --rate 600/1m     # at most twenty at a time, ten a second
  windlass queue set web --weight 5 --max-depth 10000        # five for each one of a queue of weight 1; refused when full
  windlass queue set etl --fairness-weight tenant-a=3        # three of tenant-a's for each one of any other key
  windlass queue set etl --unset max-running --unset rate";
