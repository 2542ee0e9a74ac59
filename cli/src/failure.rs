//! Why a command failed, as a person wants to read it: what, why, and what to do about it.

use std::fmt;
use std::io;

use tonic::{Code, Status};
use windlass_shared::status::told;

use crate::exit::Exit;

/// A failed command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What the exit code says.
    pub(crate) exit: Exit,
    /// Its name for programs, such as `NOT_FOUND`.
    pub(crate) reason: String,
    /// One line. Empty: there is nobody left to tell.
    pub(crate) what: String,
    /// A line each: fields that are wrong, candidates, the end of a log.
    pub(crate) why: Vec<String>,
    /// What to do about it.
    pub(crate) remedy: Option<String>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, reason: &str, what: impl Into<String>) -> Self {
        Self { exit, reason: reason.to_owned(), what: what.into(), why: Vec::new(), remedy: None }
    }

    /// The command line asks for what cannot be.
    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self::new(Exit::USAGE, "INVALID_ARGUMENT", what)
    }

    /// The system said no.
    pub(crate) fn io(doing: impl fmt::Display, err: &io::Error) -> Self {
        if err.kind() == io::ErrorKind::BrokenPipe {
            return Self::new(Exit::BROKEN_PIPE, "BROKEN_PIPE", "");
        }
        Self::new(Exit::OTHER, "IO", format!("cannot {doing}: {err}"))
    }

    /// The coordinator answered and said no.
    pub(crate) fn refused(doing: impl fmt::Display, status: &Status) -> Self {
        let told = told(status);
        let code = status.code();
        let reason = if told.reason.is_empty() { name(code).to_owned() } else { told.reason };
        let mut failure = Self::new(Exit::of_refusal(code), &reason, format!("cannot {doing}: {}", status.message()));
        if !told.violations.is_empty() {
            failure.what = format!("cannot {doing}: the coordinator refused the request");
            failure.why = told.violations.iter().map(|(field, wrong)| format!("{field} {wrong}")).collect();
        }
        failure.remedy = remedy(code, told.retry_after.map(crate::humane::show_duration));
        failure
    }

    pub(crate) fn because(mut self, lines: impl IntoIterator<Item = String>) -> Self {
        self.why.extend(lines);
        self
    }

    pub(crate) fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

fn remedy(code: Code, wait: Option<String>) -> Option<String> {
    match (code, wait) {
        (_, Some(wait)) => Some(format!("ask again in {wait}")),
        (Code::Unimplemented, None) => Some("this coordinator cannot do that: is it older than this command?".into()),
        _ => None,
    }
}

/// The name of a code as grpcurl and every client library spell it.
fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.what)?;
        for line in &self.why {
            write!(f, "\n  {line}")?;
        }
        if let Some(remedy) = &self.remedy {
            write!(f, "\n  try: {remedy}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_shared::fault::Invalid;
    use windlass_shared::status::to_status;

    #[test]
    fn a_refused_request_names_its_fields() {
        let status = to_status(&Invalid::one("exec.argv", "must name at least the program").within("spec"));
        let failure = Failure::refused("submit the job", &status);
        assert_eq!(failure.exit, Exit::USAGE);
        assert_eq!(failure.reason, "INVALID_ARGUMENT");
        assert_eq!(
            failure.to_string(),
            "cannot submit the job: the coordinator refused the request\n  spec.exec.argv must name at least the program"
        );
    }

    #[test]
    fn a_status_without_details_is_told_by_its_code() {
        let failure = Failure::refused("show the job", &Status::not_found("there is no such job"));
        assert_eq!((failure.exit, failure.reason.as_str()), (Exit::NOT_FOUND, "NOT_FOUND"));
        assert_eq!(failure.to_string(), "cannot show the job: there is no such job");
    }

    #[test]
    fn a_reader_that_went_away_is_told_nothing() {
        let failure = Failure::io("write", &io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!((failure.exit, failure.what.as_str()), (Exit::BROKEN_PIPE, ""));
    }
}
