//! A call of a handler as a job: which one, and with what.

use bytes::Bytes;
use windlass_shared::pb;

use super::{parse_pair, payload};
use crate::failure::Failure;

/// The flags for it.
#[derive(Debug, clap::Args)]
pub(crate) struct CallArgs {
    /// Call this handler of a pool's workers instead of running a command
    #[arg(long, value_name = "NAME", conflicts_with_all = ["env", "cwd", "stdin", "each"], help_heading = "Call")]
    pub(crate) handler: Option<String>,
    /// Input for the handler: JSON as it is, `@FILE` for what a file holds, `-` for standard input; up to 256 KiB
    /// [default: null]
    #[arg(
        long,
        value_name = "JSON|@FILE|-",
        requires = "handler",
        conflicts_with = "argv",
        allow_hyphen_values = true,
        help_heading = "Call"
    )]
    input: Option<String>,
    /// Media type of the input [default: application/json]
    #[arg(long, value_name = "TYPE", requires = "input", help_heading = "Call")]
    content_type: Option<String>,
    /// What the handler is told beside its input; repeat for more
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_pair, requires = "handler", help_heading = "Call")]
    header: Vec<(String, String)>,
    /// Have the input checked by a worker, and nothing done
    #[arg(long, requires = "handler", help_heading = "Call")]
    validate: bool,
}

impl CallArgs {
    /// The call. Whether the input is JSON is the coordinator's to say, as everything about a spec.
    pub(super) fn to_wire(&self, handler: &str) -> Result<pb::Call, Failure> {
        let input = self.input.as_deref().map(read_input).transpose()?.unwrap_or_default();
        let content_type = self.content_type.clone().unwrap_or_default();
        let (handler, headers) = (handler.to_owned(), self.header.iter().cloned().collect());
        Ok(pb::Call { handler, input, content_type, headers, validate_only: self.validate })
    }
}

fn read_input(text: &str) -> Result<Bytes, Failure> {
    match text.strip_prefix('@') {
        Some(path) => payload::read("--input", path),
        None if text == "-" => payload::read("--input", text),
        None => Ok(text.to_owned().into_bytes().into()),
    }
}
