//! `windlass queue set`: how a queue is served, and how much it takes.

use std::time::Duration;

use windlass_shared::pb;

use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::global::Global;
use crate::humane::parse_duration;
use crate::output::print_queues;
use crate::rates::{Pace, parse_pace, rate};
use crate::spec::span;

/// Which queue, and what is set of it.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true)
    .args(["weight", "max_running", "rate", "max_depth", "max_bytes", "aging_step", "placement", "fairness_weight",
        "unsatisfiable_after", "unset"]))]
pub(crate) struct Args {
    /// Name of the queue
    #[arg(value_name = "QUEUE")]
    queue: String,
    /// Its share beside other queues' [1 where it is not set]
    #[arg(long, value_name = "NUMBER")]
    weight: Option<u32>,
    /// Jobs of it that agents have at a time; 0: none go
    #[arg(long, value_name = "NUMBER")]
    max_running: Option<u32>,
    /// Jobs of it that begin over time: 10/s, 300/1m, 1000/h
    #[arg(long, value_name = "JOBS/PERIOD", value_parser = parse_pace)]
    rate: Option<Pace>,
    /// Jobs that may begin at once after a rest; 1 makes a steady flow [default: all of a period]
    #[arg(long, value_name = "JOBS", requires = "rate")]
    burst: Option<f64>,
    /// Jobs that may wait in it; past it submits are refused
    #[arg(long, value_name = "NUMBER")]
    max_depth: Option<u32>,
    /// Bytes of the specs of jobs that may wait in it
    #[arg(long, value_name = "BYTES")]
    max_bytes: Option<u64>,
    /// Waiting time that counts as much as one step of priority [1m where it is not set]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    aging_step: Option<Duration>,
    /// Which of the agents that have room gets a job
    #[arg(long, value_name = "POLICY")]
    placement: Option<Placement>,
    /// Share of a fairness key, such as a tenant, beside the others'; may be repeated, and leaves those not named as they are
    #[arg(long, value_name = "KEY=NUMBER", value_parser = key_weight)]
    fairness_weight: Vec<(String, u32)>,
    /// Time after which a job fails that no known agent could ever run
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    unsatisfiable_after: Option<Duration>,
    /// Take back what was set; may be repeated
    #[arg(long, value_name = "FIELD")]
    unset: Vec<Field>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Placement {
    LeastLoaded,
    RoundRobin,
    WeightedRoundRobin,
    BinPack,
    Spread,
    Sticky,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Field {
    Weight,
    MaxRunning,
    Rate,
    MaxDepth,
    MaxBytes,
    AgingStep,
    Placement,
    FairnessWeights,
    UnsatisfiableAfter,
}

/// Sets it and shows how the queue stands now.
pub(crate) async fn set(client: &Client, global: &Global, args: &Args) -> Result<Exit, Failure> {
    let now = client.patiently("show the queue", || client.get_queue(&args.queue)).await?;
    let request = request(args, now.settings.unwrap_or_default());
    let queue = client.patiently("set the queue", || client.update_queue(request.clone())).await?;
    print_queues(global.output, &[queue])?;
    Ok(Exit::OK)
}

fn request(args: &Args, now: pb::QueueSettings) -> pb::UpdateQueueRequest {
    let mut weights = now.fairness_weights;
    if args.unset.contains(&Field::FairnessWeights) {
        weights.clear();
    }
    weights.extend(args.fairness_weight.iter().cloned());
    let settings = pb::QueueSettings {
        weight: args.weight,
        max_running: args.max_running,
        rate: args.rate.as_ref().map(|pace| rate(pace, args.burst)),
        max_depth: args.max_depth,
        max_bytes: args.max_bytes,
        aging_step: args.aging_step.map(span),
        placement: args.placement.map_or(0, |placement| placement.to_wire().into()),
        fairness_weights: weights,
        unsatisfiable_after: args.unsatisfiable_after.map(span),
    };
    let update_mask = Some(prost_types::FieldMask { paths: paths(args) });
    pb::UpdateQueueRequest {
        queue: args.queue.clone(),
        settings: Some(settings),
        update_mask,
        request_id: String::new(),
    }
}

/// What was said, and what is taken back.
fn paths(args: &Args) -> Vec<String> {
    let said = [
        (Field::Weight, args.weight.is_some()),
        (Field::MaxRunning, args.max_running.is_some()),
        (Field::Rate, args.rate.is_some()),
        (Field::MaxDepth, args.max_depth.is_some()),
        (Field::MaxBytes, args.max_bytes.is_some()),
        (Field::AgingStep, args.aging_step.is_some()),
        (Field::Placement, args.placement.is_some()),
        (Field::FairnessWeights, !args.fairness_weight.is_empty()),
        (Field::UnsatisfiableAfter, args.unsatisfiable_after.is_some()),
    ];
    let named = said.into_iter().filter(|(field, said)| *said || args.unset.contains(field));
    named.map(|(field, _)| field.path().to_owned()).collect()
}

impl Field {
    fn path(self) -> &'static str {
        match self {
            Self::Weight => "weight",
            Self::MaxRunning => "max_running",
            Self::Rate => "rate",
            Self::MaxDepth => "max_depth",
            Self::MaxBytes => "max_bytes",
            Self::AgingStep => "aging_step",
            Self::Placement => "placement",
            Self::FairnessWeights => "fairness_weights",
            Self::UnsatisfiableAfter => "unsatisfiable_after",
        }
    }
}

impl Placement {
    fn to_wire(self) -> pb::queue_settings::Placement {
        use pb::queue_settings::Placement as Wire;
        match self {
            Self::LeastLoaded => Wire::LeastLoaded,
            Self::RoundRobin => Wire::RoundRobin,
            Self::WeightedRoundRobin => Wire::WeightedRoundRobin,
            Self::BinPack => Wire::BinPack,
            Self::Spread => Wire::Spread,
            Self::Sticky => Wire::Sticky,
        }
    }
}

fn key_weight(text: &str) -> Result<(String, u32), String> {
    let wrong = || format!("{text:?} is no weight of a key; write tenant-a=5");
    let (key, weight) = text.rsplit_once('=').ok_or_else(wrong)?;
    Ok((key.to_owned(), weight.parse().map_err(|_| wrong())?))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn asked(line: &str, now: pb::QueueSettings) -> pb::UpdateQueueRequest {
        request(&Line::try_parse_from(line.split(' ')).expect("it parses").args, now)
    }

    #[test]
    fn only_what_is_said_is_set_and_what_is_unset_is_taken_back() {
        let asked =
            asked("set bulk --max-running 2 --rate 10/s --burst 1 --unset weight", pb::QueueSettings::default());
        assert_eq!(asked.update_mask.expect("a mask").paths, ["weight", "max_running", "rate"]);
        let settings = asked.settings.expect("settings");
        assert_eq!((settings.weight, settings.max_running), (None, Some(2)));
    }

    #[test]
    fn weights_of_other_keys_stay_unless_all_are_taken_back() {
        let now = pb::QueueSettings { fairness_weights: [("a".into(), 2)].into(), ..Default::default() };
        let weights = |line: &str| asked(line, now.clone()).settings.expect("settings").fairness_weights;
        assert_eq!(weights("set bulk --fairness-weight b=3"), [("a".to_owned(), 2), ("b".to_owned(), 3)].into());
        assert_eq!(weights("set bulk --fairness-weight b=3 --unset fairness-weights"), [("b".to_owned(), 3)].into());
    }
}
