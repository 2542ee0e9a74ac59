//! Pieces of logs.

use super::sessions::{lease, lease_to_wire};
use crate::domain::{Lease, LogChunk, LogStream, PushedLog, PushedLogs};
use crate::fault::Invalid;
use crate::pb;

/// The stream of a number.
///
/// # Errors
/// Where it is unset or unknown.
pub fn log_stream(field: &str, number: i32) -> Result<LogStream, Invalid> {
    match pb::log_chunk::Stream::try_from(number) {
        Ok(pb::log_chunk::Stream::Stdout) => Ok(LogStream::Stdout),
        Ok(pb::log_chunk::Stream::Stderr) => Ok(LogStream::Stderr),
        Ok(pb::log_chunk::Stream::Unspecified) | Err(_) => {
            Err(Invalid::one(field, "must be STREAM_STDOUT or STREAM_STDERR"))
        }
    }
}

fn stream_to_wire(stream: LogStream) -> i32 {
    match stream {
        LogStream::Stdout => pb::log_chunk::Stream::Stdout.into(),
        LogStream::Stderr => pb::log_chunk::Stream::Stderr.into(),
    }
}

/// A piece as it is shown or sent.
#[must_use]
pub fn chunk_to_wire(chunk: LogChunk) -> pb::LogChunk {
    pb::LogChunk { stream: stream_to_wire(chunk.stream), offset: chunk.offset, data: chunk.data }
}

/// A piece as it was sent.
///
/// # Errors
/// Where it names no stream.
pub fn chunk_from_wire(wire: pb::LogChunk) -> Result<LogChunk, Invalid> {
    let stream = log_stream("chunk.stream", wire.stream)?;
    // Offsets are added to everywhere: one that overflows is caught at the door.
    if wire.offset.checked_add(wire.data.len() as u64).is_none() {
        return Err(Invalid::one("chunk.offset", "with the data's length is past the end of all offsets"));
    }
    Ok(LogChunk { stream, offset: wire.offset, data: wire.data })
}

/// The agent's message for these pieces.
#[must_use]
pub fn push_logs(logs: PushedLogs) -> pb::PushLogsRequest {
    let to_wire = |logs: Vec<PushedLog>| {
        let piece = |log: PushedLog| pb::PushedLog {
            lease: Some(lease_to_wire(&log.lease)),
            chunk: Some(chunk_to_wire(log.chunk)),
        };
        logs.into_iter().map(piece).collect()
    };
    pb::PushLogsRequest { logs: to_wire(logs.kept), newest: to_wire(logs.newest) }
}

/// The pieces of an agent's message.
///
/// # Errors
/// The first piece that is wrong.
pub fn pushed_logs(wire: pb::PushLogsRequest) -> Result<PushedLogs, Invalid> {
    let read = |log: pb::PushedLog| {
        let chunk = log.chunk.ok_or_else(|| Invalid::one("logs.chunk", "is required"))?;
        Ok(PushedLog { lease: lease("logs.lease", log.lease)?, chunk: chunk_from_wire(chunk)? })
    };
    let all = |logs: Vec<pb::PushedLog>| logs.into_iter().map(read).collect::<Result<_, _>>();
    Ok(PushedLogs { kept: all(wire.logs)?, newest: all(wire.newest)? })
}

/// The coordinator's word that it has everything of a stream before `offset`.
#[must_use]
pub fn log_ack(lease: &Lease, stream: LogStream, offset: u64) -> pb::LogAck {
    pb::LogAck { lease: Some(lease_to_wire(lease)), stream: stream_to_wire(stream), offset }
}

/// The coordinator's word as it was sent: everything of the stream before the offset is there.
///
/// # Errors
/// Where it names no attempt or no stream.
impl TryFrom<pb::LogAck> for (Lease, LogStream, u64) {
    type Error = Invalid;

    fn try_from(wire: pb::LogAck) -> Result<Self, Invalid> {
        Ok((lease("acks.lease", wire.lease)?, log_stream("acks.stream", wire.stream)?, wire.offset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::JobId;

    #[test]
    fn an_acknowledgement_comes_back_as_it_was_said_and_one_that_names_nothing_is_refused() {
        let job = JobId::new(7, &[1; 10]);
        let lease = Lease { job, generation: 1, attempt: 2, incarnation: 3, epoch: 4, fencing_token: 5 };
        for stream in [LogStream::Stdout, LogStream::Stderr] {
            assert_eq!(log_ack(&lease, stream, 99).try_into(), Ok((lease, stream, 99)));
        }
        let unnamed = pb::LogAck { stream: 0, ..log_ack(&lease, LogStream::Stdout, 1) };
        assert!(<(Lease, LogStream, u64)>::try_from(unnamed).is_err());
        assert!(<(Lease, LogStream, u64)>::try_from(pb::LogAck::default()).is_err());
    }
}
