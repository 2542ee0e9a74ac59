//! Rules of single Rust files.

use super::{Problem, line_of, words};

/// The code with comments and the insides of literals turned to spaces: same length, same lines.
#[must_use]
pub fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at] {
            b'/' if bytes[at..].starts_with(b"//") => find(bytes, at, b"\n"),
            b'/' if bytes[at..].starts_with(b"/*") => block_comment_end(bytes, at),
            b'"' => string_end(bytes, at),
            b'\'' => char_end(text, at),
            byte if byte.is_ascii_alphabetic() || byte == b'_' => {
                let word_end = at + bytes[at..].iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
                let raw = matches!(&bytes[at..word_end], b"r" | b"br" | b"cr");
                let Some(end) = raw.then(|| raw_string_end(bytes, word_end)).flatten() else {
                    at = word_end;
                    continue;
                };
                end
            }
            _ => at,
        };
        for byte in &mut out[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end.max(at + 1);
    }
    String::from_utf8(out).unwrap_or_default()
}

fn find(bytes: &[u8], from: usize, what: &[u8]) -> usize {
    bytes[from..].windows(what.len()).position(|window| window == what).map_or(bytes.len(), |offset| from + offset)
}

fn block_comment_end(bytes: &[u8], start: usize) -> usize {
    let (mut at, mut depth) = (start, 0_usize);
    while at < bytes.len() {
        match &bytes[at..(at + 2).min(bytes.len())] {
            b"/*" => depth += 1,
            b"*/" if depth == 1 => return at + 2,
            b"*/" => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
    }
    bytes.len()
}

fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}

// None: a raw identifier such as `r#type`, or a variable called `r`.
fn raw_string_end(bytes: &[u8], after_r: usize) -> Option<usize> {
    let hashes = bytes[after_r..].iter().take_while(|byte| **byte == b'#').count();
    let open = after_r + hashes;
    (bytes.get(open) == Some(&b'"')).then(|| {
        let close = [b"\"".as_slice(), &b"#".repeat(hashes)].concat();
        (find(bytes, open + 1, &close) + close.len()).min(bytes.len())
    })
}

// A lifetime ends where it starts: it is no literal.
fn char_end(text: &str, start: usize) -> usize {
    let mut rest = text[start + 1..].char_indices();
    match (rest.next(), rest.next()) {
        (Some((_, '\\')), Some((escaped, _))) => find(text.as_bytes(), start + 2 + escaped, b"'") + 1,
        (Some(_), Some((close, '\''))) => start + 1 + close + 1,
        _ => start,
    }
    .min(text.len())
}

/// Files and functions that have grown past what a reader holds in mind.
#[must_use]
pub fn too_long(text: &str, file_lines_max: usize, function_lines_max: usize) -> Vec<Problem> {
    let lines = text.lines().count();
    let mut problems = Vec::new();
    if lines > file_lines_max {
        problems.push(Problem::on(1, format!("{lines} lines, the limit is {file_lines_max}: make it a folder")));
    }
    let code = blank(text);
    for at in words(&code, "fn") {
        let Some(end) = function_end(&code, at) else { continue };
        let (first, last) = (line_of(&code, at), line_of(&code, end));
        let lines = last - first + 1;
        if lines > function_lines_max {
            problems
                .push(Problem::on(first, format!("a function of {lines} lines, the limit is {function_lines_max}")));
        }
    }
    problems
}

// None: a function pointer's type, or a declaration without a body.
fn function_end(code: &str, at: usize) -> Option<usize> {
    let rest = code[at + 2..].trim_start();
    rest.starts_with(|c: char| c.is_alphabetic() || c == '_').then_some(())?;
    let (mut brackets, mut braces) = (0_i32, 0_i32);
    for (offset, byte) in code.as_bytes()[at..].iter().enumerate() {
        match byte {
            b'(' | b'[' => brackets += 1,
            b')' | b']' => brackets -= 1,
            b';' if brackets == 0 && braces == 0 => return None,
            b'{' => braces += 1,
            b'}' => braces -= 1,
            _ => continue,
        }
        if *byte == b'}' && braces == 0 && brackets == 0 {
            return Some(at + offset);
        }
    }
    None
}

/// `unsafe`, wherever it stands.
#[must_use]
pub fn unsafe_code(text: &str) -> Vec<Problem> {
    let code = blank(text);
    words(&code, "unsafe").map(|at| Problem::on(line_of(&code, at), "unsafe code outside its room")).collect()
}

/// Lints switched off without a reason beside it.
#[must_use]
pub fn silent_allows(text: &str) -> Vec<Problem> {
    let code = blank(text);
    let mut problems = Vec::new();
    for lint in ["allow", "expect"] {
        for at in words(&code, lint) {
            let before = &code[..at];
            if !before.ends_with("#[") && !before.ends_with("#![") {
                continue;
            }
            // Up to the end of the attribute's last line, so that a comment after it counts.
            let close = find(code.as_bytes(), at, b")]");
            let end = find(code.as_bytes(), close, b"\n");
            if words(&code[at..end], "reason").next().is_none() && !text[at..end].contains("//") {
                let text = "a lint switched off without a reason: add `reason = \"…\"` or a comment on its line";
                problems.push(Problem::on(line_of(&code, at), text));
            }
        }
    }
    problems
}

