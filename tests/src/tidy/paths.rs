//! Walls between modules: which paths a file names.

use super::rust::blank;
use super::{Problem, line_of, words};

/// Files that may name some paths, and nobody else.
#[derive(Debug)]
pub struct Room {
    /// Paths that are only named inside, such as `tonic` or `crate::store`. A crate stands for its family: `tonic` is also
    /// `tonic_types`.
    pub paths: &'static [&'static str],
    /// Files and folders that may, with the reason each.
    pub inside: &'static [(&'static str, &'static str)],
}

/// Files that must not name some paths.
#[derive(Debug)]
pub struct Wall {
    /// The files: a folder, or a module's file without `.rs`.
    pub around: &'static str,
    /// What they must not name.
    pub paths: &'static [&'static str],
    /// Why.
    pub because: &'static str,
}

/// Where `file` stands inside `place`: a file, or a folder and all that is in it. A module may be either.
#[must_use]
pub fn is_in(file: &str, place: &str) -> bool {
    file.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest == ".rs" || rest.starts_with('/'))
}

impl Room {
    /// What `file` names that it may not.
    #[must_use]
    pub fn breaches(&self, file: &str, text: &str) -> Vec<Problem> {
        if self.inside.iter().any(|(place, _)| is_in(file, place)) {
            return Vec::new();
        }
        named(file, text, self.paths, "is named only in its own rooms, listed in tests/tidy.rs")
    }
}

impl Wall {
    /// What `file` names that it may not.
    #[must_use]
    pub fn breaches(&self, file: &str, text: &str) -> Vec<Problem> {
        if !is_in(file, self.around) {
            return Vec::new();
        }
        named(file, text, self.paths, self.because)
    }
}

fn named(file: &str, text: &str, forbidden: &[&str], because: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (line, path) in paths(file, text) {
        if forbidden.iter().any(|forbidden| begins_with(&path, forbidden)) {
            problems.push(Problem::on(line, format!("`{path}`: {because}")));
        }
    }
    problems
}

// `tonic` covers `tonic::Code` and `tonic_types::X`; `crate::store` covers `crate::store::Memory`, not `crate::storeroom`.
fn begins_with(path: &str, beginning: &str) -> bool {
    let family = !beginning.contains("::");
    path.strip_prefix(beginning)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::") || (family && rest.starts_with('_')))
}

/// Every path that `file` names, imported or in place, with `super` and `self` spelled out.
#[must_use]
pub fn paths(file: &str, text: &str) -> Vec<(usize, String)> {
    let code = blank(text);
    let module = module_of(file);
    let mut found = Vec::new();
    let mut inline = code.clone().into_bytes();
    for at in words(&code, "use") {
        let Some(end) = code[at..].find(';').map(|offset| at + offset) else { continue };
        let mut imported = Vec::new();
        expand("", &code[at + "use".len()..end], &mut imported);
        found.extend(imported.into_iter().map(|path| (line_of(&code, at), absolute(&module, &path))));
        inline[at..end].fill(b' ');
    }
    let inline = String::from_utf8_lossy(&inline).into_owned();
    for (at, path) in inline_paths(&inline) {
        // Line numbers come from the code: what was blanked above may have held line ends.
        found.push((line_of(&code, at), absolute(&module, path)));
    }
    found
}

// `a::{b, c::{d, e}}` is a::b, a::c::d, a::c::e.
fn expand(prefix: &str, tree: &str, into: &mut Vec<String>) {
    let tree = tree.trim();
    let Some(open) = tree.find('{') else {
        let path = tree.split_whitespace().next().unwrap_or_default(); // drops `as name`
        if !path.is_empty() {
            into.push(format!("{prefix}{}", path.trim_start_matches("::")));
        }
        return;
    };
    let prefix = format!("{prefix}{}", tree[..open].trim().trim_start_matches("::"));
    let inner = tree[open + 1..].trim_end().strip_suffix('}').unwrap_or(&tree[open + 1..]);
    let (mut depth, mut start) = (0_i32, 0);
    for (at, byte) in inner.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            b',' if depth == 0 => {
                expand(&prefix, &inner[start..at], into);
                start = at + 1;
            }
            _ => {}
        }
    }
    expand(&prefix, &inner[start..], into);
}

fn inline_paths(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let in_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + code[at..].find(in_path)?;
        let end = start + code[start..].find(|c| !in_path(c)).unwrap_or(code.len() - start);
        at = end;
        Some((start, code[start..end].trim_matches(':')))
    })
    .filter(|(_, path)| path.contains("::"))
}

// Of `coordinator/src/api/jobs.rs`: crate::api::jobs.
fn module_of(file: &str) -> Vec<String> {
    let inner = file.split_once("src/").map_or("", |(_, inner)| inner).trim_end_matches(".rs");
    let parts = inner.split('/').filter(|part| !matches!(*part, "" | "mod" | "lib" | "main"));
    std::iter::once("crate").chain(parts).map(str::to_owned).collect()
}

fn absolute(module: &[String], path: &str) -> String {
    let mut base = module.to_vec();
    let mut rest = path;
    let mut relative = false;
    while let Some((first, tail)) = rest.split_once("::") {
        match first {
            "self" => {}
            // A test module's first `super` is the file itself; spelling it one too high names no path that is walled off.
            "super" => drop(base.pop()),
            _ => break,
        }
        (rest, relative) = (tail, true);
    }
    if relative { format!("{}::{rest}", base.join("::")) } else { path.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: Room = Room { paths: &["tonic", "prost"], inside: &[("a/src/api", "the edge")] };
    const WALL: Wall =
        Wall { around: "a/src/api", paths: &["crate::store", "core_crate"], because: "it never sees it" };

    fn lines(problems: &[Problem]) -> Vec<usize> {
        problems.iter().map(|problem| problem.line).collect()
    }

    #[test]
    fn a_room_is_left_by_import_and_in_place() {
        let text = "use std::{\n  fmt,\n};\nuse tonic::Code;\nfn f() -> tonic_types::pb::Status { prost::encode() }\nuse tonic as t;";
        assert_eq!(lines(&ROOM.breaches("a/src/core.rs", text)), [4, 6, 5, 5]);
        assert_eq!(ROOM.breaches("a/src/api.rs", text), []);
        assert_eq!(ROOM.breaches("a/src/api/jobs.rs", text), []);
        assert_eq!(ROOM.breaches("a/src/apish.rs", text).len(), 4);
        assert_eq!(ROOM.breaches("a/src/core.rs", "// tonic::Code\nlet tonic = gin; crate::tonic::x()"), []);
    }

    #[test]
    fn a_wall_is_breached_however_the_path_is_spelled() {
        for text in [
            "use crate::store::Memory;",
            "use crate::{driver, store};",
            "use crate::{driver::{A, B}, store::{C, D}};",
            "use super::super::store;",
            "fn f() { crate::store::open() }",
            "use core_crate as c;",
        ] {
            assert_ne!(WALL.breaches("a/src/api/jobs.rs", text), [], "{text}");
            assert_eq!(WALL.breaches("a/src/driver.rs", text), [], "{text}");
        }
        assert_eq!(WALL.breaches("a/src/api/jobs.rs", "use super::store; use crate::storeroom;"), []);
    }

    #[test]
    fn a_use_tree_is_the_paths_it_stands_for() {
        let found: Vec<String> =
            paths("x/src/lib.rs", "use a::{b, c::{d, e as f}};").into_iter().map(|(_, p)| p).collect();
        assert_eq!(found, ["a::b", "a::c::d", "a::c::e"]);
    }
}
