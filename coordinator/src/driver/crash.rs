//! Dying on purpose at a named point of a tick, for the tests that show that no point is a bad one to die at.

use std::str::FromStr;

/// A point of a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Point {
    /// The core has decided; nothing is durable.
    BeforeCommit,
    /// Everything is durable; nobody knows.
    AfterCommit,
    /// Before a caller is answered.
    BeforeReply,
    /// After it.
    AfterReply,
    /// Before something is handed to an agent's session.
    BeforeSend,
    /// After it.
    AfterSend,
}

const POINTS: [(&str, Point); 6] = [
    ("before-commit", Point::BeforeCommit),
    ("after-commit", Point::AfterCommit),
    ("before-reply", Point::BeforeReply),
    ("after-reply", Point::AfterReply),
    ("before-send", Point::BeforeSend),
    ("after-send", Point::AfterSend),
];

/// Where to die, and after how many times of passing there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrashAt {
    point: Point,
    passes_left: u64,
}

impl CrashAt {
    /// Called at each point of each tick.
    pub(crate) fn pass(&mut self, point: Point) {
        if self.point != point {
            return;
        }
        if self.passes_left == 0 {
            // As `kill -9` would: no destructor, no flush, no word to anybody.
            std::process::abort();
        }
        self.passes_left -= 1;
    }
}

/// The text names no point.
#[derive(Debug, thiserror::Error)]
#[error("must be POINT:PASSES with POINT one of before-/after-commit, before-/after-reply, before-/after-send")]
pub struct BadCrashAt;

impl FromStr for CrashAt {
    type Err = BadCrashAt;

    fn from_str(text: &str) -> Result<Self, BadCrashAt> {
        let (name, passes) = text.split_once(':').ok_or(BadCrashAt)?;
        let (_, point) = POINTS.into_iter().find(|(known, _)| *known == name).ok_or(BadCrashAt)?;
        Ok(Self { point, passes_left: passes.parse().map_err(|_| BadCrashAt)? })
    }
}
