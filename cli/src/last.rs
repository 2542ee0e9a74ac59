//! `@last`: the ids of the last submit, kept for each coordinator in the user's state directory.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::interject;
use crate::state;

/// Remembers the ids. Without a place for them nothing is kept, and only `@last` will miss it.
pub(crate) fn remember<'a>(address: &str, ids: impl Iterator<Item = &'a String>) {
    let Some(file) = file(address, |name| std::env::var_os(name)) else { return };
    if let Err(err) = write(&file, ids) {
        interject(&format!("@last will not know these jobs: {}: {err}", file.display()));
    }
}

/// The ids remembered.
pub(crate) fn recall(address: &str) -> Result<Vec<String>, Failure> {
    let none = || {
        Failure::new(Exit::NOT_FOUND, "NOT_FOUND", format!("@last: nothing was submitted to {address} from here yet"))
            .remedy("windlass job list")
    };
    let file = file(address, |name| std::env::var_os(name)).ok_or_else(none)?;
    match std::fs::read_to_string(&file) {
        Ok(text) => Ok(text.lines().map(str::to_owned).collect()),
        Err(err) if err.kind() == io::ErrorKind::NotFound => Err(none()),
        Err(err) => Err(Failure::io(format_args!("read {}", file.display()), &err)),
    }
}

// Into place in one step: two submits at a time leave the ids of one, never a mixture.
fn write<'a>(file: &Path, ids: impl Iterator<Item = &'a String>) -> io::Result<()> {
    let dir = file.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(dir)?;
    let mut fresh = io::BufWriter::new(tempfile::NamedTempFile::new_in(dir)?);
    for id in ids {
        writeln!(fresh, "{id}")?;
    }
    fresh.into_inner().map_err(io::IntoInnerError::into_error)?.persist(file)?;
    Ok(())
}

fn file(address: &str, var: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let safe = |c: char| if c.is_ascii_alphanumeric() || c == '.' || c == '-' { c } else { '_' };
    Some(state::dir(var)?.join("last").join(address.chars().map(safe).collect::<String>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file_with(vars: &[(&str, &str)]) -> Option<PathBuf> {
        let find = |name: &str| vars.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into());
        file("http://127.0.0.1:7070", find)
    }

    #[test]
    fn each_coordinator_has_its_own_file_in_the_state_directory() {
        let name = "windlass/last/http___127.0.0.1_7070";
        assert_eq!(file_with(&[("XDG_STATE_HOME", "/s"), ("HOME", "/h")]), Some(Path::new("/s").join(name)));
        assert_eq!(file_with(&[("HOME", "/h")]), Some(Path::new("/h/.local/state").join(name)));
        assert_eq!(file_with(&[]), None);
    }

    #[test]
    fn ids_are_kept_a_line_each_and_replace_the_ones_before() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("deep/er/file");
        write(&file, ["x".to_owned(), "y".to_owned()].iter()).expect("written");
        write(&file, ["a".to_owned()].iter()).expect("written");
        assert_eq!(std::fs::read_to_string(&file).expect("read"), "a\n");
        assert_eq!(std::fs::read_dir(dir.path().join("deep/er")).expect("a directory").count(), 1);
    }
}
