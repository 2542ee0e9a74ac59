#!/usr/bin/env bash
# Every worker SDK under clients/ against the worker protocol (`windlass worker check`), and then through a running cluster: one
# scenario after another, the same for each. Needs all three programs and the Rust SDK's example built, Python 3.8, Go, Node 18 with npm, and jq.
# Arguments: names of folders of clients/, to run only these.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/interop/cluster.sh
. tests/interop/cluster.sh

# Leaves `worker`, the command of a worker on this SDK.
build() {
  case $1 in
  rust) worker=("$PWD/$built/examples/demo") ;;
  python) worker=(env "PYTHONPATH=$PWD/clients/python/src" PYTHONDONTWRITEBYTECODE=1 python3 "$PWD/tests/interop/scenarios/worker.py") ;;
  go)
    (cd tests/interop/scenarios/go && GOTOOLCHAIN=local go build -o "$room/go-worker" .)
    worker=("$room/go-worker")
    ;;
  node)
    clients/node/build.sh
    worker=("$PWD/clients/node/bin/windlass-node" "$PWD/tests/interop/scenarios/worker.js")
    ;;
  *) echo "no worker is known for $1" >&2 && exit 1 ;;
  esac
}

# What `windlass init` writes is built, and held against the protocol. Leaves `begun`, its command.
begin() {
  local home=$room/init-$1
  "$built/windlass" init --lang "$1" "$home" >"$room/advice"
  case $1 in
  rust)
    # What this project has fetched will do: the skeleton's dependencies are some of its own.
    CARGO_TARGET_DIR=$PWD/${CARGO_TARGET_DIR:-target}/init cargo build --offline --quiet --manifest-path "$home/Cargo.toml"
    begun=("$PWD/${CARGO_TARGET_DIR:-target}/init/debug/hello-worker")
    ;;
  python) begun=(env PYTHONDONTWRITEBYTECODE=1 python3 "$home/worker.py") ;;
  node)
    ln -s "$PWD/clients/node/node_modules" "$home/node_modules" # what `npm install` would fetch
    (cd "$home" && node_modules/.bin/tsc)
    begun=(sh "$home/windlass-worker/windlass-node" "$home/dist/worker.js")
    ;;
  go) (cd "$home" && GOTOOLCHAIN=local go build -o worker .) && begun=("$home/worker") ;;
  esac
}

start_coordinator
export WINDLASS_ADDRESS=$address XDG_STATE_HOME=$room/state
[ $# -gt 0 ] || set -- rust python go node
for sdk in "$@"; do
  printf '\n--- %s\n' "$sdk"
  build "$sdk"
  checked=0
  "$built/windlass" worker check --handler echo --input '{"a":1}' --slow-handler sleep --slow-input 60000 -- "${worker[@]}" || checked=1
  result "$sdk: keeps to the worker protocol" "$checked" ""
  begin "$sdk"
  said=$("${begun[@]}" --once hello '{"name":"Ada"}' | tr -d ' ') || said="ended with $?"
  result "$sdk: what init writes runs" "$([ "$said" = '{"hello":"Ada"}' ] && echo 0 || echo 1)" "      $said"
  checked=0
  "$built/windlass" worker check --input '{"name":"Ada"}' -- "${begun[@]}" >"$room/checked" || checked=1
  result "$sdk: and keeps to the protocol" "$checked" "$(cat "$room/checked")"
  {
    printf '[[pool]]\nname = "sdk"\nmax = 1\ncommand = ['
    printf '"%s", ' "${worker[@]}"
    printf ']\n'
  } >"$room/$sdk.toml"
  start_agent "$sdk" --slots 2 --config "$room/$sdk.toml"
  went=0
  python3 tests/interop/scenarios.py "$built/windlass" "$sdk" || went=1
  result "$sdk: every scenario" "$went" ""
done
# A worker under change: what is saved is what answers next.
"$built/windlass" init --lang python "$room/dev" >"$room/advice"
(cd "$room/dev" && exec env PYTHONDONTWRITEBYTECODE=1 "$OLDPWD/$built/windlass" worker dev --listen 127.0.0.1:0 -- python3 worker.py) \
  >"$room/dev.out" 2>"$room/dev.log" &
echo $! >"$room/dev.pid"
greets() { # what it says at last
  local said
  for _ in $(seq 300); do
    url=$(sed -n 's/^  export WINDLASS_ADDRESS=//p' "$room/dev.out")
    if [ -n "$url" ]; then
      said=$(WINDLASS_ADDRESS=$url "$built/windlass" submit --handler hello --input '{"name":"Ada"}' --wait --wait-timeout 10s 2>&1) || true
      [ "$said" != "$1" ] || return 0
    fi
    sleep 0.1
  done
  echo "$said"
  return 1
}
went=0
said=$(greets '{"hello":"Ada"}') || went=1
result "worker dev: a worker serves" "$went" "      $said"
sed -i 's/"hello": input/"servus": input/' "$room/dev/worker.py"
went=0
said=$(greets '{"servus":"Ada"}') || went=1
result "worker dev: what is saved is what answers" "$went" "      $said"
sed -i '1i this is no Python' "$room/dev/worker.py"
for _ in $(seq 300); do
  ! grep -q 'SyntaxError' "$room/dev.log" || break
  sleep 0.1
done
result "worker dev: why it does not start is shown" "$(grep -q 'SyntaxError' "$room/dev.log" && echo 0 || echo 1)" ''
sed -i 1d "$room/dev/worker.py"
went=0
said=$(greets '{"servus":"Ada"}') || went=1
result "worker dev: one that did not start is tried again when it changes" "$went" "      $said"

# The shell's example is no SDK: it has handlers of its own, is held against the protocol alone, and is what init writes.
"$built/windlass" init --lang sh "$room/init-sh" >"$room/advice"
result "sh: init writes it" "$(cmp -s "$room/init-sh/worker.sh" clients/sh/worker.sh && echo 0 || echo 1)" ""
checked=0
"$built/windlass" worker check --handler words --input '"a b"' -- clients/sh/worker.sh || checked=1
result "sh: keeps to the worker protocol" "$checked" ""
said=$("$built/windlass" worker check --handler nobody -- clients/sh/worker.sh 2>&1) && went=0 || went=$?
result "worker check: a handler that is not there is wrong usage" "$([ "$went" = 2 ] && grep -q 'no handler "nobody"' <<<"$said" && echo 0 || echo 1)" "      $went: $said"
all_held
