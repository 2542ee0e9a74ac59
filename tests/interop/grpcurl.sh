#!/usr/bin/env bash
# Drives a coordinator and an agent, started by hand, from another language's gRPC stack: grpcurl, which knows the contract
# only through reflection. Needs both programs built, grpcurl on the PATH, and Python for reading JSON.
set -euo pipefail
cd "$(dirname "$0")/../.."

# shellcheck source=tests/interop/cluster.sh
. tests/interop/cluster.sh

# ---- a call, and what is said about its answer -----------------------------------------------------------------------

# Leaves `code` (gRPC's number) and $room/answer: messages, or the status where the call was refused.
call() { # method, request
  code=0
  grpcurl -plaintext -emit-defaults -format-error -max-time "${max_time:-20}" -d "$2" "$address" "$1" \
    >"$room/answer" 2>"$room/refusal" || code=$(($? - 64))
  [ "$code" -eq 0 ] || cat "$room/refusal" >>"$room/answer"
}

# The sentence holds where the Python expression does. It sees the answer as `a`, all messages of a stream as `all`, the
# status code as `code`, details of a status by type as `details`, and further arguments as `x`.
expect() { # sentence, expression, arguments
  local sentence=$1 expression=$2 said
  shift 2
  if said=$(python3 - "$expression" "$code" "$room/answer" "$@" <<'PYTHON' 2>&1
import base64, json, sys
expression, code, path, *x = sys.argv[1:]
code, text, all = int(code), open(path).read().strip(), []
decoder = json.JSONDecoder()
text = text.removeprefix("ERROR:").strip()
while text:
    message, end = decoder.raw_decode(text)
    all.append(message)
    text = text[end:].strip().removeprefix("ERROR:").strip()
a = all[0] if all else None
details = {d["@type"].split(".")[-1]: d for d in (a or {}).get("details", [])} if code else {}
bytes_of = lambda chunks: b"".join(base64.b64decode(c["data"]) for c in chunks)
fields = [v["field"] for v in details.get("BadRequest", {}).get("fieldViolations", [])]
if not eval(expression):
    sys.exit(f"      {expression}\n      code {code}: {json.dumps(all)[:2000]}")
PYTHON
  ); then result "$sentence" 0 ''; else result "$sentence" 1 "$said"; fi
}

value() { # expression over the answer
  python3 -c 'import json, sys; a = json.load(open(sys.argv[2])); print(eval(sys.argv[1]))' "$1" "$room/answer"
}

# Asks again until the expression holds, for what takes its time by nature.
until_so() { # expression, method, request
  for _ in $(seq 200); do
    call "$2" "$3"
    [ "$code" -ne 0 ] || [ "$(value "$1")" != True ] || return 0
    sleep 0.05
  done
  return 1
}

submit() { # spec; leaves `job`
  call windlass.v1.JobService/SubmitJob "{\"spec\": $1}"
  job=$(value 'a["job"]["id"]' || echo none)
}
wait_for() { call windlass.v1.JobService/WaitJob "{\"job_id\": \"$1\", \"timeout\": \"15s\"}"; }
unknown=0193a5b0-7c3e-7f00-8000-0123456789ab

# ---- by hand ---------------------------------------------------------------------------------------------------------

start_coordinator
start_agent a1 --slots 2

# ---- reflection and health -------------------------------------------------------------------------------------------

code=0
grpcurl -plaintext "$address" list | python3 -c 'import json, sys; print(json.dumps(sys.stdin.read().split()))' >"$room/answer"
expect "reflection lists every service" \
  'set(x) <= set(a)' windlass.v1.{Job,Fleet,Queue,Limit,Agent}Service grpc.health.v1.Health grpc.reflection.v1.ServerReflection
grpcurl -plaintext "$address" describe windlass.v1.SubmitJobRequest |
  python3 -c 'import json, sys; print(json.dumps(sys.stdin.read()))' >"$room/answer"
expect "reflection shows the spec as written, not as bytes" '".windlass.v1.JobSpec spec = 1" in a'
for service in '' windlass.v1.JobService windlass.v1.FleetService windlass.v1.QueueService windlass.v1.LimitService windlass.v1.AgentService; do
  call grpc.health.v1.Health/Check "{\"service\": \"$service\"}"
  expect "health of \"$service\" is SERVING" 'a["status"] == "SERVING"'
