//! libFuzzer's own search: `cargo fuzz run frames`, or without cargo-fuzz and on stable `shared/fuzz/run.sh`.
#![no_main]

#[path = "../frames.rs"]
mod frames;

libfuzzer_sys::fuzz_target!(|input: &[u8]| frames::check(input));
