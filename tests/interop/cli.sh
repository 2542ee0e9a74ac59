#!/usr/bin/env bash
# Drives a coordinator and an agent, started by hand, with the command as an operator would: what each verb prints, and what its exit
# code says. Needs all three programs built, and python3 for the agent's pool.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/interop/cluster.sh
. tests/interop/cluster.sh

printf '[[pool]]\nname = "demo"\ncommand = ["python3", "-u", "%s"]\n' "$PWD/cli/src/demo/worker.py" >"$room/agent.toml"
start_coordinator
start_agent a1 --slots 3 --config "$room/agent.toml"
export WINDLASS_ADDRESS=$address XDG_STATE_HOME=$room/state

# Leaves `out`, `err` and `code`.
windlass() {
  code=0
  "$built/windlass" "$@" >"$room/out" 2>"$room/err" </dev/null || code=$?
  out=$(cat "$room/out") err=$(cat "$room/err")
}
# The sentence holds where the code is that, and output (or, where it is empty, what is said beside it) matches.
says() { # sentence, code, extended regular expression, arguments of windlass
  local sentence=$1 wanted=$2 pattern=$3 wrong=0
  shift 3
  windlass "$@"
  { [ "$code" -eq "$wanted" ] && grep -Eq -- "$pattern" <<<"${out:-$err}"; } || wrong=1
  result "$sentence" "$wrong" "      windlass $* ended with $code, not $wanted, or lacks /$pattern/: $out $err"
}
until_says() { # expression, arguments of windlass
  local pattern=$1
  shift
  for _ in $(seq 200); do
    windlass "$@"
    ! grep -Eq -- "$pattern" <<<"$out" || return 0
    sleep 0.05
  done
}

until_says 'demo 0/1: ' agent list

# ---- handlers --------------------------------------------------------------------------------------------------------

says "a handler's answer is printed" 0 '^"HELLO"$' submit --handler upper --input '"hello"' --wait
says "an answer is printed byte for byte" 0 '^"HELLO"$' job result @last
result "with nothing after it" "$([ "$(wc -c <"$room/out")" -eq 7 ] && echo 0 || echo 1)" "      $(od -c "$room/out")"
echo '"from a file"' >"$room/input"
says "input comes from a file as well" 0 '^"FROM A FILE"$' submit --handler upper --input "@$room/input" --wait
says "a handler's error is told, with 3" 3 'fail: handler error: out of paper' submit --handler fail --input '"out of paper"' --wait
result "and nothing goes to standard output" "$([ -z "$out" ] && echo 0 || echo 1)" "      $out"
says "a job that failed has no answer: 8" 8 . job result @last
says "nor has an unknown one: 5" 5 . job result 0193a5b0-7c3e-7f00-8000-0123456789ab
says "a wait may end first: 124" 124 'not over yet' submit --handler sleep --input 60 --wait --wait-timeout 300ms
says "what runs has no answer yet: 8" 8 . job result @last
says "it can be cancelled" 0 'CANCELL' job cancel @last
says "which is 4 to whoever waits" 4 CANCELLED wait @last
says "an input that is no JSON is told with how to quote it" 2 'both kinds of quotes' submit --handler upper --input hello
says "a handler that nobody offers is waited for" 124 'not over yet' submit --handler nobody --wait --wait-timeout 300ms
says "and the job says so" 0 '^waits for .*nobody' job get @last
says "it can be cancelled too" 0 CANCELL job cancel @last

# ---- lists -----------------------------------------------------------------------------------------------------------

windlass submit --label team=ml --group night -o id -- true
mine=$out
says "a label finds it" 0 "^$mine\$" job list -o id --label team=ml
says "a key alone as well" 0 "^$mine\$" job list -o id --label team
says "a group" 0 "^$mine\$" job list -o id --group night
says "since a while ago" 0 "$mine" job list -o id --since 1h
windlass job list -o id --until 1h
result "but not before" "$([ "$code$out" = 0 ] && echo 0 || echo 1)" "      $code $out"
windlass job list -o id --label team=web
result "nor under another label" "$([ "$code$out" = 0 ] && echo 0 || echo 1)" "      $code $out"

# ---- dead letters ----------------------------------------------------------------------------------------------------