done
call grpc.health.v1.Health/Check '{"service": "no.such.Service"}'
expect "health of an unknown service is NOT_FOUND" 'code == 5'

# ---- the agent -------------------------------------------------------------------------------------------------------

until_so 'any(g["state"] == "STATE_CONNECTED" for g in a["agents"])' windlass.v1.FleetService/ListAgents '{}' || true
expect "the agent is there with its slots" \
  '[(g["name"], g["state"], g["scheduling"], g["slots"]) for g in a["agents"]] == [("a1", "STATE_CONNECTED", "SCHEDULING_ACTIVE", 2)]'
[ "$failed" -eq 0 ] || { echo "without an agent there is nothing to drive" >&2 && exit 1; }
agent_id=$(value 'a["agents"][0]["id"]')
call windlass.v1.FleetService/GetAgent "{\"agent_id\": \"$agent_id\"}"
expect "the agent can be asked for by id" 'a["agent"]["id"] == x[0]' "$agent_id"

# ---- a job's whole way -----------------------------------------------------------------------------------------------

submit '{"exec": {"argv": ["echo", "hello"]}, "labels": {"made-by": "grpcurl"}}'
hello=$job
expect "a submit answers with a job on record" 'a["job"]["state"] in ("STATE_QUEUED", "STATE_LEASED", "STATE_RUNNING", "STATE_SUCCEEDED")'
wait_for "$hello"
expect "a wait ends when the job does" 'a["done"] and a["job"]["state"] == "STATE_SUCCEEDED"'
call windlass.v1.JobService/GetJob "{\"job_id\": \"$hello\"}"
expect "the spec comes back as it was sent" \
  'a["job"]["spec"]["exec"]["argv"] == ["echo", "hello"] and a["job"]["spec"]["labels"] == {"made-by": "grpcurl"}'
expect "the attempt names its agent, its end and the proof of it" \
  '[(t["number"], t["state"], t["agentName"], t["exit"]["code"], t["exit"]["proof"]) for t in a["job"]["attempts"]] == [(1, "STATE_SUCCEEDED", "a1", 0, "PROOF_KEEPER")]'
expect "the attempt says how much it wrote" 'a["job"]["attempts"][0]["stdoutBytes"] == "6"'
logs="{\"job_id\": \"$hello\", \"stream\": \"STREAM_STDOUT\"}"
until_so 'a["complete"]' windlass.v1.JobService/ReadJobLogs "$logs" || true
expect "its output can be read to the end" 'a["complete"] and bytes_of(a["chunks"]) == b"hello\n" and a["nextOffset"] == "6"'
call windlass.v1.JobService/ReadJobLogs "{\"job_id\": \"$hello\", \"stream\": \"STREAM_STDOUT\", \"offset\": 2, \"max_bytes\": 3}"
expect "a piece of it can be read by offset" 'bytes_of(a["chunks"]) == b"llo" and a["nextOffset"] == "5" and not a["complete"]'
call windlass.v1.JobService/TailJobLogs "{\"job_id\": \"$hello\"}"
expect "following a finished job's output ends by itself" 'code == 0 and all[0]["attempt"] == 1 and all[-1]["complete"] and b"hello\n" in bytes_of(c for m in all for c in m.get("chunks", []))'

submit "{\"exec\": {\"argv\": [\"cat\"], \"stdin\": \"$(printf 'fed\0in' | base64)\"}}"
wait_for "$job"
until_so 'a["complete"]' windlass.v1.JobService/ReadJobLogs "{\"job_id\": \"$job\", \"stream\": \"STREAM_STDOUT\"}" || true
expect "standard input arrives byte for byte" 'bytes_of(a["chunks"]) == b"fed\0in"'

# shellcheck disable=SC2016 # the job's shell expands them, not this one
submit '{"exec": {"argv": ["sh", "-c", "echo \"$GREETING in $PWD as attempt $WINDLASS_ATTEMPT\""], "env": {"GREETING": "hi"}, "cwd": "/"}}'
wait_for "$job"
until_so 'a["complete"]' windlass.v1.JobService/ReadJobLogs "{\"job_id\": \"$job\", \"stream\": \"STREAM_STDOUT\"}" || true
expect "environment and working directory are the job's" 'bytes_of(a["chunks"]) == b"hi in / as attempt 1\n"'

