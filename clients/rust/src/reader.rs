//! The thread that reads: jobs to the desk, all else done at once, also while a handler runs.

use std::fs::File;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use crate::desk::{Desk, State, Waiting};
use crate::failure::Failure;
use crate::frame::{self, Head};
use crate::voice::Voice;

/// Bytes read at a time: what a pipe holds.
const READ_BYTES: usize = 64 << 10;
/// Time for the handler that runs to end when the agent is gone; then the process ends with it.
const ORPHANED_FOR: Duration = Duration::from_secs(5);

/// Reads until the agent has nothing more to say, then ends the process where a handler does not.
pub(crate) fn read(mut from: File, desk: &Arc<Desk>, voice: &Voice) {
    let (mut buffer, mut have) = (vec![0; READ_BYTES], 0);
    loop {
        if have == buffer.len() {
            buffer.resize(2 * have, 0);
        }
        let read = match from.read(&mut buffer[have..]) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        have += read;
        let Some(end) = buffer[..have].iter().rposition(|byte| *byte == b'\n') else { continue };
        take(&buffer[..end], desk, voice);
        buffer.copy_within(end + 1..have, 0);
        have -= end + 1;
    }
    let mut state = desk.lock();
    state.closed = true;
    // Nobody would take their answers.
    state.recall_all().for_each(drop);
    state.cancel_running();
    drop(state);
    desk.wake();
    end_with_whatever_runs();
}

/// The process ends when the handler has had its time: nobody is left to tell, and an agent may be starting anew.
#[allow(clippy::disallowed_methods)] // a thread of its own, in a program without a runtime; a handler that hangs is never returned from
fn end_with_whatever_runs() {
    std::thread::sleep(ORPHANED_FOR);
    std::process::exit(0);
}

fn take(lines: &[u8], desk: &Desk, voice: &Voice) {
    let mut state = desk.lock();
    for line in lines.split(|byte| *byte == b'\n') {
        if let Some(id) = frame::plain_job(line).filter(|_| !state.draining) {
            state.put(Waiting { id, line: line.to_vec() });
            continue;
        }
        // What cannot be read is newer than we are, and so is what we do not know.
        if let Ok(head) = serde_json::from_slice::<Head<'_>>(line) {
            obey(&head, line, &mut state, voice);
        }
    }
    drop(state);
    desk.wake();
}

fn obey(head: &Head<'_>, line: &[u8], state: &mut State, voice: &Voice) {
    let id = head.id;
    match &*head.kind {
        "job" | "validate" if state.draining => voice.say(|out| frame::word(out, "recalled", id)),
        "job" | "validate" => state.put(Waiting { id, line: line.to_vec() }),
        "recall" if state.recall(id) => voice.say(|out| frame::word(out, "recalled", id)),
        "cancel" if !state.cancel(id) && state.recall(id) => {
            voice.say(|out| frame::error(out, id, &Failure::new("cancelled").code("cancelled")));
        }
        "ping" => voice.say(|out| frame::pong(out, head.n)),
        "drain" => {
            state.draining = true;
            let back: Vec<u64> = state.recall_all().collect();
            voice.say(|out| back.iter().for_each(|id| frame::word(out, "recalled", *id)));
        }
        "bye" => state.closed = true,
        _ => {}
    }
}