/// Everything of `tonic::Status` and its extension trait that makes one.
const STATUS_MAKERS: [&str; 26] = [
    "new",
    "with_details",
    "with_metadata",
    "with_details_and_metadata",
    "with_error_details",
    "with_error_details_vec",
    "from_error",
    "try_from_error",
    "from_header_map",
    "ok",
    "cancelled",
    "unknown",
    "invalid_argument",
    "deadline_exceeded",
    "not_found",
    "already_exists",
    "permission_denied",
    "resource_exhausted",
    "failed_precondition",
    "aborted",
    "out_of_range",
    "unimplemented",
    "internal",
    "unavailable",
    "data_loss",
    "unauthenticated",
];

/// gRPC statuses made by hand, but for a test module at the end, which may play a foreign server.
#[must_use]
pub fn made_statuses(text: &str) -> Vec<Problem> {
    let code = blank(text);
    let code = code.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let made = |at: &usize| {
        let maker = code[at + "Status".len()..].trim_start().strip_prefix("::").unwrap_or_default();
        let name: String = maker.trim_start().chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        STATUS_MAKERS.contains(&&*name)
    };
    let text = "a Status made by hand: give the error a `Fault` and let shared/src/status.rs turn it into one";
    words(code, "Status").filter(made).map(|at| Problem::on(line_of(code, at), text)).collect()
}

/// Tasks that nobody owns.
#[must_use]
pub fn detached_spawns(text: &str) -> Vec<Problem> {
    let code = blank(text);
    let detached = |at: &usize| {
        let called = code[at + "spawn".len()..].trim_start().starts_with(['(', ':', ';', ',', '}']);
        called && (code[..*at].ends_with("tokio::") || code[..*at].ends_with("task::"))
    };
    let text = "a task without an owner: use windlass_shared::task::Tasks";
    words(&code, "spawn").filter(detached).map(|at| Problem::on(line_of(&code, at), text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(problems: &[Problem]) -> Vec<usize> {
        problems.iter().map(|problem| problem.line).collect()
    }

    #[test]
    fn only_code_is_left_of_code() {
        let text =
            "let a = \"x \\\" y\"; // c\nlet b = r#\"z\"\"#; /* d /* e */ f */ let 'q: c = '\\'' + 'é' + r#type;";
        let code = blank(text);
        assert_eq!(code.len(), text.len());
        assert_eq!(
            code.split_whitespace().collect::<Vec<_>>().join(" "),
            "let a = ; let b = ; let 'q: c = + + r#type;"
        );
        assert_eq!(blank("fn f<'a>(x: &'a str, c: char) { c == '\"' }").matches('"').count(), 0);
    }

    #[test]
    fn a_long_file_and_a_long_function_are_told() {
        let text = "type F = fn(u8) -> [u8; 2];\nfn short() {}\nfn long() -> [u8; 2] {\n    \n    \n    todo\n}\n";
        assert_eq!(lines(&too_long(text, 100, 4)), [3]);
        assert_eq!(lines(&too_long(text, 6, 100)), [1]);
        assert_eq!(too_long(text, 7, 5), []);
        assert_eq!(too_long("trait T {\n fn f(&self);\n fn g() {}\n}\n", 9, 1), []);
    }

    #[test]
    fn unsafe_is_told_but_not_where_it_is_only_spoken_of() {
        assert_eq!(lines(&unsafe_code("// unsafe\n#![deny(unsafe_code)]\nunsafe { f() }\n\"unsafe\"")), [3]);
    }

    #[test]
    fn a_lint_is_not_switched_off_in_silence() {
        let quiet =
            "// A comment above argues about something else.\n#[allow(dead_code)]\nfn f() {}\n#![expect(unused)]\n";
        assert_eq!(lines(&silent_allows(quiet)), [2, 4]);
        let argued = "#[allow(a)] // because\n#[allow(b, reason = \"so\")]\n#[allow(\n    c,\n    reason = \"so\"\n)]\nx.expect(\"y\")";
        assert_eq!(silent_allows(argued), []);
    }

    #[test]
    fn a_status_made_by_hand_is_told_and_one_that_is_read_is_not() {
        assert_eq!(lines(&made_statuses("tonic::Status::internal(\"x\");\nErr(Status :: new(c, m))")), [1, 2]);
        assert_eq!(made_statuses("fn f() {}\n#[cfg(test)]\nmod tests { Status::internal() }"), []);
        assert_eq!(made_statuses("err.map(Status::code); ExitStatus::from_raw(0); Status::decode(b)"), []);
    }

    #[test]
    fn a_detached_spawn_is_told_and_an_owned_one_is_not() {
        assert_eq!(lines(&detached_spawns("tokio::spawn(f);\nuse tokio::task::spawn;\ntask::spawn(g)")), [1, 2, 3]);
        assert_eq!(detached_spawns("tasks.spawn(\"name\", f); tokio::task::spawn_blocking(g); Command::spawn(c)"), []);
    }
}
