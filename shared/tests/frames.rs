//! The fuzz target without a fuzzer: the function that libFuzzer is given, over the same seeds and over what is made of them here, the
//! same in every run. A search that is led by coverage, and as long as one likes, is `shared/fuzz/run.sh`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails there")]

#[path = "../fuzz/frames.rs"]
mod frames;

use std::panic::catch_unwind;
use std::path::Path;

/// Inputs made of each seed: about a second for all of them in a debug build.
const CHANGED_EACH: u64 = 2_000;
/// Inputs made of nothing: most of the short ones that there are.
const MADE_UP: u64 = 5_000;
/// What means something to the reader, so that most of it is nearly a frame.
const ALPHABET: &[u8] = b"\x1e\x1e{{}}\n\n\"a\xff";
/// Changes of a seed, at most: with more of them it is noise.
const CHANGES_MAX: usize = 6;

/// Numbers that look random; equal seeds, equal numbers (Knuth's MMIX).
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound.max(1)
    }

    fn letter(&mut self) -> u8 {
        ALPHABET[self.below(ALPHABET.len())]
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    let mut paths: Vec<_> = seeds.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// Cut, repeated, spoilt, and with what means something put in.
fn changed(seed: &[u8], draw: &mut Draw) -> Vec<u8> {
    let mut input = seed.to_vec();
    for _ in 0..=draw.below(CHANGES_MAX) {
        let (from, len) = (draw.below(input.len()), draw.below(16));
        let to = (from + len).min(input.len());
        match draw.below(6) {
            0 => input.truncate(from),
            1 => drop(input.drain(from..to)),
            2 => input.extend_from_within(from..to),
            3 => input.insert(from, draw.letter()),
            4 if !input.is_empty() => input[from] = draw.letter(),
            5 if !input.is_empty() => input[from] ^= 1 << draw.below(8),
            _ => {}
        }
    }
    input
}

fn made_up(draw: &mut Draw) -> Vec<u8> {
    let step = u8::try_from(draw.below(64)).unwrap();
    std::iter::once(step).chain((0..draw.below(60)).map(|_| ALPHABET[draw.below(ALPHABET.len())])).collect()
}

fn holds(input: &[u8]) {
    // The input is all that is needed to see it again: put it among the seeds.
    assert!(catch_unwind(|| frames::check(input)).is_ok(), "it does not hold of b\"{}\"", input.escape_ascii());
}

#[test]
fn whatever_a_worker_writes_comes_apart_the_same_wherever_the_reads_end() {
    let seeds = seeds();
    assert!(seeds.len() >= 10, "the seeds are not where they are looked for");
    let mut draw = Draw(0x9e37_79b9_7f4a_7c15);
    for seed in &seeds {
        holds(seed);
        (0..CHANGED_EACH).for_each(|_| holds(&changed(seed, &mut draw)));
    }
    (0..MADE_UP).for_each(|_| holds(&made_up(&mut draw)));
}
