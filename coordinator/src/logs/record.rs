//! One record: what its bytes are of, then the bytes.
//!
//! ```text
//!  job 16 │ attempt 4 │ stream 1 │ offset 8 │ kept 8 │ len 4 │ data crc 4 │ header crc 4 │ data       little-endian
//! ```
//! Both checksums (crc32c) begin with the random salt of their segment: a job that prints a perfect record of another job's
//! log cannot have it found when damage makes us look for the next good one.

use std::fs::File;
use std::os::unix::fs::FileExt;

use windlass_shared::domain::LogStream;
use windlass_shared::ids::JobId;

use super::LogKey;

pub(super) const HEADER_BYTES: usize = 49;
const CRC_BYTES: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) key: LogKey,
    /// Bytes of the stream before these, dropped ones included.
    pub(super) offset: u64,
    /// Bytes kept of the stream before these: the newest record alone says how much more of it is wanted.
    pub(super) kept: u64,
    pub(super) len: u32,
    data_crc: u32,
}

impl Header {
    /// Offset of the first byte after it.
    pub(super) fn end(&self) -> u64 {
        self.offset.saturating_add(u64::from(self.len))
    }

    pub(super) fn is_of(&self, data: &[u8], salt: u32) -> bool {
        crc32c::crc32c_append(salt, data) == self.data_crc
    }

    /// The header of a stream's record. None: unreadable, damaged, or of another stream.
    pub(super) fn read(file: &File, at: u32, key: LogKey, salt: u32) -> Option<Self> {
        let mut bytes = [0; HEADER_BYTES];
        file.read_exact_at(&mut bytes, u64::from(at)).ok()?;
        Self::decode(&bytes, salt).filter(|header| header.key == key)
    }

    /// None: these are not the bytes of a header of that segment.
    pub(super) fn decode(bytes: &[u8; HEADER_BYTES], salt: u32) -> Option<Self> {
        let (fields, crc) = bytes.split_last_chunk::<CRC_BYTES>()?;
        if crc32c::crc32c_append(salt, fields) != u32::from_le_bytes(*crc) {
            return None;
        }
        let mut rest = fields;
        let job = JobId::from_bytes(take(&mut rest)?);
        let attempt = u32::from_le_bytes(take(&mut rest)?);
        let stream = stream_of(take(&mut rest)?)?;
        Some(Self {
            key: LogKey { job, attempt, stream },
            offset: u64::from_le_bytes(take(&mut rest)?),
            kept: u64::from_le_bytes(take(&mut rest)?),
            len: u32::from_le_bytes(take(&mut rest)?),
            data_crc: u32::from_le_bytes(take(&mut rest)?),
        })
    }
}

/// The whole record, to be written at once.
pub(super) fn encode(key: LogKey, offset: u64, kept: u64, data: &[u8], len: u32, salt: u32) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_BYTES + data.len());
    out.extend_from_slice(key.job.as_bytes());
    out.extend_from_slice(&key.attempt.to_le_bytes());
    out.push(number_of(key.stream));
    out.extend_from_slice(&offset.to_le_bytes());
    out.extend_from_slice(&kept.to_le_bytes());
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(&crc32c::crc32c_append(salt, data).to_le_bytes());
    out.extend_from_slice(&crc32c::crc32c_append(salt, &out).to_le_bytes());
    out.extend_from_slice(data);
    out
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(*head)
}

fn number_of(stream: LogStream) -> u8 {
    match stream {
        LogStream::Stdout => 1,
        LogStream::Stderr => 2,
    }
}

fn stream_of([number]: [u8; 1]) -> Option<LogStream> {
    match number {
        1 => Some(LogStream::Stdout),
        2 => Some(LogStream::Stderr),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written_and_no_single_flipped_bit_of_it_is() {
        let key = LogKey { job: JobId::from_bytes([7; 16]), attempt: 3, stream: LogStream::Stderr };
        let record = encode(key, 1 << 40, 99, b"hello", 5, 1234);
        let check = |record: &[u8], salt| {
            let header = Header::decode(record.first_chunk().unwrap(), salt)?;
            header.is_of(&record[HEADER_BYTES..], salt).then_some(header)
        };
        let header = check(&record, 1234).unwrap();
        assert_eq!((header.key, header.offset, header.kept, header.end()), (key, 1 << 40, 99, (1 << 40) + 5));
        assert_eq!(check(&record, 1235), None, "another segment's salt");
        for bit in 0..record.len() * 8 {
            let mut record = record.clone();
            record[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(check(&record, 1234), None, "bit {bit}");
        }
    }
}
