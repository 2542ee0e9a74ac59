//! `windlass init`: a worker to begin with.

use std::path::PathBuf;

use clap::ValueHint;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::print;
use crate::skeleton::{self, Language};

/// In what, and where.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Language of the worker
    #[arg(long, value_name = "LANGUAGE")]
    lang: Language,
    /// Directory to write to, made where it is not there [default: this one]
    #[arg(value_name = "DIR", default_value = ".", hide_default_value = true, value_hint = ValueHint::DirPath)]
    dir: PathBuf,
}

/// Writes it, and says what to do next.
pub(crate) fn init(args: &Args) -> Result<Exit, Failure> {
    print(&skeleton::write(args.lang, &args.dir)?)?;
    Ok(Exit::OK)
}
