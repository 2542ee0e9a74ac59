# shellcheck shell=bash
# Sourced by the tests of this folder from the project's root: a coordinator and agents, started by hand in a room of their
# own, which goes with them; and a count of what held. Needs both programs built.

built=${CARGO_TARGET_DIR:-target}/debug
room=$(mktemp -d)

stop() { # pid; asks, waits up to 10 s, insists
  local pid=$1
  kill -TERM "$pid" 2>/dev/null || return 0
  for _ in $(seq 100); do
    kill -0 "$pid" 2>/dev/null || return 0
    sleep 0.1
  done
  kill -KILL "$pid" 2>/dev/null || true
}
leave() {
  local code=$? file
  # By name, agents come first, so that they can still take their leave.
  for file in "$room"/*.pid; do [ ! -e "$file" ] || stop "$(cat "$file")"; done
  if [ "$code" -ne 0 ]; then
    for file in "$room"/*.log; do printf -- '--- %s\n' "$file" && tail -n 30 "$file"; done >&2
  fi
  rm -rf "$room"
  exit "$code"
}
trap leave EXIT
trap 'exit 130' INT TERM

# Leaves `address` and `coordinator`, its pid. Called again, it starts one with the same record at the same address.
start_coordinator() { # flags
  : >"$room/said"
  "$built/windlass-coordinator" --listen "${address:-127.0.0.1:0}" --data "$room/c" "$@" >"$room/said" 2>>"$room/coordinator.log" &
  coordinator=$!
  echo "$coordinator" >"$room/coordinator.pid"
  for _ in $(seq 100); do
    grep -q . "$room/said" && break
    kill -0 "$coordinator" || exit 1
    sleep 0.05
  done
  address=$(sed -n '1s|^listening on http://||p' "$room/said")
  [ -n "$address" ] || { echo "the coordinator's first line is: $(head -n 1 "$room/said")" >&2 && exit 1; }
}

# Leaves `agent`, its pid.
start_agent() { # name, flags
  local name=$1
  shift
  # Keepers alone: whether control groups are ours to use depends on the machine, and the proof that is shown with it.
  "$built/windlass-worker-agent" --coordinator "http://$address" --data "$room/$name" --name "$name" --containment keeper "$@" \
    2>>"$room/agent-$name.log" &
  agent=$!
  echo "$agent" >"$room/agent-$name.pid"
}

passed=0 failed=0
result() { # sentence, 0 or 1, what came instead
  if [ "$2" -eq 0 ]; then
    passed=$((passed + 1)) && printf 'ok    %s\n' "$1"
  else
    failed=$((failed + 1)) && printf 'FAIL  %s\n%s\n' "$1" "$3"
  fi
}
all_held() {
  printf '\n%d passed, %d failed\n' "$passed" "$failed"
  [ "$passed" -gt 0 ] && [ "$failed" -eq 0 ]
}
