#!/bin/sh
# Runs the fuzz target for so many seconds (60) with the stable compiler: coverage is asked of LLVM by hand, as cargo-fuzz does.
set -eu
cd "$(dirname "$0")"
RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
  -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 --cfg fuzzing" \
  cargo build --release --target "$(rustc -vV | sed -n 's/^host: //p')" --target-dir ../../target/fuzz
mkdir -p ../../target/fuzz/corpus
exec "../../target/fuzz/$(rustc -vV | sed -n 's/^host: //p')/release/frames" -max_total_time="${1:-60}" -max_len=4096 ../../target/fuzz/corpus seeds
