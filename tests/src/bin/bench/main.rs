//! Benchmarks: each figure beside the raw limit of the same machine in the same run, since only ratios travel.
//!
//! ```text
//! cargo run --release -p windlass-tests --bin bench -- --json [--scenario exec_true] [--jobs N]
//! ```
//!
//! One object a line: `scenario`, `jobs_per_s` (or `value` and `unit`), `limit`, `ratio`. Ends with 1 where a ratio is below its
//! floor or a value above its ceiling. Floors are checked here and never by `cargo test`: on a shared machine a time is not a fact.

mod agent_calls;
mod calls;
mod cluster;
mod decide;
mod echo;
mod exec_setup;
mod exec_true;
mod latency;
mod million;
mod raw;
mod sdks;
mod submit;

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use windlass_shared::role::{Role, dispatch};
use windlass_worker_agent::containment::Choice;

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
    /// What holds the commands of `exec_true`, in the agents and in what they are held against. Not `auto`: a figure says what of.
    #[arg(long, default_value = "keeper")]
    containment: Choice,
    /// Rounds; the median counts.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

/// One figure and what it is held against.
#[derive(Debug, Clone)]
pub(crate) enum Figure {
    /// A rate, beside the raw limit of the same machine in the same run.
    Rate {
        scenario: &'static str,
        /// Per second.
        jobs_per_s: f64,
        /// The raw limit, per second.
        limit: f64,
        /// What the limit is.
        limit_is: &'static str,
        /// The least the ratio may be.
        floor: f64,
        /// The least the rate may be, whatever the machine.
        least: f64,
    },
    /// A quantity that must stay below a ceiling.
    Value {
        scenario: &'static str,
        value: f64,
        unit: &'static str,
        ceiling: f64,
        /// What the ceiling is made of.
        ceiling_is: String,
    },
}

impl Figure {
    fn scenario(&self) -> &'static str {
        match self {
            Self::Rate { scenario, .. } | Self::Value { scenario, .. } => scenario,
        }
    }

    /// Whether it is what it must be; a figure that is no number never is.
    fn holds(&self) -> bool {
        match self {
            Self::Rate { jobs_per_s, limit, floor, least, .. } => jobs_per_s / limit >= *floor && jobs_per_s >= least,
            Self::Value { value, ceiling, .. } => value <= ceiling,
        }
    }

    fn json(&self) -> serde_json::Value {
        let round = |figure: f64, digits: f64| (figure * digits).round() / digits;
        match self {
            Self::Rate { scenario, jobs_per_s, limit, limit_is, floor, least } => serde_json::json!({
                "scenario": scenario, "jobs_per_s": round(*jobs_per_s, 1.0), "limit": round(*limit, 1.0),
                "limit_is": limit_is, "ratio": round(jobs_per_s / limit, 1000.0), "floor": floor, "least": least,
            }),
            Self::Value { scenario, value, unit, ceiling, ceiling_is } => serde_json::json!({
                "scenario": scenario, "value": round(*value, 100.0), "unit": unit, "limit": round(*ceiling, 100.0),
                "limit_is": ceiling_is, "ratio": round(value / ceiling, 1000.0),
            }),
        }
    }

    fn print(&self, json: bool) {
        match self {
            _ if json => println!("{}", self.json()),
            Self::Rate { scenario, jobs_per_s, limit, limit_is, floor, least } => {
                let ratio = jobs_per_s / limit;
                println!(
                    "{scenario}: {jobs_per_s:.0} jobs/s, {ratio:.2} of {limit:.0} ({limit_is}); floor {floor}, {least}/s"
                );
            }
            Self::Value { scenario, value, unit, ceiling, ceiling_is } => {
                println!("{scenario}: {value:.2} {unit}; ceiling {ceiling:.0} ({ceiling_is})");
            }
        }
    }
}

/// The middle one of several figures.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// What went wrong, in its own words.
pub(crate) fn said(err: impl std::fmt::Display) -> OsString {
    err.to_string().into()
}

/// How long, in microseconds.
pub(crate) fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// Runs on this thread alone: what is measured is another process, and a second thread here would take its core. At the end
/// all connections are closed; what comes out may hold the processes, which then end without waiting for any.
pub(crate) fn alone<T>(work: impl Future<Output = Result<T, OsString>>) -> Result<T, OsString> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|err| format!("a runtime: {err}"))?.block_on(work)
}

const ROLES: [Role; 4] = [
    Role { name: "__warden", run: windlass_worker_agent::warden::main },
    Role { name: raw::ROLE, run: raw::main },
    Role { name: echo::ROLE, run: echo::main },
    Role { name: sdks::ROLE, run: sdks::main },
];

/// What is run at once, and the figures it prints.
struct Scenario {
    prints: &'static [&'static str],
    run: fn(&Args) -> Result<Vec<Figure>, OsString>,
}

const SCENARIOS: [Scenario; 11] = [
    Scenario { prints: &["exec_true"], run: exec_true::run },
    Scenario { prints: &["exec_setup", "exec_setup_1gb"], run: exec_setup::run },
    Scenario { prints: &["call_throughput"], run: calls::run },
    Scenario { prints: &["call_idle_latency"], run: latency::run },
    Scenario { prints: &["agent_calls"], run: agent_calls::run },
    Scenario { prints: &["sdk_rust"], run: sdks::rust },
    Scenario { prints: &["sdk_python"], run: sdks::python },
    Scenario { prints: &["submit_unary"], run: submit::unary },
    Scenario { prints: &["submit_batch"], run: submit::batch },
    Scenario { prints: &["decide", "decide_scale"], run: decide::run },
    Scenario { prints: &["memory_1m", "memory_1m_restarted", "restart_1m"], run: million::run },
];

fn main() -> ExitCode {
    if let Some(code) = dispatch(&ROLES) {
        return code;
    }
    let args = Args::parse();
    let wanted = |name: &str| args.scenario.as_deref().is_none_or(|only| only == name);
    let mut code = ExitCode::SUCCESS;
    let mut ran = 0;
    for scenario in SCENARIOS.iter().filter(|scenario| scenario.prints.iter().any(|name| wanted(name))) {
        ran += 1;
        match (scenario.run)(&args) {
            Ok(figures) => {
                for figure in figures.iter().filter(|figure| wanted(figure.scenario())) {
                    figure.print(args.json);
                    if !figure.holds() {
                        code = ExitCode::FAILURE;
                    }
                }
            }
            Err(why) => {
                eprintln!("bench: {}", why.display());
                code = ExitCode::FAILURE;
            }
        }
    }
    if ran == 0 {
        let names: Vec<&str> = SCENARIOS.iter().flat_map(|scenario| scenario.prints).copied().collect();
        eprintln!("bench: no such scenario; there are: {}", names.join(", "));
        code = ExitCode::FAILURE;
    }
    code
}
