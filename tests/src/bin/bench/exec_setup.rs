//! `exec_setup`: what all of a command's confinement costs a spawn, and `exec_setup_1gb`: what an agent's own size does.

use std::ffi::OsString;

use crate::raw::{Raw, spawn_rate};
use crate::{Args, Figure, median};

const AGENTS: usize = 2;
const SLOTS: usize = 4;
/// MiB in memory of a small agent, and of a large one.
const SMALL: usize = 50;
const LARGE: usize = 1_024;

pub(crate) fn run(args: &Args) -> Result<Vec<Figure>, OsString> {
    let bare = Raw { ballast_mib: SMALL, ..Raw::bare(args.containment) };
    let full = Raw { full: true, ..bare };
    let large = Raw { ballast_mib: LARGE, ..full };
    let mut rates = [bare, full, large].map(|raw| (raw, Vec::new()));
    // Interleaved: what else the machine does falls on all.
    for _ in 0..args.rounds {
        for (raw, rates) in &mut rates {
            rates.push(spawn_rate(AGENTS, SLOTS, args.jobs, *raw)?);
        }
    }
    let [bare, full, large] = rates.map(|(_, rates)| median(rates));
    let figure = |scenario, jobs_per_s, limit, limit_is, floor| Figure::Rate {
        scenario,
        jobs_per_s,
        limit,
        limit_is,
        floor,
        least: 0.0,
    };
    Ok(vec![
        figure("exec_setup", full, bare, "raw spawns/s, same containment, not confined", 0.8),
        figure("exec_setup_1gb", large, full, "the same from a process with 50 MiB in memory", 0.9),
    ])
}
