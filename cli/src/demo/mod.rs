//! The pool that `windlass dev` brings: one worker in Python, to try handlers on.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::output::interject;

/// The worker, whole.
const WORKER: &str = include_str!("worker.py");
/// Workers of the pool; the agent takes their slots out of its own.
pub(crate) const WORKERS: u32 = 1;

/// Writes the worker and the agent's configuration that names it; the path of the latter. None, and a word on standard
/// error, where this host cannot run it: commands need no Python.
pub(crate) fn write(home: &Path, path: Option<&OsStr>) -> Result<Option<PathBuf>, Failure> {
    if !has_python(path) {
        interject("there is no python3 on the PATH, so there are no handlers to try; commands run all the same");
        return Ok(None);
    }
    let (worker, config) = (home.join("worker.py"), home.join("agent.toml"));
    let Some(worker_text) = worker.to_str() else {
        interject("the path of --data is not valid UTF-8, so there are no handlers to try; commands run all the same");
        return Ok(None);
    };
    put(&worker, WORKER)?;
    put(&config, &configuration(worker_text))?;
    Ok(Some(config))
}

fn has_python(path: Option<&OsStr>) -> bool {
    let executable =
        |file: &Path| file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0);
    path.is_some_and(|path| std::env::split_paths(path).any(|dir| executable(&dir.join("python3"))))
}

fn put(file: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(file, text).map_err(|err| Failure::io(format_args!("write {}", file.display()), &err))
}

fn configuration(worker: &str) -> String {
    // What JSON escapes, TOML escapes alike.
    let worker = serde_json::Value::from(worker);
    format!(
        "\
# Written anew at each start of `windlass dev`.
[[pool]]
name = \"demo\"
command = [\"python3\", \"-u\", {worker}]
max = {WORKERS}
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path_with_python(dir: &Path) -> std::ffi::OsString {
        std::fs::write(dir.join("python3"), "").expect("written");
        std::fs::set_permissions(dir.join("python3"), std::fs::Permissions::from_mode(0o755)).expect("executable");
        std::env::join_paths([Path::new("/no/such"), dir]).expect("a path")
    }

    #[test]
    fn the_configuration_names_the_worker_where_it_was_written() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = path_with_python(dir.path());
        let config = write(dir.path(), Some(&path)).expect("written").expect("a pool");
        assert_eq!(config, dir.path().join("agent.toml"));
        let wanted = format!(
            "# Written anew at each start of `windlass dev`.\n[[pool]]\nname = \"demo\"\ncommand = [\"python3\", \"-u\", \
             \"{}/worker.py\"]\nmax = 1\n",
            dir.path().display()
        );
        assert_eq!(std::fs::read_to_string(config).expect("read"), wanted);
        assert_eq!(std::fs::read_to_string(dir.path().join("worker.py")).expect("read"), WORKER);
    }

    #[test]
    fn a_directory_with_a_quote_stays_one_word() {
        assert!(configuration("/a \"b\"\\c/worker.py").contains(r#""-u", "/a \"b\"\\c/worker.py"]"#));
    }

    #[test]
    fn without_python_nothing_is_written() {
        let dir = tempfile::tempdir().expect("a directory");
        assert_eq!(write(dir.path(), Some(OsStr::new("/no/such"))).map(|pool| pool.is_none()), Ok(true));
        assert_eq!(write(dir.path(), None).map(|pool| pool.is_none()), Ok(true));
        // Not executable: a directory of that name, or a file that merely lies there.
        std::fs::create_dir(dir.path().join("python3")).expect("made");
        assert_eq!(write(dir.path(), Some(dir.path().as_os_str())).map(|pool| pool.is_none()), Ok(true));
        assert!(!dir.path().join("agent.toml").exists() && !dir.path().join("worker.py").exists());
    }

    #[test]
    fn the_worker_fits_on_a_slide_and_announces_what_the_banner_offers() {
        assert!(WORKER.lines().count() <= 15 && WORKER.lines().all(|line| line.len() <= 124), "{WORKER}");
        assert!(["\"upper\"", "\"sleep\"", "\"fail\""].iter().all(|handler| WORKER.contains(handler)));
    }
}
