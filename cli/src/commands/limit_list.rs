//! `windlass limit list`: all that is set, is named by unfinished jobs, or cools down.

use windlass_shared::pb;

use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::global::Global;
use crate::output::{Format, Json, print, print_limits};

/// Lists all limits.
pub(crate) async fn list(client: &Client, global: &Global) -> Result<Exit, Failure> {
    let limits = client.patiently("list the limits", || client.list_limits()).await?;
    match global.output {
        // Always the list here, even of one, so that its shape does not depend on what it holds.
        Format::Json => {
            let all = pb::ListLimitsResponse { limits, next_page_token: String::new() };
            print(&Json::new()?.document(&all)?)?;
        }
        format => print_limits(format, &limits)?,
    }
    Ok(Exit::OK)
}
