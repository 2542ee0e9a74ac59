#!/usr/bin/env bash
# Drives a coordinator and an agent, started by hand, from Python with the code its own gRPC tools make of proto/. Needs both
# programs built, and Python 3.8 with venv and pip; installs the rest under target/ci.
# Arguments: names of parts of python_client, to run only these.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/interop/cluster.sh
. tests/interop/cluster.sh

venv=target/ci/python
if ! cmp -s tests/interop/requirements.txt "$venv/installed"; then
  rm -rf "$venv"
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r tests/interop/requirements.txt
  cp tests/interop/requirements.txt "$venv/installed"
fi

# Only our own part of the contract: google/rpc comes with googleapis-common-protos, and a second copy would clash with it.
mkdir "$room/generated"
"$venv/bin/python" -m grpc_tools.protoc -I proto --python_out="$room/generated" --grpc_python_out="$room/generated" \
  proto/windlass/v1/*.proto

"$venv/bin/python" tests/interop/demo_worker.py

cat >"$room/agent.toml" <<EOF
[[pool]]
name = "demo"
command = ["python3", "-u", "$PWD/cli/src/demo/worker.py"]
max = 1
EOF
start_coordinator --jobs-live-max 100
start_agent a1 --slots 3 --config "$room/agent.toml"
PYTHONPATH=$room/generated "$venv/bin/python" tests/interop/python_client "$address" "$built/windlass-coordinator" "$room" "$@"
