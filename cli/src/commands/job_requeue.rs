//! `windlass job requeue`: takes finished jobs in again.

use windlass_shared::pb;

use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::global::Global;
use crate::output::{job_table, print_jobs};
use crate::refs::{self, RefArgs};
use crate::submit::request_id;

/// Requeues the jobs and shows how each stands now.
pub(crate) async fn requeue(client: &Client, global: &Global, which: &RefArgs) -> Result<Exit, Failure> {
    let (mut jobs, mut refused): (Vec<pb::Job>, Option<Failure>) = (Vec::new(), None);
    for id in refs::resolve(client, which).await? {
        // One id for all tries: a job whose answer got lost is not taken in twice.
        let request = request_id()?;
        match client.patiently("requeue the job", || client.requeue_job(&id, &request)).await {
            Ok(job) => jobs.push(job),
            Err(failure) => drop(refused.get_or_insert(failure)),
        }
    }
    // Every job was asked for before the first refusal is told.
    if !jobs.is_empty() {
        print_jobs(global.output, &jobs, job_table)?;
    }
    refused.map_or(Ok(Exit::OK), Err)
}
