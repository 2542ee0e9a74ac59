//! How much is kept of what an attempt writes, as `[logs]` of the agent's configuration spells it.

use serde::Deserialize;

/// One full pipe and what is being read of the next.
const SPOOL_BYTES_MIN: u64 = 128 << 10;
/// More would be the agent's memory rather than a buffer.
const SPOOL_BYTES_MAX: u64 = 1 << 30;

/// A quarter of a message.
const NEWEST_BYTES_MAX: u64 = 256 << 10;

/// `[logs]`. What lies between head and tail goes where there is too much; offsets count it, so that readers see a gap and its
/// size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogOptions {
    /// Bytes kept of each of an attempt's two outputs, whether shipped or not, and bytes of both that wait for the coordinator;
    /// 128 KiB to 1 GiB. 16 MiB: what a coordinator keeps of one output too, so that more would be dropped there, end and all.
    pub spool_bytes: u64,
    /// Bytes at the beginning of each output that are kept also where it comes faster than it ships; at most a quarter of
    /// `spool_bytes`. 64 KiB: what a program says of itself before it floods.
    pub head_bytes: u64,
    /// Bytes at the end of each output that are kept where it is longer than `spool_bytes`; at most a quarter of it. 256 KiB: how
    /// it came to its end, a long traceback included.
    pub tail_bytes: u64,
    /// Bytes of each output that is past `spool_bytes` that are shown once a second to those who follow it, the newest; at most
    /// 256 KiB, and of all outputs of this agent together 1 MiB a second. 64 KiB: more than anybody reads, less than a network
    /// notices. 0: followers see nothing new before the output's end.
    pub newest_bytes: u64,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { spool_bytes: 16 << 20, head_bytes: 64 << 10, tail_bytes: 256 << 10, newest_bytes: 64 << 10 }
    }
}

impl LogOptions {
    /// Looks at every bound.
    ///
    /// # Errors
    /// The first key that cannot be right.
    pub(crate) fn check(&self) -> Result<(), String> {
        if !(SPOOL_BYTES_MIN..=SPOOL_BYTES_MAX).contains(&self.spool_bytes) {
            return Err(format!("spool_bytes must be {SPOOL_BYTES_MIN} to {SPOOL_BYTES_MAX}"));
        }
        let part = self.spool_bytes / 4;
        for (key, bytes) in [("head_bytes", self.head_bytes), ("tail_bytes", self.tail_bytes)] {
            if bytes > part {
                return Err(format!("{key} must be at most {part}, a quarter of spool_bytes"));
            }
        }
        if self.newest_bytes > NEWEST_BYTES_MAX {
            return Err(format!("newest_bytes must be at most {NEWEST_BYTES_MAX}"));
        }
        Ok(())
    }

    /// The same in memory.
    pub(super) fn bounds(&self) -> Bounds {
        let in_memory = |bytes| usize::try_from(bytes).unwrap_or(usize::MAX);
        let [spool, tail, newest] = [self.spool_bytes, self.tail_bytes, self.newest_bytes].map(in_memory);
        Bounds { spool, head: self.head_bytes, tail, newest }
    }
}

/// How much is kept of an output.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) spool: usize,
    pub(super) head: u64,
    pub(super) tail: usize,
    pub(super) newest: usize,
}

impl Bounds {
    /// Where an output ends that is shipped as it comes; of what follows only the tail is.
    pub(super) fn front(&self) -> u64 {
        (self.spool - self.tail) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_out_of_bounds_is_named_with_its_bound() {
        let default = LogOptions::default();
        assert_eq!(default.check(), Ok(()));
        let small = LogOptions { spool_bytes: 1, ..default };
        assert_eq!(small.check(), Err("spool_bytes must be 131072 to 1073741824".into()));
        let all_head = LogOptions { head_bytes: 16 << 20, ..default };
        assert_eq!(all_head.check(), Err("head_bytes must be at most 4194304, a quarter of spool_bytes".into()));
        let all_new = LogOptions { newest_bytes: 1 << 20, ..default };
        assert_eq!(all_new.check(), Err("newest_bytes must be at most 262144".into()));
        let all_tail = LogOptions { tail_bytes: 5 << 20, ..default };
        assert_eq!(all_tail.check(), Err("tail_bytes must be at most 4194304, a quarter of spool_bytes".into()));
    }
}