# ---- other ends ------------------------------------------------------------------------------------------------------

submit '{"exec": {"argv": ["sh", "-c", "echo oops >&2; exit 7"]}}'
wait_for "$job"
expect "a failure carries its exit code" \
  'a["job"]["state"] == "STATE_FAILED" and a["job"]["reason"] == "REASON_EXIT_CODE" and a["job"]["attempts"][0]["exit"]["code"] == 7'
submit '{"exec": {"argv": ["/no/such/program"]}}'
wait_for "$job"
expect "a program that is not there is told with stage and errno" \
  'a["job"]["reason"] == "REASON_SPAWN_FAILED" and a["job"]["attempts"][0]["spawnFailure"] == {"stage": "exec", "errno": 2}'
submit '{"exec": {"argv": ["sh", "-c", "kill -9 $$"]}}'
wait_for "$job"
expect "a signal is told as one" 'a["job"]["reason"] == "REASON_SIGNAL" and a["job"]["attempts"][0]["exit"]["signal"] == 9'
submit '{"exec": {"argv": ["sleep", "60"]}, "run_timeout": "0.3s"}'
wait_for "$job"
expect "a run timeout ends the attempt TIMED_OUT" \
  'a["job"]["state"] == "STATE_FAILED" and (a["job"]["attempts"][0]["state"], a["job"]["attempts"][0]["reason"]) == ("STATE_TIMED_OUT", "REASON_RUN_TIMEOUT")'
submit '{"exec": {"argv": ["false"]}, "retry": {"preset": "PRESET_AGGRESSIVE", "max_attempts": 3}}'
wait_for "$job"
expect "a retry policy gives exactly its attempts" 'a["job"]["failures"] == 3 and [t["number"] for t in a["job"]["attempts"]] == [1, 2, 3]'

submit '{"exec": {"argv": ["sleep", "60"]}}'
sleeper=$job
until_so 'a["job"]["state"] == "STATE_RUNNING"' windlass.v1.JobService/GetJob "{\"job_id\": \"$sleeper\"}" || true
expect "a started job is RUNNING" 'a["job"]["state"] == "STATE_RUNNING"'
call windlass.v1.JobService/WaitJob "{\"job_id\": \"$sleeper\", \"timeout\": \"0.2s\"}"
expect "a wait may end first" 'code == 0 and not a["done"]'
call windlass.v1.JobService/CancelJob "{\"job_id\": \"$sleeper\", \"reason\": \"enough\"}"
expect "a cancel is on record when it is answered" 'a["job"]["cancelRequested"] and a["job"]["state"] in ("STATE_CANCELLING", "STATE_CANCELLED")'
wait_for "$sleeper"
expect "a cancelled job ends CANCELLED, by SIGTERM, proven" \
  'a["job"]["state"] == "STATE_CANCELLED" and (a["job"]["attempts"][0]["exit"]["signal"], a["job"]["attempts"][0]["exit"]["proof"]) == (15, "PROOF_KEEPER")'
revision=$(value 'a["job"]["revision"]')
call windlass.v1.JobService/CancelJob "{\"job_id\": \"$sleeper\"}"
expect "cancelling it again changes nothing" 'code == 0 and a["job"]["revision"] == x[0]' "$revision"

# ---- queues ----------------------------------------------------------------------------------------------------------

call windlass.v1.QueueService/GetQueue '{"queue": "bulk"}'
expect "a queue nobody has used is empty" \
  'a["queue"] == {"name": "bulk", "paused": False, "queued": "0", "running": "0", "reason": "", "queuedBytes": "0", "settings": None}'
call windlass.v1.QueueService/PauseQueue '{"queue": "bulk", "reason": "too much"}'
expect "a queue can be paused before its first job" 'a["queue"]["paused"] and a["queue"]["reason"] == "too much"'
submit '{"exec": {"argv": ["true"]}, "queue": "bulk", "labels": {"held": "yes"}, "group": "g1"}'
held=$job
call windlass.v1.JobService/GetJob "{\"job_id\": \"$held\"}"
expect "its job waits, and says for what" \
  '(a["job"]["state"], a["job"]["waitingFor"]) == ("STATE_QUEUED", "queue bulk is paused: too much")'
