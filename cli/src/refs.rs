//! Which jobs a person means: a full id, the beginning of one, `@last`, or `-` for ids on standard input.

use std::io::BufRead;

use windlass_shared::ids::JobId;
use windlass_shared::pb;

use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::humane::one_line;
use crate::last;
use crate::output::{command, job_state};

/// Candidates an ambiguous reference lists; more help nobody.
const CANDIDATES_MAX: usize = 5;

/// Which jobs.
#[derive(Debug, clap::Args)]
pub(crate) struct RefArgs {
    /// Id, unique beginning of one, `@last` for what was submitted last, or `-` for ids on standard input
    #[arg(required = true, value_name = "JOB")]
    pub(crate) jobs: Vec<String>,
}

/// One reference as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Ref {
    Full(String),
    Prefix(String),
    Last,
    Stdin,
}

impl Ref {
    fn parse(text: &str) -> Result<Self, Failure> {
        let lower = text.to_ascii_lowercase();
        let hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-'));
        match lower.as_str() {
            "-" => Ok(Self::Stdin),
            "@last" => Ok(Self::Last),
            id if id.parse::<JobId>().is_ok() => Ok(Self::Full(lower)),
            prefix if !prefix.is_empty() && prefix.len() < 36 && hex(prefix) => Ok(Self::Prefix(lower)),
            _ => Err(Failure::usage(format!("{text:?} is no job: give an id, the beginning of one, @last or -"))),
        }
    }
}

/// The ids of the jobs that were meant, each once, in the order they were named.
pub(crate) async fn resolve(client: &Client, args: &RefArgs) -> Result<Vec<String>, Failure> {
    let mut ids: Vec<String> = Vec::new();
    for reference in read(args)? {
        match reference {
            Ref::Full(id) => ids.push(id),
            Ref::Prefix(prefix) => ids.push(by_prefix(client, &prefix).await?),
            Ref::Last => ids.extend(last::recall(client.address())?),
            Ref::Stdin => {} // `read` has put its lines in its place
        }
    }
    let mut seen = std::collections::HashSet::new();
    ids.retain(|id| seen.insert(id.clone()));
    Ok(ids)
}

fn read(args: &RefArgs) -> Result<Vec<Ref>, Failure> {
    let mut refs = Vec::new();
    for text in &args.jobs {
        match Ref::parse(text)? {
            Ref::Stdin => refs.extend(from_lines(std::io::stdin().lock())?),
            other => refs.push(other),
        }
    }
    Ok(refs)
}

fn from_lines(lines: impl BufRead) -> Result<Vec<Ref>, Failure> {
    let mut refs = Vec::new();
    for line in lines.lines() {
        let line = line.map_err(|err| Failure::io("read ids from standard input", &err))?;
        for word in line.split_whitespace() {
            refs.push(Ref::parse(word)?);
        }
    }
    refs.retain(|reference| *reference != Ref::Stdin);
    if refs.is_empty() {
        return Err(Failure::usage("standard input held no id"));
    }
    Ok(refs)
}

async fn by_prefix(client: &Client, prefix: &str) -> Result<String, Failure> {
    let mut found: Vec<pb::Job> = Vec::new();
    let mut page_token = String::new();
    // A page may be short, or empty, and still not be the last.
    while found.len() <= CANDIDATES_MAX {
        let request = pb::ListJobsRequest {
            page_size: CANDIDATES_MAX as i32 + 1,
            page_token,
            id_prefix: prefix.to_owned(),
            ..pb::ListJobsRequest::default()
        };
        let page = client.list_jobs(request).await.map_err(|status| client.failure("look the job up", &status))?;
        found.extend(page.jobs);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    choose(prefix, found)
}

fn choose(prefix: &str, mut found: Vec<pb::Job>) -> Result<String, Failure> {
    match found.len() {
        0 => Err(Failure::new(Exit::NOT_FOUND, "NOT_FOUND", format!("no job's id begins with {prefix:?}"))
            .remedy("windlass job list")),
        1 => Ok(found.remove(0).id),
        more => {
            let mut lines: Vec<String> = found.iter().take(CANDIDATES_MAX).map(candidate).collect();
            if more > CANDIDATES_MAX {
                lines.push("…".into());
            }
            Err(Failure::usage(format!("{prefix:?} is the beginning of several jobs' ids")).because(lines))
        }
    }
}

fn candidate(job: &pb::Job) -> String {
    format!("{}  {:<10} {}", job.id, job_state(job.state), one_line(&command(&job.spec), 50))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0193a5b0-7c3e-7f00-8000-0123456789ab";

    fn job(id: &str) -> pb::Job {
        pb::Job { id: id.into(), ..pb::Job::default() }
    }

    #[test]
    fn each_way_to_name_a_job_is_told_apart() {
        assert_eq!(Ref::parse(ID), Ok(Ref::Full(ID.into())));
        assert_eq!(Ref::parse(&ID.to_uppercase()), Ok(Ref::Full(ID.into())));
        assert_eq!(Ref::parse("0193a5b0-7c"), Ok(Ref::Prefix("0193a5b0-7c".into())));
        assert_eq!((Ref::parse("@last"), Ref::parse("-")), (Ok(Ref::Last), Ok(Ref::Stdin)));
        for text in ["", "@first", "xyz", "0193 a", &format!("{ID}0")] {
            assert_eq!(Ref::parse(text).expect_err(text).exit, Exit::USAGE);
        }
    }

    #[test]
    fn ids_on_standard_input_may_share_a_line() {
        let refs = from_lines(&b"0193\n\n  abc @last\n"[..]).expect("refs");
        assert_eq!(refs, [Ref::Prefix("0193".into()), Ref::Prefix("abc".into()), Ref::Last]);
        assert!(from_lines(&b"\n"[..]).is_err());
        assert!(from_lines(&b"-\n"[..]).is_err(), "standard input cannot name itself");
    }

    #[test]
    fn a_beginning_of_several_ids_lists_them() {
        assert_eq!(choose("01", vec![job("01a")]), Ok("01a".into()));
        assert_eq!(choose("01", vec![]).expect_err("none").exit, Exit::NOT_FOUND);
        let failure = choose("01", vec![job("01a"), job("01b")]).expect_err("two");
        assert_eq!((failure.exit, failure.why.len()), (Exit::USAGE, 2));
        let failure = choose("01", (0..6).map(|i| job(&format!("01{i}"))).collect()).expect_err("six");
        assert_eq!(failure.why.len(), 6);
        assert_eq!(failure.why[5], "…");
    }
}
