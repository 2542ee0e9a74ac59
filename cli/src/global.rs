//! The flags that every command takes.

use std::time::Duration;

use crate::client::DEFAULT_ADDRESS;
use crate::humane::parse_duration;
use crate::output::Format;

/// What every command takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Global {
    /// Where the coordinator is
    #[arg(short, long, global = true, env = "WINDLASS_ADDRESS", hide_env_values = true, default_value = DEFAULT_ADDRESS, value_name = "URL")]
    #[arg(help_heading = "Global")]
    pub(crate) address: String,
    /// How long to bear with a coordinator that is out of reach; where it is given, also before the first answer
    /// [default: 30s, once connected]
    #[arg(long, global = true, env = "WINDLASS_PATIENCE", hide_env_values = true, value_name = "TIME")]
    #[arg(value_parser = parse_duration, help_heading = "Global")]
    pub(crate) patience: Option<Duration>,
    /// How results are written: table for people, json (one document) or jsonl (one object a line) by the protobuf mapping,
    /// or id alone
    #[arg(short, long, global = true, value_enum, default_value_t, hide_possible_values = true, value_name = "FORMAT")]
    #[arg(help_heading = "Global")]
    pub(crate) output: Format,
}
