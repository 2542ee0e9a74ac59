//! Rules of the contract. `buf lint` has more; this one needs nothing but Rust.

use super::Problem;

/// Messages, fields, enums, their values, services and calls that no comment stands above.
#[must_use]
pub fn uncommented(text: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut before = "";
    let mut continued = false;
    for (i, line) in text.lines().map(str::trim).enumerate() {
        if !continued && declares(line) && !before.starts_with("//") {
            let name = line.split(['{', ';', '=']).next().unwrap_or_default().trim();
            problems.push(Problem::on(i + 1, format!("`{name}` has no comment above it")));
        }
        // `option (x) = { … }` and long calls run over several lines; what follows their first is no declaration.
        let code = line.split("//").next().unwrap_or_default().trim_end();
        continued = !(code.is_empty() || code.ends_with([';', '{', '}']));
        before = line;
    }
    problems
}

fn declares(line: &str) -> bool {
    let first = line.split_whitespace().next().unwrap_or_default();
    match first {
        "" | "syntax" | "package" | "import" | "option" | "reserved" | "}" => false,
        "message" | "enum" | "service" | "rpc" | "oneof" => true,
        _ => !first.starts_with("//"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_lacks_a_comment_is_told() {
        let text = "syntax = \"proto3\";\n\nmessage A {\n  string a = 1;\n  // Said.\n  string b = 2;\n  oneof c {\n    // Said.\n    int32 d = 3;\n  }\n}\n// Said.\nenum E {\n  E_UNSPECIFIED = 0;\n}\n// Said.\nservice S {\n  rpc F(A)\n      returns (A);\n}\n";
        let lines: Vec<usize> = uncommented(text).iter().map(|problem| problem.line).collect();
        assert_eq!(lines, [3, 4, 7, 14, 18]);
    }
}
