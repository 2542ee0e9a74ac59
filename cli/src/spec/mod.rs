//! Flags → [`pb::JobSpec`]: what to run or call, one job or one for each item.

mod bounds;
mod call;
mod exec;
mod job;
mod payload;
mod placement;
mod signal;

use std::io::BufReader;
use std::time::Duration;

use bytes::Bytes;
use pb::job_spec::Work;
use prost::Message;
use windlass_shared::pb;

use crate::each;
use crate::failure::Failure;
use crate::humane::one_line;

pub(crate) use call::CallArgs;
pub(crate) use exec::ExecArgs;
pub(crate) use job::JobArgs;
pub(crate) use signal::{parse_signal, signal_name};

/// What a job is called in a message leaves room for the message.
const TITLE_CHARS_MAX: usize = 60;

/// The jobs to submit. Specs are made one at a time, so that a million items do not mean a million environments.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    base: pb::JobSpec,
    work: Work,
    items: Option<Vec<String>>,
}

impl Plan {
    /// To run a command, once or for each item; reads what the flags ask to be read.
    pub(crate) fn exec(job: &JobArgs, args: &ExecArgs) -> Result<Self, Failure> {
        if args.each.as_deref() == Some("-") && args.stdin.as_deref() == Some("-") {
            return Err(Failure::usage("--each - and --stdin - cannot both read standard input"));
        }
        let work = Work::Exec(args.to_wire()?);
        let each = |source: &String| each::items(source, BufReader::new(std::io::stdin()));
        let items = args.each.as_ref().map(each).transpose()?;
        Ok(Self { base: job.to_spec(), work, items })
    }

    /// To call this handler once; reads what the flags ask to be read.
    pub(crate) fn call(job: &JobArgs, handler: &str, args: &CallArgs) -> Result<Self, Failure> {
        Ok(Self { base: job.to_spec(), work: Work::Call(args.to_wire(handler)?), items: None })
    }

    /// The same, in the caller's directory and with the caller's environment, save what the flags set.
    pub(crate) fn in_callers_place(mut self) -> Result<Self, Failure> {
        if let Work::Exec(exec) = &mut self.work {
            exec::in_callers_place(exec)?;
        }
        Ok(self)
    }

    /// Number of jobs.
    pub(crate) fn len(&self) -> usize {
        self.items.as_ref().map_or(1, Vec::len)
    }

    /// Whether the jobs are those of `--each`, however many there are.
    pub(crate) fn is_each(&self) -> bool {
        self.items.is_some()
    }

    /// What job number `index` is called in messages: its item, its program, or its handler.
    pub(crate) fn title(&self, index: usize) -> String {
        let item = self.items.as_ref().and_then(|items| items.get(index));
        let title = item.or(match &self.work {
            Work::Exec(exec) => exec.argv.first(),
            Work::Call(call) => Some(&call.handler),
        });
        title.map_or_else(String::new, |title| one_line(title, TITLE_CHARS_MAX))
    }

    /// The encoded `JobSpec` of job number `index`.
    pub(crate) fn spec(&self, index: usize) -> Bytes {
        let mut work = self.work.clone();
        let item = self.items.as_ref().and_then(|items| items.get(index));
        if let (Work::Exec(exec), Some(item)) = (&mut work, item) {
            exec.argv = each::expand(&exec.argv, item);
        }
        pb::JobSpec { work: Some(work), ..self.base.clone() }.encode_to_vec().into()
    }

    /// Time a cancelled job may take to stop before it is killed.
    pub(crate) fn grace(&self) -> Duration {
        let grace = self.base.stop_grace.and_then(|grace| Duration::try_from(grace).ok());
        grace.unwrap_or(Duration::from_secs(5))
    }
}

/// The wire's form of a span; absurdly long ones become the longest, which the coordinator refuses by name.
pub(crate) fn span(time: Duration) -> prost_types::Duration {
    prost_types::Duration::try_from(time).unwrap_or(prost_types::Duration { seconds: i64::MAX, nanos: 0 })
}

fn parse_pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("must be NAME=VALUE".into()),
    }
}

#[cfg(test)]
mod tests;
