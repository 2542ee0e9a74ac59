#!/usr/bin/env bash
# The tests of every worker SDK under clients/, each with its language's own runner, against a scripted agent over real pipes. Needs
# Python 3.8, Go, Node 18 with npm, and jq; what is missing fails. No part of Windlass needs to be built.
# Arguments: names of folders of clients/, to run only these.
set -euo pipefail
cd "$(dirname "$0")/../../clients"
exec </dev/null

need() {
  for tool in "$@"; do
    command -v "$tool" >/dev/null || { echo "$tool is not installed" >&2 && exit 1; }
  done
}

python_sdk() {
  need python3
  cd python
  PYTHONDONTWRITEBYTECODE=1 python3 -W error -m unittest -v
  cd ..
}

go_sdk() {
  need go gofmt
  cd go
  unformatted=$(gofmt -l .)
  [ -z "$unformatted" ] || { echo "not as gofmt has it: $unformatted" >&2 && return 1; }
  GOTOOLCHAIN=local go vet ./...
  GOTOOLCHAIN=local GOOS=darwin go vet ./... # what is not compiled here
  GOTOOLCHAIN=local go test -count=1 -v ./... | grep -v '^=== '
  cd ..
}

node_sdk() {
  need node npm
  cd node
  ./build.sh
  npm test
  cd ..
}

sh_sdk() {
  need bash jq
  sh/test.sh
}

[ $# -gt 0 ] || set -- python go node sh
for sdk in "$@"; do
  printf '\n--- %s\n' "$sdk"
  "${sdk}_sdk"
done
