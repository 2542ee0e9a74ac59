//! Removing what jobs leave, whatever they left it as: in directories without a mode, as deep as a job had the patience to dig.
//!
//! A walk down a tree holds a descriptor and a stack frame for each level, and a path of its whole depth: a job that digs deep
//! enough would take the agent's descriptors from its neighbours, and stay. So nothing is walked here. What lies in a directory's
//! directory is moved up beside it, until everything lies in the first one.

use std::fs::{self, DirEntry, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Removes a directory with everything in it, or whatever a job put in its place. What is not there is removed. Links are not
/// followed: they lead to what is not ours.
///
/// # Errors
/// Why something stays, where something does; all else is gone.
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(found) if found.is_dir() => {
            open_up(path);
            Flat { top: path, moved: 0 }.empty()?;
            fs::remove_dir(path)
        }
        Ok(_) => fs::remove_file(path),
    }
}

/// A read-only directory, as Go's module cache is, keeps its owner from removing what is in it. What cannot be changed is found
/// out by the removal that follows.
fn open_up(dir: &Path) {
    let _ = fs::set_permissions(dir, Permissions::from_mode(0o700));
}

struct Flat<'a> {
    top: &'a Path,
    /// Names given so far to what was moved up.
    moved: u64,
}

/// How one look at a directory went.
#[derive(Default)]
struct Look {
    /// Entries that are not where they were any more.
    gone: u64,
    failed: Option<io::Error>,
}

impl Flat<'_> {
    /// Looks at the top again until nothing is in it: what is moved there while it is read may or may not be seen.
    fn empty(&mut self) -> io::Result<()> {
        loop {
            let look = look_through(self.top, |entry| self.remove(entry))?;
            match look.failed {
                None if look.gone == 0 => return Ok(()),
                Some(error) if look.gone == 0 => return Err(error),
                None | Some(_) => {}
            }
        }
    }

    fn remove(&mut self, entry: &DirEntry) -> io::Result<()> {
        let path = entry.path();
        if !entry.file_type()?.is_dir() {
            return fs::remove_file(path);
        }
        // Mostly it is empty, after the first look.
        if fs::remove_dir(&path).is_ok() {
            return Ok(());
        }
        open_up(&path);
        let inside = look_through(&path, |entry| match entry.file_type()?.is_dir() {
            true => self.move_up(&entry.path()),
            false => fs::remove_file(entry.path()),
        })?;
        match inside.failed {
            None => fs::remove_dir(path),
            // Progress all the same, or the look would be taken for one that leads nowhere.
            Some(_) if inside.gone > 0 => Ok(()),
            Some(error) => Err(error),
        }
    }

    fn move_up(&mut self, dir: &Path) -> io::Result<()> {
        // To change its parent, the directory itself must be ours to write.
        open_up(dir);
        fs::rename(dir, self.free_name())
    }

    fn free_name(&mut self) -> PathBuf {
        loop {
            self.moved += 1;
            let path = self.top.join(format!("windlass-{}", self.moved));
            if fs::symlink_metadata(&path).is_err() {
                return path;
            }
        }
    }
}

fn look_through(dir: &Path, mut remove: impl FnMut(&DirEntry) -> io::Result<()>) -> io::Result<Look> {
    let mut look = Look::default();
    for entry in fs::read_dir(dir)? {
        match entry.and_then(|entry| remove(&entry)) {
            Ok(()) => look.gone += 1,
            // Seen, and moved or removed since.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => look.failed = Some(error),
        }
    }
    Ok(look)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_removed_and_a_link_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        remove_tree(&dir.path().join("nothing")).unwrap();
        fs::create_dir(dir.path().join("outside")).unwrap();
        fs::write(dir.path().join("outside/precious"), "x").unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(dir.path().join("outside"), &link).unwrap();
        remove_tree(&link).unwrap();
        assert!(fs::symlink_metadata(&link).is_err() && dir.path().join("outside/precious").exists());
    }

    #[test]
    fn a_name_of_ours_that_the_job_took_is_not_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().join("top");
        for path in ["windlass-1/full", "windlass-2", "a/b/c/d", "a/windlass-1/x"] {
            fs::create_dir_all(top.join(path)).unwrap();
        }
        fs::write(top.join("windlass-3"), "x").unwrap();
        remove_tree(&top).unwrap();
        assert!(!top.exists());
    }
}