call windlass.v1.QueueService/ListQueues '{}'
expect "queues are listed by name with what waits in them" \
  '[(q["name"], q["queued"]) for q in a["queues"]] == [("bulk", "1"), ("default", "0")]'
call windlass.v1.JobService/ExplainJob "{\"job_id\": \"$held\"}"
expect "why a job waits is counted agent by agent" 'a["waitingFor"] == "queue bulk is paused: too much" and "agents" in a'
call windlass.v1.JobService/UpdateJob "{\"job_id\": \"$held\", \"priority\": 7}"
expect "a job that waits gets another priority" 'a["job"]["priority"] == 7'
call windlass.v1.QueueService/PurgeQueue '{"queue": "empty"}'
expect "a queue with nothing in it is purged of nothing" 'a.get("purged", "0") == "0"'
call windlass.v1.QueueService/ResumeQueue '{"queue": "bulk"}'
expect "a queue can be resumed" 'not a["queue"]["paused"]'
wait_for "$held"
expect "and its job runs" 'a["job"]["state"] == "STATE_SUCCEEDED"'

call windlass.v1.QueueService/UpdateQueue '{"queue": "bulk", "settings": {"max_running": 3}, "update_mask": {"paths": ["max_running"]}}'
expect "a queue can be given settings" '(a["queue"]["settings"]["maxRunning"], a["queue"]["settings"]["weight"]) == (3, 1)'
call windlass.v1.QueueService/UpdateQueue '{"queue": "bulk", "update_mask": {"paths": ["max_running"]}}'
expect "and they can be taken back" 'a["queue"]["settings"] is None'

# ---- limits ----------------------------------------------------------------------------------------------------------

call windlass.v1.LimitService/SetLimit '{"key": "tenant:*", "max_units": 5, "rate": {"cost": 10, "period": "60s"}}'
expect "a limit can be set for all keys that begin alike" \
  '(a["limit"]["setAt"], a["limit"]["maxUnits"], a["limit"]["rate"]) == ("tenant:*", 5, {"cost": 10, "period": "60s", "burst": 10})'
call windlass.v1.LimitService/GetLimit '{"key": "tenant:7"}'
expect "and holds for each of them" '(a["limit"]["setAt"], a["limit"]["unitsInUse"]) == ("tenant:*", "0")'
call windlass.v1.LimitService/SetCooldown '{"key": "api", "duration": "60s", "reason": "429"}'
expect "a key can be let cool down" 'a["limit"]["cooldown"]["reason"] == "429"'
call windlass.v1.LimitService/ListLimits '{}'
expect "limits are listed by key" '[one["key"] for one in a["limits"]] == ["api", "tenant:*"]'
call windlass.v1.LimitService/ClearCooldown '{"key": "api"}'
expect "a cooldown can be ended" 'a["limit"]["cooldown"] is None'
call windlass.v1.LimitService/DeleteLimit '{"key": "tenant:*"}'
expect "a limit can be taken back" 'a["limit"].get("maxUnits") is None and a["limit"]["setAt"] == ""'

# ---- pools and counters ----------------------------------------------------------------------------------------------

call windlass.v1.PoolService/ListPools '{}'
expect "the agents' pools are listed, as they answer" 'not any(one.get("error") for one in a["agents"])'
call windlass.v1.FleetService/GetCounters '{}'
expect "what happened is counted" \
  'any(c["name"] == "windlass_jobs_submitted_total" and int(c["value"]) > 0 for c in a["counters"])'
call windlass.v1.FleetService/GetCounters "{\"agent_id\": \"$agent_id\"}"
expect "of an agent too, by itself" \
  'any(c["name"] == "windlass_agent_spawns_total" and "agent" in c["labels"] and int(c["value"]) > 0 for c in a["counters"])'

# ---- an agent out of service -----------------------------------------------------------------------------------------

