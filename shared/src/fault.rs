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

impl Invalid {
    /// A single wrong field.
    #[must_use]
    pub fn one(field: impl Into<String>, description: impl fmt::Display) -> Self {
        let mut invalid = Self::default();
        invalid.add(field, description);
        invalid
    }

    /// Another wrong field; past 16 they are dropped.
    pub fn add(&mut self, field: impl Into<String>, description: impl fmt::Display) {
        if self.violations.len() < VIOLATIONS_MAX {
            self.violations.push(Violation { field: field.into(), description: description.to_string() });
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
