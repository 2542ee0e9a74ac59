//! Which failures are tried again: ordered rules, the first that matches decides.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use super::delay::Delay;
use crate::domain::Reason;

/// An end that rules are asked about, as far as they look at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure<'a> {
    /// Why it ended.
    pub reason: Reason,
    /// The code its process exited with, where that is why it ended.
    pub exit_code: Option<u8>,
    /// The signal that ended its process, where Windlass did not send it.
    pub signal: Option<u8>,
    /// The code of the handler's error.
    pub error_code: Option<&'a str>,
    /// Which failure of the job this is, from 1; losses to hosts are counted apart, from 1 too.
    pub nth: u32,
}

/// A set of reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Reasons(u64);

/// A kind of failure that several reasons belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureClass {
    /// A time limit passed.
    Timeout,
    /// Memory ran out.
    Oom,
    /// The worker died, hung or broke its protocol.
    Worker,
    /// The host, its agent or its supervision failed; counted as a loss.
    Host,
}

/// What a failure must be for a rule to decide. Each part that is empty matches all; those that are not must all match.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Match {
    /// One of these reasons.
    pub reasons: Reasons,
    /// One of these exit codes.
    pub exit_codes: Box<[RangeInclusive<u8>]>,
    /// One of these signals.
    pub signals: Box<[u8]>,
    /// One of these codes of a handler's error.
    pub error_codes: Box<[CodePattern]>,
    /// The job's nth failure, from 1; none: any.
    pub nth: Option<RangeInclusive<u32>>,
}

/// Codes of a handler's error: one, or all that begin alike.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum CodePattern {
    /// This code.
    Exact(Arc<str>),
    /// Every code that begins so.
    Prefix(Arc<str>),
}

/// What follows from a failure.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Action {
    /// Another attempt, while there is one left.
    Retry(Again),
    /// The job is FAILED.
    Fail,
    /// The job is FAILED, and kept for a person to look at and requeue.
    DeadLetter,
}

/// How another attempt is made.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Again {
    /// When, in place of the policy's delays.
    pub delay: Option<Delay>,
    /// How often this rule may say so, in place of the policy's attempts.
    pub times_max: Option<u16>,
    /// Not on the agents that the last attempts failed on.
    pub other_agent: bool,
    /// With more memory.
    pub memory: Option<MoreMemory>,
}

/// The resource that there may be more of from attempt to attempt.
pub const MEMORY_RESOURCE: &str = "memory";

/// Memory that grows from attempt to attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MoreMemory {
    /// Thousandths that what the last attempt had is multiplied by; more than 1,000.
    pub factor_milli: u32,
    /// The most it grows to, in thousandths, as resources are counted.
    pub amount_max: u64,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RetryRule {
    /// Which failures it decides.
    pub when: Match,
    /// What follows from them.
    pub action: Action,
}

impl Reason {
    /// Whether rules are asked about ends of this kind: the job's own failures, losses to hosts, and refusals. What somebody asked
    /// for, what was interrupted and what nobody can prove is decided without them.
    #[must_use]
    pub const fn is_for_rules(self) -> bool {
        match self {
            Self::CancelRequested
            | Self::Drain
            | Self::Shutdown
            | Self::Returned
            | Self::Poison
            | Self::Unproven
            | Self::Abandoned
            | Self::Unschedulable => false,
            Self::ExitCode
            | Self::Signal
            | Self::RunTimeout
            | Self::SpawnFailed
            | Self::AgentLost
            | Self::SupervisorLost
            | Self::AgentFault
            | Self::Rejected
            | Self::OutOfTouch
            | Self::HandlerError
            | Self::WorkerDied
            | Self::WorkerProtocol
            | Self::MemoryLimit
            | Self::OomKilled
            | Self::WorkerUnresponsive => true,
        }
    }
}

impl FailureClass {
    /// The reasons that belong to it.
    #[must_use]
    pub const fn reasons(self) -> &'static [Reason] {
        match self {
            Self::Timeout => &[Reason::RunTimeout],
            Self::Oom => &[Reason::MemoryLimit, Reason::OomKilled],
            Self::Worker => &[Reason::WorkerDied, Reason::WorkerProtocol, Reason::WorkerUnresponsive],
            Self::Host => &[Reason::AgentLost, Reason::SupervisorLost, Reason::AgentFault, Reason::OutOfTouch],
        }
    }
}