call windlass.v1.FleetService/CordonAgent "{\"agent_id\": \"$agent_id\", \"reason\": \"new disk\"}"
expect "a cordoned agent is shown as such" '(a["agent"]["scheduling"], a["agent"]["reason"]) == ("SCHEDULING_CORDONED", "new disk")'
submit '{"exec": {"argv": ["true"]}}'
call windlass.v1.JobService/GetJob "{\"job_id\": \"$job\"}"
expect "it gets nothing new" 'a["job"]["waitingFor"] == "every agent with slots is cordoned or draining"'
call windlass.v1.FleetService/UncordonAgent "{\"agent_id\": \"$agent_id\"}"
expect "uncordoned, it is active" '(a["agent"]["scheduling"], a["agent"]["reason"]) == ("SCHEDULING_ACTIVE", "")'
wait_for "$job"
expect "and gets what waited" 'a["job"]["state"] == "STATE_SUCCEEDED"'

submit '{"exec": {"argv": ["sleep", "1"]}}'
until_so 'a["job"]["state"] == "STATE_RUNNING"' windlass.v1.JobService/GetJob "{\"job_id\": \"$job\"}" || true
call windlass.v1.FleetService/DrainAgent "{\"agent_id\": \"$agent_id\", \"deadline\": \"0s\"}"
expect "a draining agent is shown with its deadline" 'a["agent"]["scheduling"] == "SCHEDULING_DRAINING" and a["agent"]["drainTime"]'
until_so 'a["agent"]["scheduling"] == "SCHEDULING_DRAINED"' windlass.v1.FleetService/GetAgent "{\"agent_id\": \"$agent_id\"}" || true
expect "it is drained once it holds nothing" 'a["agent"]["scheduling"] == "SCHEDULING_DRAINED" and a["agent"]["held"] == 0'
call windlass.v1.FleetService/UncordonAgent "{\"agent_id\": \"$agent_id\"}"
wait_for "$job"
expect "what it ran was interrupted, for free, and ran again" \
  '([t["state"] for t in a["job"]["attempts"]], a["job"]["interruptions"], a["job"]["failures"]) == (["STATE_INTERRUPTED", "STATE_SUCCEEDED"], 1, 0)'

# ---- many ------------------------------------------------------------------------------------------------------------

call windlass.v1.JobService/BatchSubmitJobs '{"requests": [{"spec": {"exec": {"argv": ["true"]}}}, {"spec": {"exec": {}}}, {"spec": {"exec": {"argv": ["true"]}, "queue": "other"}}]}'
expect "in a batch a bad item harms no other" \
  '[("jobId" in r, r.get("error", {}).get("code")) for r in a["results"]] == [(True, None), (False, 3), (True, None)]'
expect "and is told with its place in the batch" '"requests[1].spec.exec.argv" in json.dumps(a["results"][1])'
other=$(value 'a["results"][2]["jobId"]')
wait_for "$other"

call windlass.v1.JobService/ListJobs '{"page_size": 1000}'
cp "$room/answer" "$room/whole"
expect "one page holds them all, newest first" \
  'a["nextPageToken"] == "" and [j["id"] for j in a["jobs"]] == sorted((j["id"] for j in a["jobs"]), reverse=True) and x[0] in [j["id"] for j in a["jobs"]]' "$hello"
token='' ids=''
for _ in $(seq 50); do
  call windlass.v1.JobService/ListJobs "{\"page_size\": 3, \"page_token\": \"$token\"}"
  [ "$code" -eq 0 ] || break
  ids="$ids $(value '" ".join(j["id"] for j in a["jobs"])')"
  token=$(value 'a["nextPageToken"]')
  [ -n "$token" ] || break
  first_token=${first_token:-$token}
done
# shellcheck disable=SC2086 # one argument each
expect "pages of three give the same jobs in the same order" \
  'x == [j["id"] for j in json.load(open("'"$room"'/whole"))["jobs"]]' $ids
