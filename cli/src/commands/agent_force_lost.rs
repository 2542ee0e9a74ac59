//! `windlass agent force-lost`: agents out of touch are taken for lost at once, with all that they ran.

use crate::agents::{self, ReasonedArgs};
use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::global::Global;
use crate::submit::request_id;

/// Takes the agents for lost and shows how each stands now.
pub(crate) async fn force_lost(client: &Client, global: &Global, args: &ReasonedArgs) -> Result<Exit, Failure> {
    agents::each(client, global, &args.which, async |id| {
        // One id for all tries: an answer that got lost is asked for again without saying the word twice.
        let request = request_id()?;
        client.patiently("take the agent for lost", || client.force_lost(id, &args.reason, &request)).await
    })
    .await
}
