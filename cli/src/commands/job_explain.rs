//! `windlass job explain`: why jobs wait, by what takes agents out of the choice.

use windlass_shared::pb;
use windlass_shared::pb::explain_job_response::Filter;
use windlass_shared::pb::explain_job_response::filter::Kind;

use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::global::Global;
use crate::output::print_explained;
use crate::refs::{self, RefArgs};

/// Explains each job.
pub(crate) async fn explain(client: &Client, global: &Global, args: &RefArgs) -> Result<Exit, Failure> {
    let mut explained = Vec::new();
    for id in refs::resolve(client, args).await? {
        let answer = client.patiently("explain the job", || client.explain_job(&id)).await?;
        explained.push((id, answer));
    }
    print_explained(global.output, &explained, sheet)?;
    Ok(Exit::OK)
}

/// A sentence, then a line for each filter.
fn sheet(id: &str, explained: &pb::ExplainJobResponse) -> String {
    let waits = match &*explained.waiting_for {
        "" => "waits for nothing",
        waiting_for => waiting_for,
    };
    let mut text = format!("{id}\n  {waits}\n  {} of its kind go first\n", explained.ahead);
    if explained.agents > 0 {
        text += &format!("  of {} agents:\n", explained.agents);
        explained.filters.iter().for_each(|filter| text += &format!("    {:>6}  {}\n", filter.agents, words(filter)));
        text += &format!("    {:>6}  can take it now\n", explained.left);
    }
    text
}

fn words(filter: &Filter) -> String {
    let what = &filter.what;
    match filter.kind() {
        Kind::NotConnected => "not connected".to_owned(),
        Kind::Work => "take no such work".to_owned(),
        Kind::Constraint => format!("do not match what is asked of the label {what}"),
        Kind::Resource => format!("never have {what}"),
        Kind::Lifetime => "leave too soon".to_owned(),
        Kind::Closed => "cordoned, draining or quarantined".to_owned(),
        Kind::Barred => "must not get it again".to_owned(),
        Kind::Room => "have no slot or worker free".to_owned(),
        Kind::Busy => format!("do not have {what} free"),
        Kind::Unspecified => "out for a reason that this command is too old to know".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_agents_out_is_said_line_by_line() {
        let filter = |kind: Kind, what: &str, agents| Filter { kind: kind.into(), what: what.into(), agents };
        let explained = pb::ExplainJobResponse {
            waiting_for: "no agent that could run it has 2 of gpu, even with nothing in use".into(),
            ahead: 3,
            agents: 5,
            filters: vec![filter(Kind::NotConnected, "", 1), filter(Kind::Resource, "2 of gpu", 4)],
            left: 0,
        };
        let text = "0198\n  no agent that could run it has 2 of gpu, even with nothing in use\n  3 of its kind go first\n  \
                    of 5 agents:\n         1  not connected\n         4  never have 2 of gpu\n         0  can take it now\n";
        assert_eq!(sheet("0198", &explained), text);
        assert_eq!(
            sheet("7", &pb::ExplainJobResponse::default()),
            "7\n  waits for nothing\n  0 of its kind go first\n"
        );
    }
}
