#!/usr/bin/env bash
# Takes the tour of the README, with the programs of target/debug. Needs them built, and Python 3.8 alone.
set -euo pipefail
cd "$(dirname "$0")/../.."
exec python3 tests/interop/tour.py README.md "${CARGO_TARGET_DIR:-target}/debug"
