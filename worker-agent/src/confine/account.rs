//! Who `run_as` is.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;

use super::env::Env;
use crate::process::User;
use crate::sys::users;

/// A user that jobs become, and what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) user: User,
    /// HOME, USER, LOGNAME and SHELL, as a login would set them; what the host does not know is not set.
    pub(super) env: Env,
}

impl Account {
    /// Looks `user[:group]` up, each a name or a number. May ask the network, where the host's name service does.
    ///
    /// # Errors
    /// What there is none of, in words.
    pub(super) fn find(run_as: &str) -> Result<Self, String> {
        let (user, group) = match run_as.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (run_as, None),
        };
        let gid = group.map(find_group).transpose()?;
        let entry = find_user(user)?;
        let (uid, gid) = match (&entry, user.parse(), gid) {
            (Some(entry), _, gid) => (entry.uid, gid.unwrap_or(entry.gid)),
            (None, Ok(uid), Some(gid)) => (uid, gid),
            (None, Ok(uid), None) => {
                return Err(format!("run_as: this host knows no user {uid}: name its group too (\"{uid}:{uid}\")"));
            }
            (None, Err(_), _) => return Err(format!("run_as: this host knows no user {user:?}")),
        };
        if uid == u32::MAX || gid == u32::MAX {
            return Err(format!("run_as: {} is no number of a user or group", u32::MAX));
        }
        let groups = match &entry {
            Some(entry) => {
                users::groups_of(&entry.name, gid).map_err(|err| format!("run_as: groups of {user}: {err}"))?
            }
            None => vec![gid],
        };
        Ok(Self { user: User { uid, gid, groups }, env: entry.as_ref().map(login_env).unwrap_or_default() })
    }
}

fn find_user(user: &str) -> Result<Option<users::Passwd>, String> {
    let found = match user.parse() {
        Ok(uid) => users::user_numbered(uid),
        Err(_) => users::user_named(&c_string(user)?),
    };
    found.map_err(|err| format!("run_as: user {user:?}: {err}"))
}

fn find_group(group: &str) -> Result<u32, String> {
    if let Ok(gid) = group.parse() {
        return Ok(gid);
    }
    let found = users::group_named(&c_string(group)?).map_err(|err| format!("run_as: group {group:?}: {err}"))?;
    found.ok_or_else(|| format!("run_as: this host knows no group {group:?}"))
}

fn c_string(name: &str) -> Result<CString, String> {
    CString::new(name)
        .ok()
        .filter(|name| !name.is_empty())
        .ok_or_else(|| "run_as must be \"user\" or \"user:group\"".into())
}

fn login_env(entry: &users::Passwd) -> Env {
    let name = entry.name.as_bytes().to_vec();
    let path = |path: &std::path::Path| path.as_os_str().as_bytes().to_vec();
    let all = [("HOME", path(&entry.home)), ("USER", name.clone()), ("LOGNAME", name), ("SHELL", path(&entry.shell))];
    all.into_iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| (name.into(), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_comes_with_its_groups_and_its_home() {
        let root = Account::find("root").unwrap();
        assert_eq!((root.user.uid, root.user.gid), (0, 0));
        assert!(root.user.groups.contains(&0));
        let env: Vec<_> = root
            .env
            .iter()
            .map(|(name, value)| (str::from_utf8(name).unwrap(), str::from_utf8(value).unwrap()))
            .collect();
        assert_eq!(env[..3], [("HOME", "/root"), ("USER", "root"), ("LOGNAME", "root")]);
        assert_eq!(Account::find("0").unwrap(), root);
        let group = Account::find("root:4711").unwrap().user;
        assert_eq!(group.gid, 4711);
        assert!(group.groups.contains(&4711));
    }

    #[test]
    fn numbers_need_no_entry_where_both_are_given() {
        let user = User { uid: 3_999_999_998, gid: 77, groups: vec![77] };
        assert_eq!(Account::find("3999999998:77"), Ok(Account { user, env: Vec::new() }));
        assert!(Account::find("3999999998").unwrap_err().contains("name its group too (\"3999999998:3999999998\")"));
    }

    #[test]
    fn who_there_is_not_is_said() {
        assert_eq!(Account::find("no-such-user").unwrap_err(), "run_as: this host knows no user \"no-such-user\"");
        assert_eq!(
            Account::find("root:no-such-group").unwrap_err(),
            "run_as: this host knows no group \"no-such-group\""
        );
        assert_eq!(Account::find("").unwrap_err(), "run_as must be \"user\" or \"user:group\"");
        assert_eq!(Account::find("root:").unwrap_err(), "run_as must be \"user\" or \"user:group\"");
        assert_eq!(Account::find("4294967295:1").unwrap_err(), "run_as: 4294967295 is no number of a user or group");
    }
}
