//! `windlass queue list`: the queues, with what waits and what runs.

use windlass_shared::pb;

use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::global::Global;
use crate::output::{Format, Json, print, print_queues};

/// Lists all queues.
pub(crate) async fn list(client: &Client, global: &Global) -> Result<Exit, Failure> {
    let queues = client.patiently("list the queues", || client.list_queues()).await?;
    match global.output {
        // Always the list here, even of one, so that its shape does not depend on what it holds.
        Format::Json => {
            let all = pb::ListQueuesResponse { queues, next_page_token: String::new() };
            print(&Json::new()?.document(&all)?)?;
        }
        format => print_queues(format, &queues)?,
    }
    Ok(Exit::OK)
}
