//! Rules of manifests, of the lock file and of the lists beside them. All are written by us in one plain style, so lines are
//! enough and no parser is needed.

use super::Problem;

/// Dependencies that a manifest lists beyond those allowed, for building, testing and every platform alike.
#[must_use]
pub fn foreign_dependencies(manifest: &str, allowed: &[&str]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut inside = false;
    for (line, text) in numbered(manifest) {
        let name = if let Some(section) = section(text) {
            let last = section.rsplit('.').next().unwrap_or_default();
            inside = last.ends_with("dependencies");
            // `[dependencies.tokio]` is a dependency by itself.
            let named = section.contains("dependencies.");
            if !named { continue } else { last }
        } else if inside {
            text.split(['=', '.', ' ']).next().unwrap_or_default()
        } else {
            continue;
        };
        let name = name.trim_matches('"');
        if !name.is_empty() && !allowed.contains(&name) {
            problems.push(Problem::on(line, format!("{name} is not among what this package may know: {allowed:?}")));
        }
    }
    problems
}

/// Whether a manifest takes over the lints of the workspace, without which none of them holds.
#[must_use]
pub fn takes_lints(manifest: &str) -> bool {
    let mut lints = false;
    numbered(manifest).any(|(_, text)| {
        if let Some(section) = section(text) {
            lints = section == "lints";
        }
        lints && text.replace(' ', "") == "workspace=true"
    })
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let strip = |text: &str| text.split('#').next().map_or(0, |kept| kept.trim_end().len());
    text.lines().enumerate().map(move |(i, line)| (i + 1, line[..strip(line)].trim()))
}

fn section(line: &str) -> Option<&str> {
    line.strip_prefix('[')?.strip_suffix(']')
}

/// The crates of a lock file.
#[must_use]
pub fn locked_crates(lock: &str) -> Vec<&str> {
    lock.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"')).collect()
}

/// Crates of `lock` that `deny` bans, and exceptions of `deny` for crates that are no longer there. An exception's reason
/// begins with the crate's name and a colon.
#[must_use]
pub fn denied(deny: &str, lock: &str) -> Vec<Problem> {
    let crates = locked_crates(lock);
    let mut problems = Vec::new();
    let (mut in_bans, mut in_list) = (false, false);
    for (line, text) in numbered(deny) {
        if let Some(section) = section(text) {
            in_bans = section == "bans";
        }
        in_list |= in_bans && text.starts_with("deny = [");
        if in_list {
            let named = quoted(text).find(|name| crates.contains(name));
            problems.extend(named.map(|name| Problem::on(line, format!("{name} is banned and in Cargo.lock"))));
            in_list = !text.ends_with(']');
        }
        if let Some((_, reason)) = text.split_once("reason = \"").filter(|_| text.contains("RUSTSEC-")) {
            let name = reason.split(':').next().unwrap_or_default();
            if !crates.contains(&name) {
                problems.push(Problem::on(line, format!("an exception for {name}, which is not in Cargo.lock")));
            }
        }
    }
    problems
}

fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('"').skip(1).step_by(2)
}

/// Bans of the workspace's `clippy.toml` that another lacks, which replaces it where it lies.
#[must_use]
pub fn dropped_bans(workspace: &str, other: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (line, text) in numbered(workspace) {
        let Some(path) = text.split_once("path = \"").and_then(|(_, rest)| rest.split('"').next()) else { continue };
        if !other.contains(&format!("path = \"{path}\"")) {
            problems.push(Problem::on(line, format!("{path} is banned here and forgotten there")));
        }
    }
    problems
}

/// Bans without a reason.
#[must_use]
pub fn silent_bans(clippy: &str) -> Vec<Problem> {
    let bare = numbered(clippy).filter(|(_, text)| text.contains("path = \"") && !text.contains("reason = \""));
    bare.map(|(line, _)| Problem::on(line, "a ban without a reason")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(problems: &[Problem]) -> Vec<usize> {
        problems.iter().map(|problem| problem.line).collect()
    }

    #[test]
    fn a_dependency_is_told_however_it_is_written() {
        let manifest = "[package]\nname = \"x\"\n[dependencies]\nserde.workspace = true\ntokio = \"1\"\n\n[target.'cfg(unix)'.dependencies]\nlibc = \"1\"\n[dev-dependencies]\nrand = { version = \"1\" }\n[dependencies.tonic]\nversion = \"1\"\n[lints]\nworkspace = true\n";
        assert_eq!(lines(&foreign_dependencies(manifest, &["serde"])), [5, 8, 10, 11]);
    }

    #[test]
    fn a_package_without_the_lints_is_told() {
        assert!(takes_lints("[lints]\nworkspace = true"));
        assert!(!takes_lints("[dependencies]\nworkspace = true\n[lints]\n"));
    }

    #[test]
    fn a_banned_crate_and_an_idle_exception_are_told() {
        let deny = "[advisories]\nignore = [\n  { id = \"RUSTSEC-1\", reason = \"old: named by the owner\" },\n]\n[bans]\ndeny = [\n  \"openssl\",\n  \"chrono\",\n]\n";
        assert_eq!(lines(&denied(deny, "[[package]]\nname = \"chrono\"\n")), [3, 8]);
        assert_eq!(denied(deny, "name = \"old\"\nname = \"openssl-probe\"\n"), []);
    }

    #[test]
    fn a_forgotten_ban_and_a_silent_one_are_told() {
        let workspace = "x = [\n  { path = \"a::b\", reason = \"r\" },\n  { path = \"c\" },\n]";
        assert_eq!(lines(&dropped_bans(workspace, "{ path = \"a::b\" }")), [3]);
        assert_eq!(lines(&silent_bans(workspace)), [3]);
    }
}