call windlass.v1.JobService/ListJobs '{"queue": "other"}'
expect "a list can be of one queue" '[j["id"] for j in a["jobs"]] == x' "$other"
call windlass.v1.JobService/ListJobs '{"states": ["STATE_CANCELLED"]}'
expect "a list can be of one state" '[j["id"] for j in a["jobs"]] == x' "$sleeper"
call windlass.v1.JobService/ListJobs "{\"id_prefix\": \"$hello\"}"
expect "a list can be by the beginning of an id" '[j["id"] for j in a["jobs"]] == x' "$hello"
call windlass.v1.JobService/ListJobs '{"labels": {"made-by": "grpcurl"}}'
expect "by a label" '[j["id"] for j in a["jobs"]] == x' "$hello"
call windlass.v1.JobService/ListJobs '{"labels": {"held": ""}, "group": "g1"}'
expect "by group, and by a label whatever its value" '[j["id"] for j in a["jobs"]] == x' "$held"
call windlass.v1.JobService/ListJobs '{"created_before": "2001-01-01T00:00:00Z"}'
expect "and by time" 'a["jobs"] == []'

call windlass.v1.JobService/ListJobEvents "{\"job_ids\": [\"$hello\"], \"page_size\": 1000}"
expect "the changes of a job can be read back in order" \
  '[e["state"] for e in a["events"]] == ["STATE_QUEUED", "STATE_LEASED", "STATE_RUNNING", "STATE_SUCCEEDED"]'
expect "revisions only grow" '(r := [int(e["revision"]) for e in a["events"]]) == sorted(set(r)) and int(a["revision"]) >= r[-1]'
max_time=1 call windlass.v1.JobService/WatchJobs "{\"job_ids\": [\"$hello\"], \"after_revision\": 0}"
expect "watching from the same revision shows the same, until the caller's deadline" \
  'code == 4 and [e["state"] for m in all for e in m.get("events", [])] == ["STATE_QUEUED", "STATE_LEASED", "STATE_RUNNING", "STATE_SUCCEEDED"]'

# ---- refusals --------------------------------------------------------------------------------------------------------

refused() { # sentence, code, expression, method, request
  call "windlass.v1.$4" "$5"
  expect "$1" "code == $2 and ($3) and details['ErrorInfo']['domain'] == 'windlass.dev'"
}
refused "an unknown job is NOT_FOUND" 5 'details["ErrorInfo"]["reason"] == "JOB_NOT_FOUND"' \
  JobService/GetJob "{\"job_id\": \"$unknown\"}"
refused "so it is to whoever waits" 5 True JobService/WaitJob "{\"job_id\": \"$unknown\"}"
refused "cancels" 5 True JobService/CancelJob "{\"job_id\": \"$unknown\"}"
refused "reads" 5 True JobService/ReadJobLogs "{\"job_id\": \"$unknown\", \"stream\": \"STREAM_STDOUT\"}"
refused "or follows" 5 True JobService/TailJobLogs "{\"job_id\": \"$unknown\"}"
refused "an unknown agent is NOT_FOUND" 5 True FleetService/GetAgent "{\"agent_id\": \"$unknown\"}"
refused "a bad id is told by field" 3 'fields == ["job_id"]' JobService/GetJob '{"job_id": "nonsense"}'
refused "so is a missing one" 3 'fields == ["job_id"]' JobService/CancelJob '{}'
refused "so is a bad agent id" 3 'fields == ["agent_id"]' FleetService/GetAgent '{"agent_id": "nonsense"}'
refused "a submit without a spec" 3 'fields == ["spec"]' JobService/SubmitJob '{}'
refused "a spec without work" 3 'fields == ["spec.work"]' JobService/SubmitJob '{"spec": {"queue": "q"}}'
refused "an empty argv" 3 'fields == ["spec.exec.argv"]' JobService/SubmitJob '{"spec": {"exec": {}}}'
refused "a NUL in argv" 3 'fields == ["spec.exec.argv[1]"]' JobService/SubmitJob '{"spec": {"exec": {"argv": ["a", "b\u0000c"]}}}'
refused "a NUL in a variable" 3 'fields == ["spec.exec.env[A]"]' \
  JobService/SubmitJob '{"spec": {"exec": {"argv": ["a"], "env": {"A": "\u0000"}}}}'
refused "a variable's name with =" 3 'fields == ["spec.exec.env[A=B]"]' \
  JobService/SubmitJob '{"spec": {"exec": {"argv": ["a"], "env": {"A=B": "c"}}}}'
refused "a relative working directory" 3 'fields == ["spec.exec.cwd"]' \
  JobService/SubmitJob '{"spec": {"exec": {"argv": ["a"], "cwd": "b"}}}'
