//! The project's files.

use std::fs;
use std::path::{Path, PathBuf};

/// One text file.
#[derive(Debug)]
pub struct File {
    /// From the project's root, with `/`.
    pub path: String,
    /// What it holds.
    pub text: String,
}

/// Built or fetched, not written.
const SKIPPED: [&str; 5] = [".git", "target", "node_modules", "__pycache__", "dist"];

/// The project's root.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package sits in the project's root").to_owned()
}

/// Every text file of the project, by path.
///
/// # Panics
/// Where one cannot be read.
#[must_use]
pub fn files() -> Vec<File> {
    let root = root();
    let mut paths = Vec::new();
    collect(&root, &mut paths);
    paths.sort();
    let read = |path: PathBuf| {
        let bytes = fs::read(&path).unwrap_or_else(|err| panic!("{}: {err}", path.display()));
        let relative = path.strip_prefix(&root).expect("found under the root");
        Some(File { path: relative.to_string_lossy().into_owned(), text: String::from_utf8(bytes).ok()? })
    };
    paths.into_iter().filter_map(read).collect()
}

/// The same, of one kind: `ending` such as `.rs`.
#[must_use]
pub fn files_ending(ending: &str) -> Vec<File> {
    files().into_iter().filter(|file| file.path.ends_with(ending)).collect()
}

fn collect(folder: &Path, into: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|err| panic!("{}: {err}", folder.display()));
    for entry in entries {
        let path = entry.expect("the folder was opened").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if SKIPPED.contains(&&*name) || path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            collect(&path, into);
        } else if path.is_file() {
            into.push(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_walk_finds_this_file_and_nothing_that_was_built() {
        let files = files();
        assert!(files.iter().any(|file| file.path == "tests/src/tidy/tree.rs"));
        assert!(files.iter().any(|file| file.path == ".ci/run"));
        assert!(!files.iter().any(|file| file.path.starts_with("target/") || file.path.starts_with(".git/")));
    }
}
