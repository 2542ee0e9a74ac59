#!/usr/bin/env bash
# What worker.sh says to scripted frames over real pipes. Needs bash 4 and jq.
set -euo pipefail
cd "$(dirname "$0")"

room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
failed=0
result() { # sentence, what is, what should be
  if [ "$2" = "$3" ]; then
    printf 'ok    %s\n' "$1"
  else
    failed=1
    printf 'FAIL  %s\n      %s\n      came in place of\n      %s\n' "$1" "$2" "$3"
  fi
}

# Leaves `said` (frames, one a line), `code`, and the log in $room/log. Standard input: frames.
worker() {
  code=0
  timeout 60 cat | timeout 60 "${worker:-./worker.sh}" 2>"$room/log" >"$room/out" || code=$?
  result "  (every line of standard output is a frame)" "$(grep -cv $'^\036{.*}$' "$room/out" || true)" 0
  said=$(tr -d '\036' <"$room/out" | tail -n +2)
}
job() { # id, handler, input, more
  printf '{"type":"job","id":%s,"handler":"%s","input":%s,"job_id":"j-%s","attempt":2,"fencing_token":"1152921504606846977"%s}\n' \
    "$1" "$2" "$3" "$1" "${4:-}"
}
text() { head -c "$1" /dev/zero | tr '\0' x; }

worker <<<'{"type":"welcome","protocol":1,"pool":"p","worker":"p-0"}'
result "hello names all handlers" "$(tr -d '\036' <"$room/out")" '{"type":"hello","protocol":1,"handlers":["words","sum","job"]}'
result "the end of input ends it well" "$code" 0

worker < <(job 1 words '"one two  thrée"' && job 2 sum '[1,2.5]' && job 3 job 'null' && echo '{"type":"bye"}' && job 4 sum '[]')
result "jobs are answered in order until bye, and a handler sees its job" "$said" \
  '{"type":"result","id":1,"value":3}
{"type":"result","id":2,"value":3.5}
{"type":"result","id":3,"value":{"id":"j-3","token":"1152921504606846977","input":null}}'
result "bye ends it well" "$code" 0

worker < <(echo '{"type":"new","id":9}' && echo '{"type":"cancel","id":1}' && echo '{"type":"ping","n":7}' && job 1 sum '[1]' ',"new":[1]')
result "a ping is answered, and what it does not know is ignored" "$said" '{"type":"pong","n":7}
{"type":"result","id":1,"value":1}'

worker < <(job 1 sum '7' && job 2 nobody '7' && job 3 sum '[2]' && job 4 sum null ',"input_base64":"AA=="')
result "a handler's failure and an unknown handler are errors" "$said" \
  '{"type":"error","id":1,"message":"sum ended with 65","code":"EXIT_65","retryable":false}
{"type":"error","id":2,"message":"no handler nobody here, only words sum job","code":"UNKNOWN_HANDLER","retryable":false}
{"type":"result","id":3,"value":2}
{"type":"error","id":4,"message":"sum takes JSON","code":"BAD_INPUT","retryable":false}'
result "what a handler complains of is in the log" "$(grep -c 'Cannot iterate over number' "$room/log")" 1

worker < <(job 1 words '"a"' && echo '{"type":"drain"}' && job 2 words '"a"')
result "drain ends it" "$said $code" '{"type":"result","id":1,"value":1}
{"type":"bye","reason":"drained"} 0'

worker < <(echo nonsense && job 1 words '"a"')
result "what is no frame ends it with a word" "$said$code $(grep -c 'no frame' "$room/log")" '1 1'

# Handlers that are worse than the example's.
sed "s/^handlers=.*/handlers=(prints steals two bad many)/" worker.sh >"$room/worker.sh"
sed -i '/^job() {/a\
prints() { echo "to the log" >&2; printf "\\036{\\"type\\":\\"result\\"}\\n" >\&2; ls /proc/self/fd >\&2; echo "\\"done\\""; }\
steals() { cat <\&3; cat >\&4; }\
two() { echo 1 2; }\
bad() { return 3; }\
many() { jq -c "\\"x\\" * ."; }' "$room/worker.sh"
chmod +x "$room/worker.sh"
worker=$room/worker.sh
worker < <(job 1 prints null && job 2 bad null && job 3 two null)
result "what a handler writes to standard error is the log, its status the error" "$said" \
  '{"type":"result","id":1,"value":"done"}
{"type":"error","id":2,"message":"bad ended with 3","code":"EXIT_3","retryable":true}
{"type":"error","id":3,"message":"two printed what is not one JSON value","code":"RESULT_NOT_JSON","retryable":false}'
result "and the log has it" "$(grep -c 'to the log' "$room/log")" 1
worker < <(job 1 steals null && job 2 prints null)
result "a handler cannot get at the agent's pipes" "$said" \
  '{"type":"error","id":1,"message":"steals ended with 1","code":"EXIT_1","retryable":true}
{"type":"result","id":2,"value":"done"}'
worker < <(job 1 many 262142 && job 2 many 262143 && job 3 prints "\"$(text 262142)\"")
result "a result at the limit passes" "$(head -n 1 <<<"$said" | jq '.value | length')" 262142
result "one byte more is an error that names it" "$(sed -n 2p <<<"$said" | jq -c '[.code, .retryable, .message]')" \
  '["RESULT_TOO_LARGE",false,"the result is 262145 bytes, the limit is 262144: store it elsewhere and return its address"]'
result "an input at the limit arrives" "$(sed -n 3p <<<"$said")" '{"type":"result","id":3,"value":"done"}'

exit "$failed"