refused "a priority out of range" 3 'fields == ["spec.priority"]' \
  JobService/SubmitJob '{"spec": {"exec": {"argv": ["a"]}, "priority": 101}}'
refused "an unknown preset" 3 'fields == ["spec.retry.preset"]' \
  JobService/SubmitJob '{"spec": {"exec": {"argv": ["a"]}, "retry": {"preset": 99}}}'
refused "a negative timeout" 3 'fields == ["spec.run_timeout"]' \
  JobService/SubmitJob '{"spec": {"exec": {"argv": ["a"]}, "run_timeout": "-1s"}}'
refused "a signal that is none" 3 'fields == ["spec.stop_signal"]' \
  JobService/SubmitJob '{"spec": {"exec": {"argv": ["a"]}, "stop_signal": 64}}'
refused "every wrong field at once" 3 'set(fields) == {"spec.exec.argv", "spec.priority", "spec.queue"}' \
  JobService/SubmitJob '{"spec": {"exec": {}, "priority": -101, "queue": "a b"}}'
refused "an empty batch" 3 'fields == ["requests"]' JobService/BatchSubmitJobs '{}'
refused "a negative wait" 3 'fields == ["timeout"]' JobService/WaitJob "{\"job_id\": \"$hello\", \"timeout\": \"-1s\"}"
refused "a wait past the limit" 3 'fields == ["timeout"]' JobService/WaitJob "{\"job_id\": \"$hello\", \"timeout\": \"61s\"}"
refused "a negative page" 3 'fields == ["page_size"]' JobService/ListJobs '{"page_size": -1}'
refused "a token that is none" 3 'fields == ["page_token"]' JobService/ListJobs '{"page_token": "nonsense"}'
refused "a token of another filter" 3 'fields == ["page_token"]' \
  JobService/ListJobs "{\"page_size\": 3, \"queue\": \"other\", \"page_token\": \"${first_token:-}\"}"
refused "an unknown state" 3 'fields == ["states[0]"]' JobService/ListJobs '{"states": [99]}'
refused "a log without a stream" 3 'fields == ["stream"]' JobService/ReadJobLogs "{\"job_id\": \"$hello\"}"
refused "an attempt that never was" 5 True JobService/ReadJobLogs "{\"job_id\": \"$hello\", \"attempt\": 9, \"stream\": \"STREAM_STDOUT\"}"
refused "an id to watch that is none" 3 'fields == ["job_ids[0]"]' JobService/WatchJobs '{"job_ids": ["nonsense"]}'
refused "a request id that is too long" 3 'fields == ["request_id"]' \
  JobService/SubmitJob '{"spec": {"exec": {"argv": ["a"]}}, "request_id": "0123456789012345678901234567890123456"}'
refused "a command has no result" 9 'details["ErrorInfo"]["reason"] == "JOB_HAS_NO_RESULT"' \
  JobService/GetJobResult "{\"job_id\": \"$hello\"}"
refused "nor has an unknown job" 5 True JobService/GetJobResult "{\"job_id\": \"$unknown\"}"
refused "a call without a handler" 3 'fields == ["spec.call.handler"]' JobService/SubmitJob '{"spec": {"call": {}}}'
refused "a queue without a name" 3 'fields == ["queue"]' QueueService/GetQueue '{}'
refused "a pause of one whose name is none" 3 'fields == ["queue"]' QueueService/PauseQueue '{"queue": "a b"}'
refused "a resume of none" 3 'fields == ["queue"]' QueueService/ResumeQueue '{}'
refused "a queue of no weight" 3 'fields == ["settings.weight"]' \
  QueueService/UpdateQueue '{"queue": "a", "settings": {"weight": 0}}'
refused "a limit of nothing" 3 'fields == ["max_units"]' LimitService/SetLimit '{"key": "a"}'
refused "a rate that is no number" 3 'fields == ["rate.cost"]' \
  LimitService/SetLimit '{"key": "a", "rate": {"cost": "NaN"}}'
refused "a cooldown of all keys that begin alike" 3 'fields == ["key"]' \
  LimitService/SetCooldown '{"key": "a*", "duration": "1s"}'
refused "a negative page of queues" 3 'fields == ["page_size"]' QueueService/ListQueues '{"page_size": -1}'
refused "a cordon of an unknown agent" 5 'details["ErrorInfo"]["reason"] == "AGENT_NOT_FOUND"' \
  FleetService/CordonAgent "{\"agent_id\": \"$unknown\"}"
