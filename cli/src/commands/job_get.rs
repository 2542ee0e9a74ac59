//! `windlass job get`: jobs in full, with their attempts.

use windlass_shared::pb;

use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::fanout;
use crate::global::Global;
use crate::output::{job_sheet, print_jobs};
use crate::refs::{self, RefArgs};

/// Shows the jobs.
pub(crate) async fn get(client: &Client, global: &Global, args: &RefArgs) -> Result<Exit, Failure> {
    let ids = refs::resolve(client, args).await?;
    let answers = fanout::each(ids, |id| {
        let client = client.clone();
        async move { client.get_job(&id).await.map_err(|status| client.failure("show the job", &status)) }
    });
    let jobs = answers.await.into_iter().collect::<Result<Vec<pb::Job>, Failure>>()?;
    print_jobs(global.output, &jobs, |jobs| jobs.iter().map(job_sheet).collect::<Vec<_>>().join("\n"))?;
    Ok(Exit::OK)
}
