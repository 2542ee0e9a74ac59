//! Users and groups as the host knows them: /etc/passwd, /etc/group, and whatever else its name service asks.

use std::ffi::{CStr, CString};
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::ptr;

/// What the C library is given to put strings into, at first and at most: a group can list thousands of members.
const BUFFER_BYTES: usize = 4 << 10;
const BUFFER_BYTES_MAX: usize = 1 << 20;
/// Supplementary groups asked for at first, and the kernel's limit.
const GROUPS: usize = 64;
const GROUPS_MAX: usize = 65_536;

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Passwd {
    pub(crate) name: CString,
    pub(crate) uid: u32,
    /// Of its primary group.
    pub(crate) gid: u32,
    pub(crate) home: PathBuf,
    pub(crate) shell: PathBuf,
}

/// The user with this name; None where there is none.
pub(crate) fn user_named(name: &CStr) -> io::Result<Option<Passwd>> {
    // SAFETY: the name is NUL-terminated, and the other pointers are `look_up`'s, valid for the call.
    look_up(|entry, buffer, len, found| unsafe { libc::getpwnam_r(name.as_ptr(), entry, buffer, len, found) }, passwd)
}

/// The user with this number.
pub(crate) fn user_numbered(uid: u32) -> io::Result<Option<Passwd>> {
    // SAFETY: the pointers are `look_up`'s, valid for the call.
    look_up(|entry, buffer, len, found| unsafe { libc::getpwuid_r(uid, entry, buffer, len, found) }, passwd)
}

/// The number of the group with this name.
pub(crate) fn group_named(name: &CStr) -> io::Result<Option<u32>> {
    look_up(
        // SAFETY: the name is NUL-terminated, and the other pointers are `look_up`'s, valid for the call.
        |entry, buffer, len, found| unsafe { libc::getgrnam_r(name.as_ptr(), entry, buffer, len, found) },
        |group: &libc::group| group.gr_gid,
    )
}

/// All groups that the user is a member of, `gid` among them.
pub(crate) fn groups_of(user: &CStr, gid: u32) -> io::Result<Vec<u32>> {
    let mut groups = vec![0; GROUPS];
    loop {
        let mut count = libc::c_int::try_from(groups.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        // SAFETY: `count` is what `groups` has room for, and the call writes no more.
        let whole = unsafe { libc::getgrouplist(user.as_ptr(), gid, groups.as_mut_ptr(), &raw mut count) } >= 0;
        let count = usize::try_from(count).unwrap_or(0);
        if whole {
            groups.truncate(count);
            return Ok(groups);
        }
        if groups.len() >= GROUPS_MAX {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        // What the call says it needs, but on libraries that do not say it.
        groups.resize(count.max(groups.len() * 2).min(GROUPS_MAX), 0);
    }
}

/// Calls one of the C library's `get…_r` functions with ever more room, and reads what it found while that lives.
fn look_up<E, T>(
    call: impl Fn(*mut E, *mut libc::c_char, usize, *mut *mut E) -> libc::c_int,
    read: impl Fn(&E) -> T,
) -> io::Result<Option<T>> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let mut entry = MaybeUninit::<E>::uninit();
        let mut found = ptr::null_mut();
        let errno = call(entry.as_mut_ptr(), buffer.as_mut_ptr(), buffer.len(), &raw mut found);
        match errno {
            // SAFETY: not NULL, it points at `entry`, which the call has then filled in, with pointers into `buffer`.
            0 => return Ok(unsafe { found.as_ref() }.map(&read)),
            libc::ERANGE if buffer.len() < BUFFER_BYTES_MAX => buffer.resize(buffer.len() * 2, 0),
            libc::EINTR => {}
            // What some libraries say for "not found".
            libc::ENOENT | libc::ESRCH => return Ok(None),
            errno => return Err(io::Error::from_raw_os_error(errno)),
        }
    }
}

fn passwd(entry: &libc::passwd) -> Passwd {
    // SAFETY: both point at NUL-terminated strings in the buffer of the look-up, which lives while this reads.
    let text = |pointer: *const libc::c_char| unsafe { CStr::from_ptr(pointer) }.to_owned();
    let path = |pointer| PathBuf::from(std::ffi::OsString::from_vec(text(pointer).into_bytes()));
    Passwd {
        name: text(entry.pw_name),
        uid: entry.pw_uid,
        gid: entry.pw_gid,
        home: path(entry.pw_dir),
        shell: path(entry.pw_shell),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_known_by_name_and_number_and_strangers_are_not() {
        let root = user_named(c"root").unwrap().unwrap();
        assert_eq!((root.uid, root.gid, &*root.home.to_string_lossy()), (0, 0, "/root"));
        assert_eq!(user_numbered(0).unwrap().unwrap(), root);
        assert_eq!(user_named(c"no-such-user").unwrap(), None);
        assert_eq!(user_numbered(3_999_999_999).unwrap(), None);
        assert_eq!(group_named(c"root").unwrap(), Some(0));
        assert_eq!(group_named(c"no-such-group").unwrap(), None);
        assert!(groups_of(c"root", 0).unwrap().contains(&0));
        assert_eq!(groups_of(c"no-such-user", 4711).unwrap(), [4711]);
    }
}
