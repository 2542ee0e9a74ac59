//! `windlass job result`: what the handler of a call answered.

use std::io::Write;

use windlass_shared::pb;

use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::global::Global;
use crate::output::Format;
use crate::refs::{self, RefArgs};

/// Whose answer.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The job, named as for `job get`
    #[arg(value_name = "JOB")]
    job: String,
}

/// What follows the answer's own bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// Nothing: whoever reads gets the answer as it is.
    None,
    /// A line feed after JSON, for whoever reads it at a terminal.
    Line,
}

/// Writes the answer as it is.
pub(crate) async fn result(client: &Client, global: &Global, args: &Args) -> Result<Exit, Failure> {
    if global.output != Format::Table {
        return Err(Failure::usage("job result prints the answer as it is, so -o has no say"));
    }
    let ids = refs::resolve(client, &RefArgs { jobs: vec![args.job.clone()] }).await?;
    let [id] = &*ids else {
        return Err(Failure::usage(format!("{} names {} jobs, and answers do not mix", args.job, ids.len())));
    };
    show(client, id, Ending::None).await
}

/// Fetches the answer and writes it.
pub(super) async fn show(client: &Client, id: &str, ending: Ending) -> Result<Exit, Failure> {
    let answer = client.patiently("show the answer", || client.job_result(id)).await?;
    let mut out = std::io::stdout().lock();
    let written = out.write_all(&bytes(&answer, ending)).and_then(|()| out.flush());
    written.map_err(|err| Failure::io("write to standard output", &err))?;
    Ok(Exit::OK)
}

fn bytes(answer: &pb::GetJobResultResponse, ending: Ending) -> Vec<u8> {
    let mut bytes = answer.result.to_vec();
    // Bytes of any other type would not be the same with one more.
    if ending == Ending::Line && answer.content_type == "application/json" {
        bytes.push(b'\n');
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_json_that_is_shown_gets_a_line_feed() {
        let answer = |content_type: &str| pb::GetJobResultResponse {
            result: "\"HELLO\"".into(),
            content_type: content_type.into(),
        };
        assert_eq!(bytes(&answer("application/json"), Ending::Line), b"\"HELLO\"\n");
        assert_eq!(bytes(&answer("application/json"), Ending::None), b"\"HELLO\"");
        assert_eq!(bytes(&answer("image/png"), Ending::Line), b"\"HELLO\"");
    }
}
