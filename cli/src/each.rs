//! `--each`: one job for every match of a glob, or for every line of standard input.

use std::io::BufRead;

use crate::failure::Failure;

const PLACE: &str = "{}";

/// What to make a job of, in the order of the jobs: matches sorted, lines as they come. Empty lines are passed over.
pub(crate) fn items(source: &str, stdin: impl BufRead) -> Result<Vec<String>, Failure> {
    let items = if source == "-" { lines(stdin)? } else { matches(source)? };
    if items.is_empty() {
        let nothing =
            if source == "-" { "standard input held no line".into() } else { format!("nothing matches {source:?}") };
        return Err(Failure::usage(format!("--each: {nothing}, so there is no job to run")));
    }
    Ok(items)
}

fn lines(stdin: impl BufRead) -> Result<Vec<String>, Failure> {
    let lines: Result<Vec<String>, _> = stdin.lines().collect();
    let mut lines = lines.map_err(|err| Failure::io("read the items of --each from standard input", &err))?;
    lines.retain(|line| !line.is_empty());
    Ok(lines)
}

fn matches(pattern: &str) -> Result<Vec<String>, Failure> {
    let paths = glob::glob(pattern).map_err(|err| Failure::usage(format!("--each: {pattern:?} is no glob: {err}")))?;
    let mut items = Vec::new();
    for path in paths {
        let path = path.map_err(|err| Failure::io(format_args!("look into {}", err.path().display()), err.error()))?;
        let text = path.into_os_string().into_string();
        items.push(text.map_err(|path| Failure::usage(format!("--each: {} is not valid UTF-8", path.display())))?);
    }
    items.sort();
    Ok(items)
}

/// The command for one item: in place of every `{}`, or else at the end.
pub(crate) fn expand(argv: &[String], item: &str) -> Vec<String> {
    let mut expanded: Vec<String> = argv.iter().map(|element| element.replace(PLACE, item)).collect();
    if !argv.iter().any(|element| element.contains(PLACE)) {
        expanded.push(item.to_owned());
    }
    expanded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    fn argv(elements: &[&str]) -> Vec<String> {
        elements.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_place_of_every_element_gets_the_item() {
        assert_eq!(expand(&argv(&["sh", "-c", "echo {} {}"]), "a b"), argv(&["sh", "-c", "echo a b a b"]));
        assert_eq!(expand(&argv(&["cp", "{}", "{}.bak"]), "x"), argv(&["cp", "x", "x.bak"]));
    }

    #[test]
    fn without_a_place_the_item_comes_last() {
        assert_eq!(expand(&argv(&["sha256sum"]), "x"), argv(&["sha256sum", "x"]));
    }

    #[test]
    fn an_item_that_looks_like_a_place_is_not_replaced_again() {
        assert_eq!(expand(&argv(&["echo", "{}"]), "{}{}"), argv(&["echo", "{}{}"]));
    }

    #[test]
    fn lines_keep_their_order_and_empty_ones_are_passed_over() {
        let items = items("-", &b"b\r\n\na b\nlast"[..]).expect("items");
        assert_eq!(items, argv(&["b", "a b", "last"]));
    }

    #[test]
    fn matches_are_sorted() {
        let dir = tempfile::tempdir().expect("a directory");
        for name in ["b.txt", "a.txt", "c.md"] {
            std::fs::write(dir.path().join(name), "").expect("a file");
        }
        let found = items(&format!("{}/*.txt", dir.path().display()), &b""[..]).expect("items");
        let names: Vec<_> = found.iter().map(|path| path.rsplit('/').next().expect("a name")).collect();
        assert_eq!(names, ["a.txt", "b.txt"]);
    }

    #[test]
    fn no_match_is_an_error_of_the_command_line() {
        for (source, stdin) in [("/no/such/dir/*", ""), ("-", ""), ("-", "\n\n"), ("[", "")] {
            let failure = items(source, stdin.as_bytes()).expect_err(source);
            assert_eq!(failure.exit, Exit::USAGE);
        }
    }
}
