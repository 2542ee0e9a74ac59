//! `windlass pool scale`: other bounds on a pool's workers, until its configuration is read again.

use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::global::Global;
use crate::output::print_pool;
use crate::pools::PoolArgs;

/// Which pool, and how many workers.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("bounds").required(true).multiple(true).args(["min", "max"]))]
pub(crate) struct Args {
    #[command(flatten)]
    which: PoolArgs,
    /// Workers that always run [default: as many as now, and at most --max]
    #[arg(long, value_name = "NUMBER")]
    min: Option<u32>,
    /// Workers that may run [default: as many as now, and at least --min]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=1_024))]
    max: Option<u32>,
}

/// Scales the pool and shows how it stands now.
pub(crate) async fn scale(client: &Client, global: &Global, args: &Args) -> Result<Exit, Failure> {
    let place = args.which.resolve(client).await?;
    let now = client.patiently("show the pool", || client.get_pool(&place)).await?;
    let (min, max) = bounds(args.min, args.max, (now.min_workers, now.max_workers));
    let pool = client.patiently("scale the pool", || client.scale_pool(&place, min, max)).await?;
    print_pool(global.output, &pool)?;
    Ok(Exit::OK)
}

// What was not said follows what was. What was said is never changed: where both make no sense, the coordinator says so.
fn bounds(min: Option<u32>, max: Option<u32>, now: (u32, u32)) -> (u32, u32) {
    match (min, max) {
        (Some(min), Some(max)) => (min, max),
        (Some(min), None) => (min, now.1.max(min)),
        (None, Some(max)) => (now.0.min(max), max),
        (None, None) => now,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_that_was_not_said_follows_the_one_that_was() {
        assert_eq!(bounds(None, Some(2), (3, 4)), (2, 2));
        assert_eq!(bounds(None, Some(9), (3, 4)), (3, 9));
        assert_eq!(bounds(Some(6), None, (3, 4)), (6, 6));
        assert_eq!(bounds(Some(0), None, (3, 4)), (0, 4));
        assert_eq!(bounds(Some(5), Some(2), (3, 4)), (5, 2), "for the coordinator to refuse");
    }
}
