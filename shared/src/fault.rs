//! How an error speaks to whoever must act on it. [`crate::status`] turns this into gRPC; nothing else does.

use std::fmt;
use std::time::Duration;

/// What the caller can do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Fix the request; as it is it never succeeds.
    Invalid,
    /// There is no such thing.
    NotFound,
    /// Another has it already.
    Exists,
    /// Change the world, then ask again.
    Conflict,
    /// What was asked for is no longer kept.
    OutOfRange,
    /// Something that was on record is not there any more, or cannot be read.
    DataLoss,
    /// Wait for the hint, then ask again.
    Busy,
    /// Ask again as it is.
    Unavailable,
    /// Whoever was to answer did not in time; what was asked may have been done.
    TimedOut,
    /// This coordinator cannot do that.
    Unimplemented,
    /// Our bug.
    Bug,
}

/// An error that crosses the API.
pub trait Fault: std::error::Error {
    /// What the caller can do about it.
    fn kind(&self) -> Kind;
    /// Its name in `google.rpc.ErrorInfo`: `UPPER_SNAKE`, part of the API.
    fn reason(&self) -> &'static str;
    /// Which fields are wrong, for [`Kind::Invalid`].
    fn violations(&self) -> &[Violation] {
        &[]
    }
    /// What there is no more of, for [`Kind::Busy`], such as `queues/bulk`.
    fn quota(&self) -> Option<String> {
        None
    }
    /// When to ask again, for [`Kind::Busy`] and [`Kind::Unavailable`].
    fn retry_after(&self) -> Option<Duration> {
        None
    }
}

/// One wrong field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Path of the field, such as `spec.exec.argv[2]`.
    pub field: String,
    /// What it must be.
    pub description: String,
}

/// A request that can never succeed, with every field that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Invalid {
    violations: Vec<Violation>,
}

/// More would not fit the 4 KiB that error details may take in a trailer; the first ones are enough to start mending.
const VIOLATIONS_MAX: usize = 16;
/// Bytes of all paths and descriptions, the last one's beyond it: they may quote what the caller sent, and are sent twice.
const VIOLATIONS_BYTES_MAX: usize = 1_536;
/// Bytes of one path or description.
const TEXT_BYTES_MAX: usize = 256;

impl Invalid {
    /// A single wrong field.
    #[must_use]
    pub fn one(field: impl Into<String>, description: impl fmt::Display) -> Self {
        let mut invalid = Self::default();
        invalid.add(field, description);
        invalid
    }

    /// Another wrong field; past 16, or 1.5 KiB, they are dropped. What is longer than 256 bytes is cut.
    pub fn add(&mut self, field: impl Into<String>, description: impl fmt::Display) {
        let bytes: usize = self.violations.iter().map(|one| one.field.len() + one.description.len()).sum();
        if self.violations.len() < VIOLATIONS_MAX && bytes < VIOLATIONS_BYTES_MAX {
            let (field, description) =
                (cut(field.into(), TEXT_BYTES_MAX), cut(description.to_string(), TEXT_BYTES_MAX));
            self.violations.push(Violation { field, description });
        }
    }

    /// `Ok` where nothing was added.
    ///
    /// # Errors
    /// Itself, where something was.
    pub fn check(self) -> Result<(), Self> {
        if self.violations.is_empty() { Ok(()) } else { Err(self) }
    }

    /// The same, with every path beginning with `prefix` and a dot.
    #[must_use]
    pub fn within(mut self, prefix: &str) -> Self {
        for violation in &mut self.violations {
            violation.field = format!("{prefix}.{}", violation.field);
        }
        self
    }
}

/// At most `bytes_max` of a text, with a mark where it went on.
#[must_use]
pub fn cut(mut text: String, bytes_max: usize) -> String {
    const MARK: &str = "…";
    if text.len() > bytes_max {
        let mut end = bytes_max.saturating_sub(MARK.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push_str(MARK);
    }
    text
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, violation) in self.violations.iter().enumerate() {
            let gap = if i == 0 { "" } else { "; " };
            write!(f, "{gap}{} {}", violation.field, violation.description)?;
        }
        Ok(())
    }
}

impl std::error::Error for Invalid {}

impl Fault for Invalid {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }

    fn reason(&self) -> &'static str {
        "INVALID_ARGUMENT"
    }

    fn violations(&self) -> &[Violation] {
        &self.violations
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_quotes_the_caller_is_cut_where_a_character_ends() {
        let invalid = Invalid::one(format!("spec.exec.env[{}]", "é".repeat(60_000)), "must not hold NUL");
        let field = &invalid.violations()[0].field;
        assert!(field.len() <= TEXT_BYTES_MAX && field.ends_with('…'), "{}", field.len());
        assert_eq!(cut("short".into(), 5), "short");
    }

    #[test]
    fn wrong_fields_stay_below_what_a_trailer_carries() {
        let mut invalid = Invalid::default();
        for _ in 0..100 {
            invalid.add("f".repeat(1_000), "d".repeat(1_000));
        }
        assert!(invalid.to_string().len() < 2_304, "{}", invalid.to_string().len());
        assert!(invalid.violations().len() > 1);
    }
}
