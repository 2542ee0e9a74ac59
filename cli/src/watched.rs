//! A directory's files, to see that one has changed. Looked at, not listened to: no limit of the host is taken, and any file system
//! will do.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Files that are looked at; past it, those that come later in a directory's own order are left alone.
const FILES_MAX: usize = 10_000;
/// Directories whose files follow from others, or are others' affair.
const PASSED_OVER: [&str; 3] = ["node_modules", "target", "__pycache__"];

/// When each file was changed last, and how long it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snapshot(BTreeMap<PathBuf, (Option<SystemTime>, u64)>);

impl Snapshot {
    /// Of everything below `root`, but for what is hidden or made of the rest.
    pub(crate) fn take(root: &Path) -> Self {
        let (mut files, mut open) = (BTreeMap::new(), vec![root.to_owned()]);
        while let Some(directory) = open.pop() {
            // What goes while we look is seen by the next look.
            for entry in std::fs::read_dir(&directory).into_iter().flatten().flatten() {
                let name = entry.file_name();
                let name = name.to_string_lossy();
                let Ok(meta) = entry.metadata() else { continue };
                if name.starts_with('.') || PASSED_OVER.contains(&&*name) {
                } else if meta.is_dir() {
                    open.push(entry.path());
                } else if files.len() < FILES_MAX {
                    files.insert(entry.path(), (meta.modified().ok(), meta.len()));
                }
            }
        }
        Self(files)
    }

    /// A file that is not as it was in `before`.
    pub(crate) fn changed<'a>(&'a self, before: &'a Self) -> Option<&'a Path> {
        let new = self.0.iter().find(|(path, state)| before.0.get(*path) != Some(state));
        new.or_else(|| before.0.iter().find(|(path, _)| !self.0.contains_key(*path))).map(|(path, _)| path.as_path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_seen_wherever_it_is_and_what_is_made_of_the_rest_is_not() {
        let dir = tempfile::tempdir().expect("a directory");
        let put = |path: &str, text: &str| {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            std::fs::write(&path, text).expect("written");
            path
        };
        let look = || Snapshot::take(dir.path());
        put("a.py", "1");
        let deep = put("b/c/d.py", "1");
        let before = look();
        assert_eq!(before.changed(&before), None);
        for path in ["node_modules/x.js", "b/target/x", "__pycache__/a.pyc", ".git/HEAD"] {
            put(path, "1");
        }
        assert_eq!(look().changed(&before), None);
        put("b/c/d.py", "12");
        assert_eq!(look().changed(&before), Some(deep.as_path()));
        let before = look();
        std::fs::remove_file(&deep).expect("removed");
        assert_eq!(look().changed(&before), Some(deep.as_path()));
        let before = look();
        let new = put("new.py", "");
        assert_eq!(look().changed(&before), Some(new.as_path()));
    }
}
