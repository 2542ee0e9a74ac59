//! What this host offers: where version 2 of control groups is mounted, where in it we are, and whether that part is ours.

use std::path::{Path, PathBuf};

use rustix::fs::FsWord;

/// Where everybody mounts them.
pub(super) const MOUNT: &str = "/sys/fs/cgroup";
/// Where hybrid hosts, which keep their controllers in version 1, mount version 2.
const HYBRID: &str = "unified";

const CGROUP2_MAGIC: FsWord = 0x6367_7270;

/// Set by systemd on what it leaves to us (`Delegate=`): the first is readable by everybody, since version 251.
const DELEGATED: [&str; 2] = ["user.delegate", "trusted.delegate"];

/// A mounted hierarchy of version 2, and our place in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) mount: PathBuf,
    /// Our own group, from the mount on, with a leading slash.
    pub(super) own: String,
}

impl Place {
    /// None where there is no version 2, or we are outside of what is mounted.
    pub(super) fn of_this_process() -> Option<Self> {
        let mount = mount(Path::new(MOUNT), is_version_2)?;
        let own = own_group(&std::fs::read_to_string("/proc/self/cgroup").ok()?)?;
        Some(Self { mount, own })
    }

    pub(super) fn own_path(&self) -> PathBuf {
        self.mount.join(self.own.trim_start_matches('/'))
    }

    /// Whether it was left to us to make groups in: the root of a hierarchy is nobody else's, in a container with a namespace of
    /// its own for instance, and elsewhere systemd says so. Writing alone is no leave: root could write everywhere.
    pub(super) fn is_ours(&self) -> bool {
        self.own == "/" || is_delegated(&self.own_path())
    }
}

/// Whether a directory is a group of version 2.
pub(super) fn is_version_2(path: &Path) -> bool {
    rustix::fs::statfs(path).is_ok_and(|stat| stat.f_type == CGROUP2_MAGIC)
}

/// As systemd tells the layouts apart: version 2 itself (unified), beside version 1 (hybrid), or none.
fn mount(at: &Path, is_version_2: impl Fn(&Path) -> bool) -> Option<PathBuf> {
    [at.to_owned(), at.join(HYBRID)].into_iter().find(|path| is_version_2(path))
}

/// Our group of version 2, of the content of `/proc/self/cgroup`. None where it lies outside of our namespace or was removed
/// under us.
fn own_group(text: &str) -> Option<String> {
    let own = text.lines().find_map(|line| line.strip_prefix("0::"))?;
    let inside = own.starts_with('/') && !own.starts_with("/..") && !own.ends_with(" (deleted)");
    inside.then(|| own.to_owned())
}

fn is_delegated(path: &Path) -> bool {
    DELEGATED.iter().any(|name| {
        let mut value = [0u8; 8];
        rustix::fs::getxattr(path, *name, &mut value).is_ok_and(|length| &value[..length] == b"1")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unified_wins_over_hybrid_and_version_1_alone_is_none() {
        let at = Path::new("/c");
        assert_eq!(mount(at, |_| true), Some("/c".into()));
        assert_eq!(mount(at, |path| path.ends_with("unified")), Some("/c/unified".into()));
        assert_eq!(mount(at, |_| false), None);
    }

    #[test]
    fn our_group_is_the_line_of_version_2_if_it_is_inside_and_there() {
        let own = |text| own_group(text);
        assert_eq!(own("9:name=systemd:/x\n0::/system.slice/w.service\n"), Some("/system.slice/w.service".into()));
        assert_eq!(own("0::/\n"), Some("/".into()));
        assert_eq!(own("4:memory:/a\n"), None);
        assert_eq!(own("0::/../other\n"), None);
        assert_eq!(own("0::/gone (deleted)\n"), None);
    }

    #[test]
    fn only_the_root_and_what_systemd_marked_is_ours() {
        let dir = tempfile::tempdir().unwrap();
        let place = |own: &str| Place { mount: dir.path().into(), own: own.into() };
        std::fs::create_dir(dir.path().join("session")).unwrap();
        assert!(place("/").is_ours());
        assert!(!place("/session").is_ours(), "though we may write there");
        assert!(!place("/no/such").is_ours());
        assert_eq!(place("/session").own_path(), dir.path().join("session"));
    }
}
