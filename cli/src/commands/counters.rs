//! `windlass counters`: what happened since a program started, as numbers.

use windlass_shared::pb;

use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::global::Global;
use crate::output::{Format, Json, counter_table, print};
use crate::pools::OnArgs;

/// Shows the coordinator's counters, or those of one agent.
pub(crate) async fn counters(client: &Client, global: &Global, args: &OnArgs) -> Result<Exit, Failure> {
    let agent = args.resolve(client).await?.unwrap_or_default();
    let counters = client.patiently("read the counters", || client.counters(&agent)).await?;
    match global.output {
        Format::Table => print(&counter_table(&counters))?,
        Format::Id => print(&counters.iter().map(|counter| format!("{}\n", counter.name)).collect::<String>())?,
        Format::Jsonl => print(&Json::new()?.lines(&counters)?)?,
        Format::Json => print(&Json::new()?.document(&pb::GetCountersResponse { counters })?)?,
    }
    Ok(Exit::OK)
}
