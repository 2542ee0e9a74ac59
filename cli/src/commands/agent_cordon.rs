//! `windlass agent cordon`: gives agents nothing new; what runs there goes on.

use crate::agents::{self, ReasonedArgs};
use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::global::Global;

/// Cordons the agents and shows how each stands now.
pub(crate) async fn cordon(client: &Client, global: &Global, args: &ReasonedArgs) -> Result<Exit, Failure> {
    agents::each(client, global, &args.which, async |id| {
        client.patiently("cordon the agent", || client.cordon_agent(id, &args.reason)).await
    })
    .await
}
