//! `windlass limit set`: how much of a key may be in use at a time, and how much may begin over time.

use windlass_shared::pb;

use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::global::Global;
use crate::output::print_limits;
use crate::rates::{Pace, parse_pace, rate};

/// Which limit, and what it allows.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("allowed").required(true).multiple(true).args(["max", "rate"]))]
pub(crate) struct Args {
    /// The key; or a beginning of keys with * at the end, in quotes: each key that begins so is counted by itself
    #[arg(value_name = "KEY")]
    key: String,
    /// Units in use at a time; 0: nothing goes
    #[arg(long, value_name = "NUMBER")]
    max: Option<u32>,
    /// What may begin over time: 10/s, 300/1m, 1000/h, 5/30s
    #[arg(long, value_name = "COST/PERIOD", value_parser = parse_pace)]
    rate: Option<Pace>,
    /// What may begin at once after a rest; 1 makes a steady flow [default: all of a period]
    #[arg(long, value_name = "COST", requires = "rate")]
    burst: Option<f64>,
}

/// Sets the limit and shows how it stands now.
pub(crate) async fn set(client: &Client, global: &Global, args: &Args) -> Result<Exit, Failure> {
    let request = pb::SetLimitRequest {
        key: args.key.clone(),
        max_units: args.max,
        rate: args.rate.as_ref().map(|pace| rate(pace, args.burst)),
        request_id: String::new(),
    };
    let limit = client.patiently("set the limit", || client.set_limit(request.clone())).await?;
    print_limits(global.output, &[limit])?;
    Ok(Exit::OK)
}
