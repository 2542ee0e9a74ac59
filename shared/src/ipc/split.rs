//! Frames and log bytes out of what a worker wrote to its standard output.

use bytes::{Buf, Bytes, BytesMut};

use super::FRAME_BYTES_MAX;

/// Begins a frame: Record Separator, then an object. Neither occurs in text by itself, and JSON holds no RS unescaped.
const RS: u8 = 0x1e;

/// A part of what was written, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// The JSON of one frame.
    Frame(Bytes),
    /// Anything else: what a job prints.
    Log(Bytes),
}

/// A frame is longer than [`FRAME_BYTES_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frame is longer than {FRAME_BYTES_MAX} bytes")]
pub struct TooLong;

/// Takes bytes as they are read, whatever their borders, and gives pieces.
#[derive(Debug, Default)]
pub struct Splitter {
    buffer: BytesMut,
    /// Bytes at the front that were searched already.
    searched: usize,
}

impl Splitter {
    /// Where to read into.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The next piece, None where more must be read first.
    ///
    /// A frame begins wherever RS and `{` follow each other, so that half a line printed before it, without its end, takes no
    /// answer with it. RS before anything else is part of what was printed.
    ///
    /// # Errors
    /// A frame without an end. What follows cannot be told apart any more.
    pub fn take(&mut self) -> Result<Option<Piece>, TooLong> {
        match begins(&self.buffer) {
            Begin::Frame => self.frame(),
            Begin::Unknown => Ok(None),
            Begin::Log => Ok(Some(self.log())),
        }
    }

    /// What is left when nothing more will come: half a frame is no frame.
    pub fn rest(&mut self) -> Option<Bytes> {
        self.searched = 0;
        (!self.buffer.is_empty()).then(|| self.buffer.split().freeze())
    }

    fn frame(&mut self) -> Result<Option<Piece>, TooLong> {
        let Some(at) = find(&self.buffer[self.searched..], |byte| byte == b'\n') else {
            self.searched = self.buffer.len();
            return if self.searched > FRAME_BYTES_MAX { Err(TooLong) } else { Ok(None) };
        };
        let end = self.searched + at;
        self.searched = 0;
        if end > FRAME_BYTES_MAX {
            return Err(TooLong);
        }
        let mut frame = self.buffer.split_to(end + 1).freeze();
        frame.advance(1);
        frame.truncate(end - 1);
        Ok(Some(Piece::Frame(frame)))
    }

    fn log(&mut self) -> Piece {
        let mut end = 1;
        // Up to where a frame may begin; what is no frame after all follows as a piece of its own.
        while let Some(at) = find(&self.buffer[end..], |byte| byte == RS) {
            end += at;
            if !matches!(begins(&self.buffer[end..]), Begin::Log) {
                return Piece::Log(self.buffer.split_to(end).freeze());
            }
            end += 1;
        }
        Piece::Log(self.buffer.split().freeze())
    }
}

enum Begin {
    Frame,
    Log,
    /// Nothing, or an RS that nothing follows yet.
    Unknown,
}

fn begins(bytes: &[u8]) -> Begin {
    match bytes {
        [] | [RS] => Begin::Unknown,
        [RS, b'{', ..] => Begin::Frame,
        _ => Begin::Log,
    }
}

fn find(bytes: &[u8], is: impl Fn(u8) -> bool) -> Option<usize> {
    bytes.iter().position(|byte| is(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pieces of `bytes`, read in parts of `step`; logs that follow each other joined.
    fn pieces(bytes: &[u8], step: usize) -> Result<Vec<Piece>, TooLong> {
        let (mut splitter, mut pieces) = (Splitter::default(), Vec::<Piece>::new());
        let mut add = |piece| match (pieces.last_mut(), piece) {
            (Some(Piece::Log(last)), Piece::Log(more)) => *last = [&last[..], &more[..]].concat().into(),
            (_, piece) => pieces.push(piece),
        };
        for part in bytes.chunks(step) {
            splitter.buffer().extend_from_slice(part);
            while let Some(piece) = splitter.take()? {
                add(piece);
            }
        }
        if let Some(rest) = splitter.rest() {
            add(Piece::Log(rest));
        }
        Ok(pieces)
    }

    fn log(text: &'static str) -> Piece {
        Piece::Log(Bytes::from_static(text.as_bytes()))
    }

    fn frame(text: &'static str) -> Piece {
        Piece::Frame(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn frames_and_prints_come_apart_wherever_the_reads_end() {
        let written = b"hi\n\x1e{\"a\":1}\n{\"type\":\"result\"}\nhalf\x1e{\"b\":2}\n\x1e{}\n";
        let expected =
            [log("hi\n"), frame("{\"a\":1}"), log("{\"type\":\"result\"}\nhalf"), frame("{\"b\":2}"), frame("{}")];
        for step in 1..=written.len() {
            assert_eq!(pieces(written, step).unwrap(), expected, "in steps of {step}");
        }
    }

    #[test]
    fn a_separator_that_begins_no_object_is_printed_text_and_half_a_frame_at_the_end_is_too() {
        for step in [1, 3, 100] {
            assert_eq!(pieces(b"\x1e\x1e[1]\nx\x1e", step).unwrap(), [log("\x1e\x1e[1]\nx\x1e")]);
            assert_eq!(pieces(b"\x1e{}\n\x1e{\"a\"", step).unwrap(), [frame("{}"), log("\x1e{\"a\"")]);
        }
    }

    #[test]
    fn a_frame_of_the_limit_passes_and_one_byte_more_does_not_with_or_without_an_end() {
        let of = |bytes: usize| [&b"\x1e{"[..], &vec![b'x'; bytes - 2]].concat();
        assert_eq!(pieces(&[&of(FRAME_BYTES_MAX)[..], b"\n"].concat(), 4_096).unwrap().len(), 1);
        assert_eq!(pieces(&[&of(FRAME_BYTES_MAX + 1)[..], b"\n"].concat(), 4 << 20), Err(TooLong));
        assert_eq!(pieces(&of(FRAME_BYTES_MAX + 1), 4_096), Err(TooLong));
        // A line that is no frame has no limit: it is a log.
        assert_eq!(pieces(&vec![b'x'; 3 << 20], 65_536).unwrap().len(), 1);
    }
}
