//! Directories on a user's way.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::process::User;

const OWNER_MAY_PASS: u32 = 0o100;
const GROUP_MAY_PASS: u32 = 0o010;
const OTHERS_MAY_PASS: u32 = 0o001;

/// The first directory from the root to `path` that `user` may not pass through, as far as modes tell: access lists may say
/// otherwise.
pub(super) fn barred(user: &User, path: &Path) -> Option<PathBuf> {
    let mut way: Vec<&Path> = path.ancestors().collect();
    way.reverse();
    let is_barred = |directory: &&Path| fs::metadata(directory).is_ok_and(|seen| !may_pass(user, &seen));
    way.into_iter().find(is_barred).map(Path::to_path_buf)
}

fn may_pass(user: &User, directory: &fs::Metadata) -> bool {
    let bit = if directory.uid() == user.uid {
        OWNER_MAY_PASS
    } else if directory.gid() == user.gid || user.groups.contains(&directory.gid()) {
        GROUP_MAY_PASS
    } else {
        OTHERS_MAY_PASS
    };
    user.uid == 0 || directory.mode() & bit != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_first_directory_that_keeps_a_user_out_is_named() {
        let top = tempfile::tempdir().unwrap();
        let data = top.path().join("a/b");
        fs::create_dir_all(&data).unwrap();
        let seen = fs::metadata(&data).unwrap();
        let stranger = User { uid: seen.uid() + 7, gid: seen.gid() + 7, groups: vec![] };
        let member = User { groups: vec![seen.gid()], ..stranger.clone() };
        let chmod = |path: PathBuf, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        chmod(top.path().into(), 0o711);
        chmod(top.path().join("a"), 0o750);
        chmod(data.clone(), 0o700);
        assert_eq!(barred(&stranger, &data), Some(top.path().join("a")));
        assert_eq!(barred(&member, &data), Some(data.clone()));
        chmod(top.path().join("a"), 0o711);
        chmod(data.clone(), 0o711);
        assert_eq!(barred(&stranger, &data), None);
    }
}