impl Reasons {
    /// Whether it is in the set.
    #[must_use]
    pub const fn contains(self, reason: Reason) -> bool {
        self.0 & (1 << reason as u32) != 0
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    fn iter(self) -> impl Iterator<Item = Reason> {
        Reason::ALL.into_iter().filter(move |reason| self.contains(*reason))
    }
}

impl FromIterator<Reason> for Reasons {
    fn from_iter<I: IntoIterator<Item = Reason>>(reasons: I) -> Self {
        Self(reasons.into_iter().fold(0, |set, reason| set | 1 << reason as u32))
    }
}

impl CodePattern {
    /// Of its text: a star at the end stands for anything.
    #[must_use]
    pub fn of(text: &str) -> Self {
        text.strip_suffix('*').map_or_else(|| Self::Exact(text.into()), |prefix| Self::Prefix(prefix.into()))
    }

    fn matches(&self, code: &str) -> bool {
        match self {
            Self::Exact(exact) => **exact == *code,
            Self::Prefix(prefix) => code.starts_with(&**prefix),
        }
    }
}

impl Match {
    /// Whether it matches every failure.
    #[must_use]
    pub fn is_any(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it matches this one.
    #[must_use]
    pub fn matches(&self, failure: &Failure<'_>) -> bool {
        let code = |code: u8| self.exit_codes.iter().any(|range| range.contains(&code));
        let error = |code: &str| self.error_codes.iter().any(|pattern| pattern.matches(code));
        (self.reasons.is_empty() || self.reasons.contains(failure.reason))
            && (self.exit_codes.is_empty() || failure.exit_code.is_some_and(code))
            && (self.signals.is_empty() || failure.signal.is_some_and(|signal| self.signals.contains(&signal)))
            && (self.error_codes.is_empty() || failure.error_code.is_some_and(error))
            && self.nth.as_ref().is_none_or(|nth| nth.contains(&failure.nth))
    }
}

impl fmt::Display for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let join = |parts: Vec<String>| parts.join(" or ");
        let mut parts = Vec::new();
        if !self.reasons.is_empty() {
            parts.push(join(self.reasons.iter().map(|reason| reason.name().to_owned()).collect()));
        }
        if !self.exit_codes.is_empty() {
            parts.push(format!("exit {}", join(self.exit_codes.iter().map(range).collect())));
        }
        if !self.signals.is_empty() {
            parts.push(format!("signal {}", join(self.signals.iter().map(u8::to_string).collect())));
        }
        if !self.error_codes.is_empty() {
            parts.push(format!("error {}", join(self.error_codes.iter().map(CodePattern::to_string).collect())));
        }
        if let Some(nth) = &self.nth {
            parts.push(format!("failure {}", range(nth)));
        }
        f.write_str(&if parts.is_empty() { "any failure".to_owned() } else { parts.join(", ") })
    }
}

fn range<N: PartialEq + fmt::Display>(range: &RangeInclusive<N>) -> String {
    let (first, last) = (range.start(), range.end());
    if first == last { first.to_string() } else { format!("{first}-{last}") }
}

impl fmt::Display for CodePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(code) => f.write_str(code),
            Self::Prefix(prefix) => write!(f, "{prefix}*"),
        }
    }
}

/// As people read it, such as `out of memory -> RETRY, memory x 2`.
impl fmt::Display for RetryRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> ", self.when)?;
        let again = match &self.action {
            Action::Fail => return f.write_str("FAIL"),
            Action::DeadLetter => return f.write_str("DEAD_LETTER"),
            Action::Retry(again) => again,
        };
        f.write_str("RETRY")?;
        if let Some(times) = again.times_max {
            write!(f, " {times} times")?;
        }
        if let Some(delay) = &again.delay {
            write!(f, ", {delay}")?;
        }
        if again.other_agent {
            f.write_str(", on another agent")?;
        }
        if let Some(more) = &again.memory {
            write!(f, ", memory x {}", f64::from(more.factor_milli) / 1_000.0)?;
        }
        Ok(())
    }
}

