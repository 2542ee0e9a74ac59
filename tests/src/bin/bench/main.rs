//! Benchmarks: each figure beside the raw limit of the same machine in the same run, since only ratios travel.
//!
//! ```text
//! cargo run --release -p windlass-tests --bin bench -- --json [--scenario exec_true] [--jobs N]
//! ```
//!
//! One object a line: `scenario`, `jobs_per_s` (or `value` and `unit`), `limit`, `ratio`, `floor`. Ends with 1 where a ratio is
//! below its floor. Floors are checked here and never by `cargo test`: on a shared machine a time is not a fact.

mod cluster;
mod exec_true;
mod raw;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use windlass_shared::role::{Role, dispatch};

/// Measures Windlass against the raw limits of this machine.
#[derive(Debug, Parser)]
#[command(name = "bench")]
pub(crate) struct Args {
    /// One JSON object a line instead of text.
    #[arg(long)]
    json: bool,
    /// Only this scenario.
    #[arg(long)]
    scenario: Option<String>,
    /// Jobs a round.
    #[arg(long, default_value_t = 4_000)]
    jobs: usize,
    /// Rounds; the median counts.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

/// One figure and the limit it is held against.
#[derive(Debug, Clone)]
pub(crate) struct Figure {
    pub(crate) scenario: &'static str,
    /// Per second.
    pub(crate) jobs_per_s: f64,
    /// The raw limit, per second.
    pub(crate) limit: f64,
    /// What the limit is.
    pub(crate) limit_is: &'static str,
    /// The least the ratio may be.
    pub(crate) floor: f64,
}

impl Figure {
    fn ratio(&self) -> f64 {
        self.jobs_per_s / self.limit
    }

    fn print(&self, json: bool) {
        let Self { scenario, jobs_per_s, limit, limit_is, floor } = self;
        let ratio = self.ratio();
        if json {
            let round = |figure: f64, digits: f64| (figure * digits).round() / digits;
            let line = serde_json::json!({
                "scenario": scenario, "jobs_per_s": round(*jobs_per_s, 1.0), "limit": round(*limit, 1.0),
                "limit_is": limit_is, "ratio": round(ratio, 1000.0), "floor": floor,
            });
            println!("{line}");
        } else {
            println!("{scenario}: {jobs_per_s:.0} jobs/s, {ratio:.2} of {limit:.0} ({limit_is}); floor {floor}");
        }
    }
}

/// The middle one of several figures.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

const ROLES: [Role; 2] =
    [Role { name: "__warden", run: windlass_worker_agent::warden::main }, Role { name: raw::ROLE, run: raw::main }];

type Scenario = fn(&Args) -> Result<Figure, OsString>;
const SCENARIOS: [(&str, Scenario); 1] = [("exec_true", exec_true::run)];

fn main() -> ExitCode {
    if let Some(code) = dispatch(&ROLES) {
        return code;
    }
    let args = Args::parse();
    let wanted = |name: &&str| args.scenario.as_deref().is_none_or(|only| only == *name);
    let mut code = ExitCode::SUCCESS;
    let mut ran = 0;
    for (_, run) in SCENARIOS.iter().filter(|(name, _)| wanted(name)) {
        ran += 1;
        match run(&args) {
            Ok(figure) => {
                figure.print(args.json);
                // A ratio that is no number is below every floor.
                let held = figure.ratio() >= figure.floor;
                if !held {
                    code = ExitCode::FAILURE;
                }
            }
            Err(why) => {
                eprintln!("bench: {}", why.display());
                code = ExitCode::FAILURE;
            }
        }
    }
    if ran == 0 {
        eprintln!("bench: no such scenario; there are: {}", SCENARIOS.map(|(name, _)| name).join(", "));
        code = ExitCode::FAILURE;
    }
    code
}
