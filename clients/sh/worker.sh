#!/usr/bin/env bash
# A worker in a shell, for what is programs already: needs bash 4 and jq 1.6. Copy it, and write handlers of your own.
#
# A handler is a function. It reads its input from standard input, as JSON, and writes its result, as JSON, to standard output. What it
# writes to standard error is the job's log. A status that is not 0 fails the job: 65 (EX_DATAERR) for good, any other as often as the
# submitter's retry policy has it.
set -uo pipefail

handlers=(words sum job)

words() { jq -r . | wc -w; }
sum() { jq add || return 65; }
job() { jq -c --arg id "$WINDLASS_JOB_ID" --arg token "$WINDLASS_FENCING_TOKEN" '{$id, $token, input: .}'; }

# ---- the protocol: docs/worker-protocol.md ---------------------------------------------------------------------------

# The agent moves to 3 and 4, which handlers do not get: no program can read its frames or answer in our place.
exec 3<&0 4>&1 </dev/null >&2
RESULT_BYTES_MAX=262144

say() { printf '\036%s\n' "$1" >&4; } # a frame

fail() { # id, message, code, whether trying again can help
  say "$(jq -nc --argjson id "$1" --arg message "$2" --arg code "$3" --argjson retryable "$4" \
    '{type: "error", $id, $message, $code, $retryable}')"
}

answer() { # id, handler, frame
  local id=$1 handler=$2 frame=$3 input out value size status=0
  if [[ " ${handlers[*]} " != *" $handler "* ]]; then
    fail "$id" "no handler $handler here, only ${handlers[*]}" UNKNOWN_HANDLER false
    return
  fi
  if ! input=$(jq -c 'if has("input_base64") then error("it is no JSON") else .input end' <<<"$frame"); then
    fail "$id" "$handler takes JSON" BAD_INPUT false
    return
  fi
  out=$("$handler" 3<&- 4>&- <<<"$input") || status=$?
  if [ "$status" -ne 0 ]; then
    fail "$id" "$handler ended with $status" "EXIT_$status" "$([ "$status" -eq 65 ] && echo false || echo true)"
  elif ! value=$(jq -sc 'if length == 1 then .[0] else error("not one value") end' <<<"$out"); then
    fail "$id" "$handler printed what is not one JSON value" RESULT_NOT_JSON false
  elif size=$(printf %s "$value" | wc -c) && [ "$size" -gt "$RESULT_BYTES_MAX" ]; then
    fail "$id" "the result is $size bytes, the limit is $RESULT_BYTES_MAX: store it elsewhere and return its address" RESULT_TOO_LARGE false
  else
    say "{\"type\":\"result\",\"id\":$id,\"value\":$value}"
  fi
}

# No features: one frame at a time, and a job is stopped by a signal to the whole process tree.
say "$(jq -nc '{type: "hello", protocol: 1, handlers: $ARGS.positional}' --args "${handlers[@]}")"
while IFS= read -r frame <&3; do
  # Fields that a message lacks are "-": two tabs in a row would be read as one.
  IFS=$'\t' read -r type id handler WINDLASS_JOB_ID WINDLASS_ATTEMPT WINDLASS_FENCING_TOKEN TRACEPARENT < <(
    jq -r '[.type, .id, .handler, .job_id, .attempt, .fencing_token, .traceparent] | map(. // "-") | @tsv' <<<"$frame"
  ) || { echo "worker.sh: the agent sent what is no frame" && exit 1; }
  export WINDLASS_JOB_ID WINDLASS_ATTEMPT WINDLASS_FENCING_TOKEN TRACEPARENT
  case $type in
  job) answer "$id" "$handler" "$frame" ;;
  ping) say "$(jq -c '{type: "pong", n}' <<<"$frame")" ;;
  drain) say '{"type":"bye","reason":"drained"}' && exit 0 ;;
  bye) exit 0 ;;
  esac
done
