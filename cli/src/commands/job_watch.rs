//! `windlass job watch`: every change of jobs, a line each, as it is recorded.

use std::collections::HashMap;

use windlass_shared::domain::JobState;
use windlass_shared::{convert, pb};

use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::follow::{Changes, From, News};
use crate::global::Global;
use crate::output::{Format, Json, event_head, event_lines, interject, print};
use crate::refs::{self, RefArgs};
use crate::{fanout, humane};

/// Which jobs, and since when.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Jobs to watch until all of them are over, named as for `job get` [default: all jobs, until Ctrl-C]
    #[arg(value_name = "JOB")]
    jobs: Vec<String>,
    /// Begin after this revision [default: with how the jobs named stand, or with the next change]
    #[arg(long, value_name = "REVISION")]
    after: Option<u64>,
}

/// Shows the changes; the exit code says how the jobs named ended.
pub(crate) async fn watch(client: &Client, global: &Global, args: &Args) -> Result<Exit, Failure> {
    if global.output == Format::Json {
        return Err(Failure::usage("a watch is many documents, so it cannot be one").remedy("-o jsonl"));
    }
    let ids = match args.jobs.is_empty() {
        true => Vec::new(),
        false => refs::resolve(client, &RefArgs { jobs: args.jobs.clone() }).await?,
    };
    let mut course = Course::new(&ids);
    if let Some(after) = args.after {
        course.note_ended_before(&look(client, &ids).await?, after);
    }
    let from = match args.after {
        Some(after) => From::After(after),
        None if ids.is_empty() => From::Now,
        None => From::Standing,
    };
    follow(Changes::watch(client.clone(), &ids, from), &Printer::new(global.output)?, course).await
}

// Of a job that ended before the watch begins no change will come.
async fn look(client: &Client, ids: &[String]) -> Result<Vec<pb::Job>, Failure> {
    let answers = fanout::each(ids.to_vec(), |id| {
        let client = client.clone();
        async move { client.patiently("look at the job", || client.get_job(&id)).await }
    });
    answers.await.into_iter().collect()
}

async fn follow(mut changes: Changes, printer: &Printer, mut course: Course) -> Result<Exit, Failure> {
    printer.begin()?;
    loop {
        if let Some(exit) = course.exit() {
            return Ok(exit);
        }
        match changes.next().await {
            News::Events(events) => {
                printer.events(&events)?;
                course.note(&events);
            }
            News::Gap { after } => interject(&course.gap(after)),
            News::Over(failure) => return Err(course.resumable(failure)),
        }
    }
}

/// How far the jobs named have come.
#[derive(Debug)]
struct Course {
    /// None for a job that is not over.
    ends: HashMap<String, Option<JobState>>,
    revision: Option<u64>,
}

impl Course {
    fn new(ids: &[String]) -> Self {
        Self { ends: ids.iter().map(|id| (id.clone(), None)).collect(), revision: None }
    }

    fn note_ended_before(&mut self, jobs: &[pb::Job], after: u64) {
        for job in jobs.iter().filter(|job| job.revision <= after) {
            self.note_state(&job.id, job.state);
        }
    }

    fn note(&mut self, events: &[pb::JobEvent]) {
        for event in events {
            self.note_state(&event.job_id, event.state);
            self.revision = self.revision.max(Some(event.revision));
        }
    }

    fn note_state(&mut self, id: &str, state: i32) {
        if let Some(end) = self.ends.get_mut(id) {
            *end = convert::job_state(state).filter(|state| state.is_final());
        }
    }

    // Where no job was named, the watch has no end.
    fn exit(&self) -> Option<Exit> {
        let all_over = !self.ends.is_empty() && self.ends.values().all(Option::is_some);
        all_over.then(|| Exit::of_jobs(self.ends.values().copied()))
    }

    fn gap(&self, after: u64) -> String {
        let now = match self.ends.len() {
            0 => "going on with the next change".to_owned(),
            jobs => {
                format!("going on with how {} stand{}", humane::count(jobs, "job"), if jobs == 1 { "s" } else { "" })
            }
        };
        format!("changes after revision {after} are no longer kept; {now}")
    }

    fn resumable(&self, failure: Failure) -> Failure {
        match self.revision {
            Some(revision) if failure.exit == Exit::UNREACHABLE => {
                failure.remedy(format!("go on later with --after {revision}"))
            }
            _ if failure.reason == "REVISION_AHEAD" => {
                let lost =
                    "it was made anew, or restored from an older copy, or its disk lost what it had acknowledged";
                failure.because([lost.to_owned()]).remedy("watch without --after")
            }
            _ => failure,
        }
    }
}

/// Writes events as they were asked for.
enum Printer {
    Table,
    Ids,
    Lines(Json),
}

impl Printer {
    fn new(format: Format) -> Result<Self, Failure> {
        Ok(match format {
            Format::Table => Self::Table,
            Format::Id => Self::Ids,
            Format::Json | Format::Jsonl => Self::Lines(Json::new()?),
        })
    }

    fn begin(&self) -> Result<(), Failure> {
        if matches!(self, Self::Table) { print(&event_head()) } else { Ok(()) }
    }

    fn events(&self, events: &[pb::JobEvent]) -> Result<(), Failure> {
        match self {
            Self::Table => print(&event_lines(events)),
            Self::Ids => print(&events.iter().map(|event| format!("{}\n", event.job_id)).collect::<String>()),
            Self::Lines(json) => print(&json.lines(events)?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pb::job::State;

    fn event(id: &str, revision: u64, state: State) -> pb::JobEvent {
        pb::JobEvent { job_id: id.into(), revision, state: state.into(), ..pb::JobEvent::default() }
    }

    #[test]
    fn the_watch_ends_with_the_last_of_the_jobs_named() {
        let mut course = Course::new(&["a".into(), "b".into()]);
        course.note(&[event("a", 1, State::Succeeded), event("b", 2, State::Running), event("c", 3, State::Failed)]);
        assert_eq!(course.exit(), None);
        course.note(&[event("b", 4, State::Failed)]);
        assert_eq!((course.exit(), course.revision), (Some(Exit::JOB_FAILED), Some(4)));
    }

    #[test]
    fn without_a_job_named_it_has_no_end() {
        let mut course = Course::new(&[]);
        course.note(&[event("a", 1, State::Succeeded)]);
        assert_eq!(course.exit(), None);
        assert!(course.gap(7).ends_with("after revision 7 are no longer kept; going on with the next change"));
    }

    #[test]
    fn what_ended_before_the_watch_begins_is_not_waited_for() {
        let job = |id: &str, revision| pb::Job { id: id.into(), revision, state: 7, ..pb::Job::default() };
        let mut course = Course::new(&["a".into(), "b".into()]);
        course.note_ended_before(&[job("a", 5), job("b", 6)], 5);
        assert_eq!(course.exit(), None, "the end of b is still to be shown");
        course.note(&[event("b", 6, State::Succeeded)]);
        assert_eq!(course.exit(), Some(Exit::OK));
    }

    #[test]
    fn a_watch_that_broke_off_says_how_to_go_on() {
        let mut course = Course::new(&[]);
        course.note(&[event("a", 41, State::Running)]);
        let failure = course.resumable(Failure::new(Exit::UNREACHABLE, "UNAVAILABLE", "gone"));
        assert!(failure.to_string().contains("--after 41"), "{failure}");
        let failure = course.resumable(Failure::new(Exit::OTHER, "REVISION_AHEAD", "cannot watch the jobs: ahead"));
        assert!(failure.to_string().contains("without --after"), "{failure}");
    }
}