windlass submit --queue d --dead-letter -- false
windlass wait @last
windlass dead list -o id --queue d
dead=$out
says "a dead letter is listed" 0 "^$dead\$" dead list -o id --queue d
says "and begins again" 0 "^$dead\$" dead requeue --queue d
windlass wait "$dead"
says "in another generation" 0 '"generation": 2' job get "$dead" -o json
says "as any finished job does" 0 . job requeue "$dead"
windlass wait "$dead"
says "what to purge must be said: 2" 2 'all' dead purge
says "then it is gone" 0 '^1 purged$' dead purge --queue d
says "which is told: 5" 5 . job get "$dead"
says "a rule decides by the exit code" 0 . submit --retry-policy '{"rules":[{"match":{"exitCodes":[{"first":1}]},"action":"ACTION_FAIL"}]}' -- false
windlass wait @last
says "and is shown with the attempt" 0 'rule 1: exit 1 -> FAIL' job get @last -o json
says "one that is none is told: 2" 2 'retry-policy' submit --retry-policy '{"rules":7}' -- true

# ---- queues ----------------------------------------------------------------------------------------------------------

windlass submit --queue q -- true
windlass wait @last
says "a queue is paused" 0 '^q +PAUSED' queue pause q --reason why
says "and is shown so" 0 '"paused": true' queue get q -o json
windlass submit --queue q -- true
says "its jobs wait" 124 QUEUED wait @last --timeout 300ms
says "and say for what" 0 '^waits for .*paused' job get @last
says "the list counts them" 0 '^q +PAUSED +1 +0$' queue list
says "resumed, it hands out" 0 '^q +ACTIVE' queue resume q
says "and they run" 0 SUCCEEDED wait @last

# ---- pools and workers -----------------------------------------------------------------------------------------------

says "pools are shown as their agents answer" 0 '^a1 +demo +[A-Z]+ +OK ' pool list
says "for programs too" 0 '"health": "HEALTH_OK"' pool list --agent a1 -o json
says "one in full" 0 '^handlers +.*upper' pool get demo
says "one that no agent has is told: 5" 5 'windlass pool list' pool get nobody
says "workers are listed by their ids" 0 '^demo-0$' worker list demo -o id
says "one is shown" 0 '^demo-0 +(IDLE|STARTING) ' worker get demo-0
says "one that is not there is told: 5" 5 'worker' worker get demo-7
says "a name that is none is told: 2" 2 'no worker' worker get demo
says "a size must be said: 2" 2 'min' pool scale demo

says "what happened is counted" 0 '^windlass_jobs_finished_total +outcome=failed +[1-9]' counters
says "of an agent too, by the reason its workers ended" 0 '^windlass_agent_worker_starts_total +agent=[^ ]+ pool=demo +[1-9]' counters --agent a1
says "and what it counts of itself" 0 '^windlass_agent_spawns_total +agent=[^ ]+ +[1-9]' counters --agent a1
says "by direction" 0 '^windlass_agent_ipc_frames_total +agent=[^ ]+ direction=in +[1-9]' counters --agent a1

# ---- agents ----------------------------------------------------------------------------------------------------------

windlass agent list -o id
id=$out
says "an agent goes by its name" 0 "^id +$id\$" agent get a1
says "and by the beginning of its id" 0 '^agent +a1$' agent get "${id:0:8}"
says "one that is not there is told: 5" 5 'windlass agent list' agent get a2
says "it is cordoned, with the reason on record" 0 ' CORDONED ' agent cordon a1 --reason 'bad disk'
says "which the sheet shows" 0 '^reason +bad disk$' agent get a1
says "and uncordoned" 0 ' ACTIVE ' agent uncordon "$id"
windlass submit -- sleep 60
until_says RUNNING job get @last
says "a drain stops what runs at its deadline" 0 ' DRAINED ' agent drain a1 --deadline 500ms --reason 'new kernel' --wait
result "and says what it waited for" "$(grep -q 'a1 still holds 1 job, which may run until' <<<"$err" && echo 0 || echo 1)" "      $err"
says "what ran waits for a host again, at no cost" 0 'counted +1 interrupted' job get @last
says "uncordoned, the agent takes work" 0 ' ACTIVE ' agent uncordon a1
until_says RUNNING job get @last
says "and the job begins again" 0 '^2 +RUNNING' job get @last
says "of an agent in touch nobody has to say that it is lost: 8" 8 'windlass agent drain' agent force-lost a1
says "nor of its jobs: 8" 8 'job cancel' job abandon @last
windlass job cancel @last

all_held