refused "a pool that is not there" 5 'details["ErrorInfo"]["reason"] == "POOL_NOT_FOUND"' \
  PoolService/GetPool "{\"agent_id\": \"$agent_id\", \"pool\": \"nobody\"}"
refused "of an agent in touch nobody has to say that it is lost" 9 'details["ErrorInfo"]["reason"] == "AGENT_IN_TOUCH"' \
  FleetService/ForceLostAgent "{\"agent_id\": \"$agent_id\"}"
refused "nor is there anything to abandon of a job that is over" 9 'details["ErrorInfo"]["reason"] == "NOTHING_UNPROVEN"' \
  JobService/AbandonJob "{\"job_id\": \"$hello\"}"
refused "an uncordon of one" 5 True FleetService/UncordonAgent "{\"agent_id\": \"$unknown\"}"
refused "a drain of one" 5 True FleetService/DrainAgent "{\"agent_id\": \"$unknown\"}"
refused "a drain into the past" 3 'fields == ["deadline"]' FleetService/DrainAgent "{\"agent_id\": \"$agent_id\", \"deadline\": \"-1s\"}"

call windlass.v1.JobService/ListJobs '{"page_size": 1000}'
expect "no refusal left a job behind" 'len(a["jobs"]) == len(json.load(open("'"$room"'/whole"))["jobs"])'

# ---- repeats ---------------------------------------------------------------------------------------------------------

call windlass.v1.JobService/SubmitJob '{"spec": {"exec": {"argv": ["true"]}}, "request_id": "r-1"}'
once=$(value 'a["job"]["id"]')
call windlass.v1.JobService/SubmitJob '{"spec": {"exec": {"argv": ["true"]}}, "request_id": "r-1"}'
expect "a submit repeated under its request id makes one job" 'a["job"]["id"] == x[0]' "$once"
refused "the same id with another spec is refused, naming the job" 6 'details["ErrorInfo"]["reason"] == "REQUEST_ID_TAKEN"' \
  JobService/SubmitJob '{"spec": {"exec": {"argv": ["false"]}}, "request_id": "r-1"}'

# ---- a coordinator that dies -----------------------------------------------------------------------------------------

call windlass.v1.QueueService/PauseQueue '{"queue": "later"}'
call windlass.v1.JobService/ListJobEvents '{"page_size": 1000}'
cp "$room/answer" "$room/events"
kill -9 "$coordinator"
wait "$coordinator" || true
start_coordinator
call windlass.v1.JobService/ListJobs '{"page_size": 1000}'
expect "knows every job after kill -9" 'len(a["jobs"]) == 1 + len(json.load(open("'"$room"'/whole"))["jobs"])'
call windlass.v1.JobService/ListJobEvents '{"page_size": 1000}'
expect "and every change" 'a["events"][:len(json.load(open("'"$room"'/events"))["events"])] == json.load(open("'"$room"'/events"))["events"]'
call windlass.v1.JobService/SubmitJob '{"spec": {"exec": {"argv": ["true"]}}, "request_id": "r-1"}'
expect "and what was submitted under which request id" 'a["job"]["id"] == x[0]' "$once"
call windlass.v1.QueueService/GetQueue '{"queue": "later"}'
expect "and what was paused" 'a["queue"]["paused"]'
until_so 'a.get("agents", [{}])[0].get("state") == "STATE_CONNECTED"' windlass.v1.FleetService/ListAgents '{}'
expect "and its agent is back" 'a["agents"][0]["state"] == "STATE_CONNECTED"'

# ---- leaving ---------------------------------------------------------------------------------------------------------

ends() { # sentence, pid
  local ended=0
  stop "$2"
  wait "$2" || ended=$?
  result "$1" "$ended" "      it ended with $ended"
}
ends "an agent asked to leave ends with 0" "$agent"
call windlass.v1.FleetService/GetAgent "{\"agent_id\": \"$agent_id\"}"
expect "and the coordinator knows that it left" 'a["agent"]["state"] == "STATE_GONE"'
ends "a coordinator asked to leave ends with 0" "$coordinator"

all_held
