//! What a worker writes, read: whatever it is and wherever the reads end, the same pieces come out, no byte of a log is lost, and
//! nothing panics. Tried on inputs that libFuzzer makes up (`fuzz_targets/frames.rs`), and in every `cargo test` on a bounded
//! number of others (`shared/tests/frames.rs`).

use windlass_shared::ipc::{Piece, Splitter, read};

/// Takes an input apart: its first byte says in how large pieces the rest is read. It panics where something does not hold.
pub(crate) fn check(input: &[u8]) {
    let Some((step, written)) = input.split_first() else { return };
    let whole = pieces([written].into_iter());
    assert_eq!(whole, pieces(written.chunks(usize::from(*step).max(1))));
    let bytes = |pieces: &Vec<(bool, Vec<u8>)>| -> usize {
        // Of a frame, the separator and the line's end are not in it.
        pieces.iter().map(|(is_frame, bytes)| bytes.len() + if *is_frame { 2 } else { 0 }).sum()
    };
    assert!(whole.as_ref().is_none_or(|pieces| bytes(pieces) == written.len()));
    for (_, frame) in whole.into_iter().flatten().filter(|(is_frame, _)| *is_frame) {
        let _ = read(&frame);
    }
}

/// Frames and logs, logs that follow each other joined; None: a frame without an end.
fn pieces<'a>(parts: impl Iterator<Item = &'a [u8]>) -> Option<Vec<(bool, Vec<u8>)>> {
    let (mut splitter, mut pieces) = (Splitter::default(), Vec::<(bool, Vec<u8>)>::new());
    let mut add = |is_frame: bool, bytes: &[u8]| match pieces.last_mut() {
        Some((false, log)) if !is_frame => log.extend_from_slice(bytes),
        _ => pieces.push((is_frame, bytes.to_vec())),
    };
    for part in parts {
        splitter.buffer().extend_from_slice(part);
        while let Some(piece) = splitter.take().ok()? {
            match piece {
                Piece::Frame(frame) => add(true, &frame),
                Piece::Log(log) => add(false, &log),
            }
        }
    }
    if let Some(rest) = splitter.rest() {
        add(false, &rest);
    }
    Some(pieces)
}
