//! The file: whose it must be, and what it can say.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::place::Place;
use super::rules::{Max, Policy, Rule, is_clean};
use crate::config::parse_time;

/// Nobody writes more by hand, and what was pointed at something else by mistake is not read into memory.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Entries of one rule: each attempt is compared with all of them.
const ENTRIES_MAX: usize = 256;
/// Bytes of one entry: the longest path there is.
const ENTRY_BYTES_MAX: usize = 4_096;
/// Bits of a mode that let somebody else than the owner write.
const OTHERS_WRITE: u32 = 0o022;

/// Why a policy is not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PolicyError {
    /// It cannot be read.
    #[error("{}: {source}", .path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    /// A directory, a pipe, a device.
    #[error("{}: is no regular file", .path.display())]
    NoFile { path: PathBuf },
    /// Somebody else's file.
    #[error("{}: belongs to user {uid}; it must be root's, or the agent's own user's: chown it", .path.display())]
    Owner { path: PathBuf, uid: u32 },
    /// Somebody else could change it.
    #[error("{}: mode {mode:03o} lets others write it: chmod go-w it", .path.display())]
    Writable { path: PathBuf, mode: u32 },
    /// More than a policy is.
    #[error("{}: is longer than {FILE_BYTES_MAX} bytes", .path.display())]
    TooLong { path: PathBuf },
    /// No TOML, or keys that a policy has not.
    #[error("{place}: {problem}")]
    Syntax { place: Place, problem: String },
    /// A rule that cannot be right.
    #[error("{place}: {rule} {problem}")]
    Rule { place: Place, rule: &'static str, problem: String },
}

/// What a file may say. An unknown key is refused by name: a misspelt rule is no rule.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    programs: Option<Spanned<Vec<String>>>,
    users: Option<Spanned<Vec<String>>>,
    cwd_roots: Option<Spanned<Vec<String>>>,
    env: Option<Spanned<Vec<String>>>,
    #[serde(default)]
    max: SaidMax,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct SaidMax {
    run_timeout: Option<Spanned<String>>,
    stop_grace: Option<Spanned<String>>,
    stdin_bytes: Option<Spanned<u64>>,
    memory_bytes: Option<Spanned<u64>>,
    pids: Option<Spanned<u32>>,
}

impl Policy {
    /// Reads a policy that nobody but root and the agent's own user can have written.
    ///
    /// # Errors
    /// What is wrong with the file, or with what it says and in which line.
    pub(crate) fn read(path: &Path) -> Result<Self, PolicyError> {
        let text = text(path, rustix::process::geteuid().as_raw())?;
        Self::parse(path, &text)
    }

    pub(super) fn parse(path: &Path, text: &str) -> Result<Self, PolicyError> {
        let reader = Reader { path, text };
        let said: Said = toml::from_str(text).map_err(|err| PolicyError::Syntax {
            place: reader.place(err.span().map_or(0, |span| span.start)),
            problem: err.message().to_owned(),
        })?;
        let Said { programs, users, cwd_roots, env, max } = said;
        let path_or_beginning = |entry: &str| {
            let path = entry.strip_suffix('*').unwrap_or(entry);
            // "/opt/*" is "/opt/", which a path that ends there is not.
            if is_clean(path.strip_suffix('/').unwrap_or(path)) { Ok(()) } else { Err(NO_PATH) }
        };
        let directory = |entry: &str| if entry == "/" || is_clean(entry) { Ok(()) } else { Err(NO_PATH) };
        let name = |entry: &str| {
            let name = entry.strip_suffix('*').unwrap_or(entry);
            let plain = !name.contains(['=', '*', '\0']) && !entry.is_empty();
            if plain { Ok(()) } else { Err("must be a name, or the beginning of one and *") }
        };
        let user = |entry: &str| if entry.is_empty() || entry.contains([':', '\0']) { Err(NO_USER) } else { Ok(()) };
        Ok(Self {
            programs: reader.entries("programs", programs, path_or_beginning)?,
            users: reader.entries("users", users, user)?,
            cwd_roots: reader.entries("cwd_roots", cwd_roots, directory)?,
            env: reader.entries("env", env, name)?,
            max: Max {
                run_timeout: reader.time("max.run_timeout", max.run_timeout)?,
                stop_grace: reader.time("max.stop_grace", max.stop_grace)?,
                stdin_bytes: max.stdin_bytes.map(|said| reader.rule(said)),
                memory_bytes: max.memory_bytes.map(|said| reader.rule(said)),
                pids: max.pids.map(|said| reader.rule(said)),
            },
        })
    }
}

const NO_PATH: &str = "must be whole paths, without `.` and `..`";
const NO_USER: &str = "must be names or numbers of users";

/// The text of a file that is to be trusted. Asked of the open file, so that what is read is what was looked at.
fn text(path: &Path, own_uid: u32) -> Result<String, PolicyError> {
    let unreadable = |source| PolicyError::Unreadable { path: path.into(), source };
    // A pipe in its place must not hold up the start.
    let open = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let file = open.map_err(unreadable)?;
    trust(path, &file.metadata().map_err(unreadable)?, own_uid)?;
    let mut text = String::new();
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(PolicyError::TooLong { path: path.into() });
    }
    Ok(text)
}

pub(super) fn trust(path: &Path, file: &Metadata, own_uid: u32) -> Result<(), PolicyError> {
    let (path, uid, mode) = (path.to_path_buf(), file.uid(), file.mode() & 0o777);
    if !file.is_file() {
        return Err(PolicyError::NoFile { path });
    }
    if uid != 0 && uid != own_uid {
        return Err(PolicyError::Owner { path, uid });
    }
    if mode & OTHERS_WRITE != 0 {
        return Err(PolicyError::Writable { path, mode });
    }
    Ok(())
}

/// What is read, to name its lines.
struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Reader<'_> {
    fn place(&self, at: usize) -> Place {
        let line = 1 + self.text.bytes().take(at).filter(|byte| *byte == b'\n').count();
        Place { file: self.path.into(), line }
    }

    fn rule<T>(&self, said: Spanned<T>) -> Rule<T> {
        let place = self.place(said.span().start);
        Rule { place, allows: said.into_inner() }
    }

    fn entries(
        &self,
        rule: &'static str,
        said: Option<Spanned<Vec<String>>>,
        check: impl Fn(&str) -> Result<(), &'static str>,
    ) -> Result<Option<Rule<Vec<String>>>, PolicyError> {
        let Some(said) = said.map(|said| self.rule(said)) else { return Ok(None) };
        let bad = |problem: String| PolicyError::Rule { place: said.place.clone(), rule, problem };
        if said.allows.len() > ENTRIES_MAX {
            return Err(bad(format!("holds {} entries, the limit is {ENTRIES_MAX}", said.allows.len())));
        }
        for entry in &said.allows {
            let fits = if entry.len() > ENTRY_BYTES_MAX { Err("must be of at most 4096 bytes") } else { check(entry) };
            fits.map_err(|problem| bad(format!("{problem}: {entry:?}")))?;
        }
        Ok(Some(said))
    }

    fn time(&self, rule: &'static str, said: Option<Spanned<String>>) -> Result<Option<Rule<Duration>>, PolicyError> {
        let Some(said) = said.map(|said| self.rule(said)) else { return Ok(None) };
        match parse_time(&said.allows) {
            Ok(allows) => Ok(Some(Rule { place: said.place, allows })),
            Err(problem) => Err(PolicyError::Rule { place: said.place, rule, problem }),
        }
    }
}
