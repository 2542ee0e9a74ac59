//! Bytes that travel inside a spec.

use std::io::Read;

use bytes::Bytes;
use windlass_shared::limits::PAYLOAD_BYTES_MAX;

use crate::failure::Failure;

/// All of a file, or of our standard input for `-`; `flag` is who asks.
pub(super) fn read(flag: &str, source: &str) -> Result<Bytes, Failure> {
    let failed = |err: std::io::Error| Failure::io(format_args!("read {source} for {flag}"), &err);
    let reader: Box<dyn Read> = match source {
        "-" => Box::new(std::io::stdin()),
        path => Box::new(std::fs::File::open(path).map_err(failed)?),
    };
    let mut bytes = Vec::new();
    // One byte more than allowed is enough to know that it is too much.
    reader.take(PAYLOAD_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > PAYLOAD_BYTES_MAX {
        let limit = PAYLOAD_BYTES_MAX >> 10;
        return Err(Failure::usage(format!("{flag}: {source} holds more than {limit} KiB, which is the limit"))
            .remedy("put the file where the job can read it, and name it in what you submit"));
    }
    Ok(bytes.into())
}
