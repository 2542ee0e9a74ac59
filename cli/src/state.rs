//! Where the command keeps what is to be there next time: the user's state directory.

use std::ffi::OsString;
use std::path::PathBuf;

/// `$XDG_STATE_HOME/windlass`, or `~/.local/state/windlass`; none where there is no home.
pub(crate) fn dir(var: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    // The base directory specification has relative paths ignored.
    let absolute = |path: OsString| Some(PathBuf::from(path)).filter(|path| path.is_absolute());
    let state = var("XDG_STATE_HOME").and_then(absolute);
    let state = state.or_else(|| Some(var("HOME").and_then(absolute)?.join(".local/state")))?;
    Some(state.join("windlass"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn dir_with(vars: &[(&str, &str)]) -> Option<PathBuf> {
        dir(|name| vars.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into()))
    }

    #[test]
    fn it_is_where_the_base_directory_specification_has_it() {
        let found = |path: &str| Some(Path::new(path).to_owned());
        assert_eq!(dir_with(&[("XDG_STATE_HOME", "/s"), ("HOME", "/h")]), found("/s/windlass"));
        assert_eq!(dir_with(&[("HOME", "/h")]), found("/h/.local/state/windlass"));
        assert_eq!(dir_with(&[("XDG_STATE_HOME", "rel"), ("HOME", "/h")]), found("/h/.local/state/windlass"));
        assert_eq!(dir_with(&[]), None);
    }
}