impl MoreMemory {
    /// What follows on `amount`: more, up to the most, and never less than there was.
    #[must_use]
    pub fn after(self, amount: u64) -> u64 {
        let grown = u128::from(amount) * u128::from(self.factor_milli) / 1_000;
        u64::try_from(grown).unwrap_or(u64::MAX).min(self.amount_max).max(amount)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(reason: Reason) -> Failure<'static> {
        Failure { reason, exit_code: None, signal: None, error_code: None, nth: 1 }
    }

    #[test]
    fn what_names_nothing_matches_everything() {
        let any = Match::default();
        assert!(any.is_any());
        for reason in Reason::ALL {
            assert!(any.matches(&failure(reason)));
        }
    }

    #[test]
    fn every_part_that_is_named_must_match_and_one_of_each_is_enough() {
        let when = Match {
            reasons: Reasons::from_iter([Reason::ExitCode, Reason::Signal]),
            exit_codes: [75..=75, 100..=120].into(),
            nth: Some(1..=2),
            ..Match::default()
        };
        let exit = |code, nth| Failure { exit_code: Some(code), nth, ..failure(Reason::ExitCode) };
        assert!(when.matches(&exit(75, 1)) && when.matches(&exit(100, 2)) && when.matches(&exit(120, 1)));
        assert!(!when.matches(&exit(76, 1)) && !when.matches(&exit(121, 1)), "other codes");
        assert!(!when.matches(&exit(75, 3)), "a later failure");
        assert!(!when.matches(&failure(Reason::Signal)), "no code");
        assert!(!when.matches(&Failure { reason: Reason::WorkerDied, ..exit(75, 1) }), "another reason");
    }

    #[test]
    fn signals_and_error_codes_match_as_they_are_or_as_they_begin() {
        let killed = Match { signals: [9, 11].into(), ..Match::default() };
        assert!(killed.matches(&Failure { signal: Some(11), ..failure(Reason::Signal) }));
        assert!(!killed.matches(&Failure { signal: Some(15), ..failure(Reason::Signal) }));
        let codes = [CodePattern::of("RATE_*"), CodePattern::of("BUSY")].into();
        let codes = Match { error_codes: codes, ..Match::default() };
        let error = |code| Failure { error_code: Some(code), ..failure(Reason::HandlerError) };
        assert!(codes.matches(&error("RATE_LIMITED")) && codes.matches(&error("BUSY")));
        assert!(!codes.matches(&error("BUSY_NOW")) && !codes.matches(&error("RATE")));
        assert!(!codes.matches(&failure(Reason::HandlerError)));
    }

    #[test]
    fn a_class_is_all_of_its_reasons_and_every_one_of_them_is_for_rules() {
        let classes = [FailureClass::Timeout, FailureClass::Oom, FailureClass::Worker, FailureClass::Host];
        for class in classes {
            let reasons: Reasons = class.reasons().iter().copied().collect();
            assert!(Reason::ALL.into_iter().all(|one| reasons.contains(one) == class.reasons().contains(&one)));
            assert!(class.reasons().iter().all(|reason| reason.is_for_rules()), "{class:?}");
        }
    }

    #[test]
    fn memory_grows_to_its_cap_and_never_shrinks() {
        let more = MoreMemory { factor_milli: 1_500, amount_max: 1_000 };
        assert_eq!((more.after(400), more.after(900), more.after(2_000)), (600, 1_000, 2_000));
        assert_eq!(MoreMemory { factor_milli: u32::MAX, amount_max: u64::MAX }.after(u64::MAX), u64::MAX);
    }

    #[test]
    fn a_rule_reads_like_a_sentence() {
        let memory = Some(MoreMemory { factor_milli: 2_000, amount_max: 1 << 34 });
        let oom = RetryRule {
            when: Match { reasons: FailureClass::Oom.reasons().iter().copied().collect(), ..Match::default() },
            action: Action::Retry(Again { memory, times_max: Some(3), other_agent: true, delay: None }),
        };
        assert_eq!(oom.to_string(), "memory limit or out of memory -> RETRY 3 times, on another agent, memory x 2");
        let codes = RetryRule {
            when: Match { exit_codes: [2..=2, 64..=78].into(), nth: Some(1..=1), ..Match::default() },
            action: Action::DeadLetter,
        };
        assert_eq!(codes.to_string(), "exit 2 or 64-78, failure 1 -> DEAD_LETTER");
        let last = RetryRule { when: Match::default(), action: Action::Fail };
        assert_eq!(last.to_string(), "any failure -> FAIL");
    }
}
