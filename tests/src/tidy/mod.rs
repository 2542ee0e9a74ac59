//! The checkers behind `tests/tidy.rs`, which says what is checked and where it is allowed. Each takes text and answers
//! what is wrong with it, so that its own tests can show that it fails.
//!
//! Nothing here parses Rust in full: comments and literals are blanked ([`rust::blank`]), paths are read out of what is
//! left ([`paths`]), and that is enough to hold a wall.

pub mod docs;
pub mod manifest;
pub mod paths;
pub mod proto;
pub mod rust;
pub mod tree;

/// What is wrong, and on which line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// From 1.
    pub line: usize,
    /// What is wrong, and where it helps, what to do instead.
    pub text: String,
}

impl Problem {
    /// A problem on a line.
    #[must_use]
    pub fn on(line: usize, text: impl Into<String>) -> Self {
        Self { line, text: text.into() }
    }
}

/// The line, from 1, that holds byte `at` of `text`.
#[must_use]
pub fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1
}

/// Where `word` stands in `text` as a whole word, as byte offsets.
pub fn words<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let part_of_word = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    text.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let bytes = text.as_bytes();
        let before = at.checked_sub(1).and_then(|before| bytes.get(before));
        !part_of_word(before) && !part_of_word(bytes.get(at + word.len()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_found_only_where_it_is_whole() {
        assert_eq!(words("cat concat cat_ cat", "cat").collect::<Vec<_>>(), [0, 16]);
    }

    #[test]
    fn lines_count_from_one() {
        assert_eq!([line_of("a\nb", 0), line_of("a\nb", 2)], [1, 2]);
    }
}
