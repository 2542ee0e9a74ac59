//! The two tapes of one attempt.

use bytes::{Bytes, BytesMut};
use windlass_shared::domain::{LogChunk, LogStream};

use super::Offsets;
use super::options::Bounds;
use super::tape::Tape;

#[derive(Debug, Default)]
pub(super) struct Reel {
    tapes: [Tape; 2],
    /// Whether a stream stands in the line of those with something to ship.
    queued: [bool; 2],
    /// Nothing more comes.
    closed: bool,
    /// Nobody wants it: the attempt's lease is stale.
    unwanted: bool,
    /// Bytes were dropped.
    lossy: bool,
}

impl Reel {
    /// Takes what was read; whether the stream is to be put into the line.
    pub(super) fn append(&mut self, stream: LogStream, read: &mut BytesMut, bounds: &Bounds) -> Append {
        if self.unwanted {
            read.clear();
            return Append::default();
        }
        let (kept, let_go) = self.tape(stream).append(read, bounds);
        let lost = let_go + self.trim(bounds);
        let first_loss = (lost > 0 || !kept) && !std::mem::replace(&mut self.lossy, true);
        if !kept {
            return Append { queue: false, first_loss, lost };
        }
        Append { queue: !std::mem::replace(&mut self.queued[index(stream)], true), first_loss, lost }
    }

    // The fuller of the two pays, so that a flood on one does not cost the other its lines.
    fn trim(&mut self, bounds: &Bounds) -> u64 {
        let [out, err] = &mut self.tapes;
        let over = (out.kept() + err.kept()).saturating_sub(bounds.spool);
        let fuller = if out.kept() >= err.kept() { out } else { err };
        if over == 0 { 0 } else { fuller.trim(fuller.kept().saturating_sub(over), bounds.head) }
    }

    /// The next bytes of a stream in the line, and whether it stays there.
    pub(super) fn next(&mut self, stream: LogStream, bytes_max: usize) -> (Option<(u64, Bytes)>, bool) {
        let next = self.tape(stream).next(bytes_max);
        let more = self.tape(stream).has_unsent();
        self.queued[index(stream)] = more;
        (next, more)
    }

    /// What is newest of each stream that is past its front.
    pub(super) fn newest(&mut self, bytes_max: usize) -> impl Iterator<Item = LogChunk> {
        let streams = [LogStream::Stdout, LogStream::Stderr];
        let newest = streams.into_iter().zip(&mut self.tapes);
        newest.filter_map(move |(stream, tape)| {
            let (offset, data) = tape.newest(bytes_max)?;
            Some(LogChunk { stream, offset, data })
        })
    }

    /// Whether a stream is past its front, and may go on.
    pub(super) fn is_past_front(&self) -> bool {
        self.tapes.iter().any(Tape::is_past_front)
    }

    pub(super) fn ack(&mut self, stream: LogStream, offset: u64) -> usize {
        self.tape(stream).ack(offset)
    }

    /// A new stream to the coordinator; which of the two must stand in the line for it.
    pub(super) fn rewind(&mut self) -> impl Iterator<Item = LogStream> + use<> {
        self.tapes.iter_mut().for_each(Tape::rewind);
        self.queued = [false, false];
        self.line_up()
    }

    /// Those that have something to ship and do not stand in the line: they do now.
    fn line_up(&mut self) -> impl Iterator<Item = LogStream> + use<> {
        let waits = [self.tapes[0].has_unsent(), self.tapes[1].has_unsent()];
        let before = std::mem::replace(&mut self.queued, waits);
        let fresh = [waits[0] && !before[0], waits[1] && !before[1]];
        [LogStream::Stdout, LogStream::Stderr].into_iter().filter(move |stream| fresh[index(*stream)])
    }

    /// Nobody wants what is here or comes; how many bytes were under way.
    pub(super) fn discard(&mut self) -> usize {
        let flying = self.tapes.iter().map(Tape::flying).sum();
        *self = Self { closed: self.closed, unwanted: true, ..Self::default() };
        flying
    }

    /// Nothing more comes; which of the two must stand in the line for what was held back until now, and how many bytes were dropped
    /// of that.
    pub(super) fn close(&mut self, bounds: &Bounds) -> (impl Iterator<Item = LogStream> + use<>, u64) {
        self.closed = true;
        let lost = self.tapes.iter_mut().map(|tape| tape.close(bounds)).sum();
        (self.line_up(), lost)
    }

    /// Whether nothing is left to do for it.
    pub(super) fn is_done(&self) -> bool {
        self.closed && self.tapes.iter().all(Tape::is_empty)
    }

    /// How far the coordinator has each stream.
    pub(super) fn acked(&self) -> Offsets {
        Offsets { stdout: self.tapes[0].acked(), stderr: self.tapes[1].acked() }
    }

    pub(super) fn kept(&self) -> usize {
        self.tapes.iter().map(Tape::kept).sum()
    }

    fn tape(&mut self, stream: LogStream) -> &mut Tape {
        &mut self.tapes[index(stream)]
    }
}

/// What an append leads to.
#[derive(Debug, Default)]
pub(super) struct Append {
    /// The stream has something to ship and does not stand in the line.
    pub(super) queue: bool,
    /// The attempt writes more than will be kept, for the first time.
    pub(super) first_loss: bool,
    /// Bytes dropped for it, and to be handed out no more.
    pub(super) lost: u64,
}

fn index(stream: LogStream) -> usize {
    match stream {
        LogStream::Stdout => 0,
        LogStream::Stderr => 1,
    }
}
