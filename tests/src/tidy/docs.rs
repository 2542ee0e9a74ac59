//! Rules of what is written for people, and of every text.

use super::{Problem, line_of, words};

/// Links of a Markdown text to files, with the line each: where they point, without what follows `#`.
#[must_use]
pub fn file_links(text: &str) -> Vec<(usize, &str)> {
    let mut links = Vec::new();
    let mut fenced = false;
    for (i, line) in text.lines().enumerate() {
        fenced ^= line.trim_start().starts_with("```");
        if fenced {
            continue;
        }
        for (at, _) in line.match_indices("](") {
            // An opening bracket inside code is code.
            let quoted = line[..at].matches('`').count() % 2 == 1;
            let target = line[at + 2..].split([')', ' ']).next().unwrap_or_default();
            let path = target.split('#').next().unwrap_or_default();
            if !quoted && !path.is_empty() && !target.contains("://") && !target.starts_with("mailto:") {
                links.push((i + 1, path));
            }
        }
    }
    links
}

/// Files and folders of the project that a Markdown text names in code, such as `docs/adr/`, with the line each: whatever has a
/// slash and begins with a folder of the project's root.
#[must_use]
pub fn named_paths(text: &str) -> Vec<(usize, &str)> {
    const FOLDERS: [&str; 9] =
        [".ci", "cli", "clients", "coordinator", "docs", "proto", "shared", "tests", "worker-agent"];
    let mut paths = Vec::new();
    for (i, line) in text.lines().enumerate() {
        for code in line.split('`').skip(1).step_by(2) {
            let whole = code.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte));
            if whole && code.split_once('/').is_some_and(|(folder, _)| FOLDERS.contains(&folder)) {
                paths.push((i + 1, code));
            }
        }
    }
    paths
}

/// Sections every decision record has.
const RECORD_SECTIONS: [&str; 3] = ["## Context", "## Decision", "## What we gave up"];

/// Sections that a decision record lacks.
#[must_use]
pub fn missing_sections(record: &str) -> Vec<Problem> {
    let lacks = |section: &&str| !record.lines().any(|line| line.trim_end() == *section);
    RECORD_SECTIONS.into_iter().filter(lacks).map(|section| Problem::on(1, format!("lacks \"{section}\""))).collect()
}

/// The first number that decision records, given by file name in order, do not carry on with. None: there is no gap.
#[must_use]
pub fn first_gap(names: &[&str]) -> Option<String> {
    names.iter().enumerate().find_map(|(i, name)| {
        let expected = format!("{:04}-", i + 1);
        (!name.starts_with(&expected)).then(|| format!("{name} stands where a record {expected}… belongs"))
    })
}

/// Marks of unfinished work.
const UNFINISHED: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

/// Paths of the machine something happened to be written on, and downloads named by host where a hash is enough.
const ELSEWHERE: [&str; 3] = [concat!("/wo", "rk/"), concat!("/Us", "ers/"), concat!("\"resol", "ved\": \"http")];

/// Marks of unfinished work, and places that mean nothing to whoever reads.
#[must_use]
pub fn out_of_place(text: &str) -> Vec<Problem> {
    let unfinished = UNFINISHED.iter().flat_map(|mark| words(text, mark).map(move |at| (at, *mark)));
    let elsewhere = ELSEWHERE.iter().flat_map(|place| text.match_indices(place));
    // A folder of that name somewhere below another is a folder like any other.
    let a_place = |(at, place): &(usize, &str)| {
        !place.starts_with('/') || !text[..*at].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-'))
    };
    let found = unfinished.chain(elsewhere.filter(a_place));
    found.map(|(at, word)| Problem::on(line_of(text, at), format!("`{word}` does not belong here"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_to_files_are_found_and_others_are_not() {
        let text = "[a](b/c.md#d) and [e](https://f.g) `[h](i)`\n```\n[j](k)\n```\n[l](#m) [n](../o \"p\")";
        assert_eq!(file_links(text), [(1, "b/c.md"), (5, "../o")]);
    }

    #[test]
    fn paths_of_the_project_are_found_and_other_code_is_not() {
        let text = "`shared/src/x.rs` then `cargo test` and `a/b`\n`docs/adr/`, `tests/{a,b}`";
        assert_eq!(named_paths(text), [(1, "shared/src/x.rs"), (2, "docs/adr/")]);
    }

    #[test]
    fn a_record_without_its_sections_is_told() {
        assert_eq!(missing_sections("# 1\n## Context\n## Decisions\n").len(), 2);
        assert_eq!(missing_sections("## Context\n## Decision\n## What we gave up\n"), []);
    }

    #[test]
    fn a_gap_in_the_records_is_told() {
        assert_eq!(first_gap(&["0001-a.md", "0002-b.md"]), None);
        assert!(first_gap(&["0001-a.md", "0003-b.md"]).unwrap().starts_with("0003-b.md"));
        assert!(first_gap(&["0001-a.md", "0001-b.md"]).is_some());
    }

    #[test]
    fn unfinished_work_and_foreign_places_are_told() {
        let text = format!(
            "fine\n{} later\n{}x\ncd {}here\nmktemp XXXXXX\n/home{}ok",
            UNFINISHED[0], UNFINISHED[1], ELSEWHERE[0], ELSEWHERE[0]
        );
        let lines: Vec<usize> = out_of_place(&text).iter().map(|problem| problem.line).collect();
        assert_eq!(lines, [2, 4]);
    }
}
