//! Sets of small numbers, a bit each: which agents could run a shape, which shapes wait. A thousand agents are sixteen words.

/// Bits of a word.
const WORD: u32 = u64::BITS;

/// A set of small numbers. It is as long as its greatest member ever asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bits {
    words: Vec<u64>,
}

impl Bits {
    /// Puts `at` in; whether it was not there.
    pub(crate) fn set(&mut self, at: u32) -> bool {
        let (word, bit) = split(at);
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        let new = self.words[word] & bit == 0;
        self.words[word] |= bit;
        new
    }

    pub(crate) fn unset(&mut self, at: u32) {
        let (word, bit) = split(at);
        if let Some(word) = self.words.get_mut(word) {
            *word &= !bit;
        }
    }

    pub(crate) fn put(&mut self, at: u32, is_in: bool) {
        if is_in {
            self.set(at);
        } else {
            self.unset(at);
        }
    }

    pub(crate) fn has(&self, at: u32) -> bool {
        let (word, bit) = split(at);
        self.words.get(word).is_some_and(|word| word & bit != 0)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    pub(crate) fn clear(&mut self) {
        self.words.iter_mut().for_each(|word| *word = 0);
    }

    /// Becomes what is both in `a` and in `b`; without a `b`, nothing is.
    pub(crate) fn become_both(&mut self, a: &Self, b: Option<&Self>) {
        self.words.clear();
        let b = b.map_or(&[][..], |b| &b.words);
        self.words.extend(a.words.iter().zip(b).map(|(a, b)| a & b));
    }

    /// The members, from the least.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> {
        self.words.iter().zip(0u32..).flat_map(|(word, at)| members(*word, at))
    }

    /// What is in both, from the least.
    pub(crate) fn both<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = u32> + 'a {
        self.words.iter().zip(&other.words).zip(0u32..).flat_map(|((a, b), at)| members(a & b, at))
    }

    /// The first member from `at` on.
    pub(crate) fn next_from(&self, at: u32) -> Option<u32> {
        let (first, bit) = split(at);
        let head = self.words.get(first)? & !(bit - 1);
        let rest = self.words.get(first + 1..)?.iter().copied();
        let words = std::iter::once(head).chain(rest).zip(at / WORD..);
        words.filter(|(word, _)| *word != 0).map(|(word, at)| at * WORD + word.trailing_zeros()).next()
    }
}

fn split(at: u32) -> (usize, u64) {
    ((at / WORD) as usize, 1 << (at % WORD))
}

fn members(mut word: u64, at: u32) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let bit = (word != 0).then(|| word.trailing_zeros())?;
        word &= word - 1;
        Some(at * WORD + bit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(members: &[u32]) -> Bits {
        let mut bits = Bits::default();
        members.iter().for_each(|at| bits.put(*at, true));
        bits
    }

    #[test]
    fn a_set_holds_what_was_put_in_and_not_taken_out() {
        let mut bits = of(&[0, 63, 64, 200]);
        assert!(!bits.set(64), "it is there");
        bits.unset(63);
        bits.unset(1_000);
        assert_eq!(bits.iter().collect::<Vec<_>>(), [0, 64, 200]);
        assert!(bits.has(200) && !bits.has(63) && !bits.has(1_000));
        bits.clear();
        assert!(bits.is_empty());
    }

    #[test]
    fn what_is_in_both_is_found_though_one_is_shorter() {
        let (a, b) = (of(&[1, 64, 70, 300]), of(&[1, 2, 70]));
        assert_eq!(a.both(&b).collect::<Vec<_>>(), [1, 70]);
        let mut both = of(&[5]);
        both.become_both(&a, Some(&b));
        assert_eq!(both.iter().collect::<Vec<_>>(), [1, 70]);
        both.become_both(&a, None);
        assert!(both.is_empty());
    }

    #[test]
    fn the_next_member_is_found_from_any_place() {
        let bits = of(&[3, 64, 130]);
        let next: Vec<_> = [0, 3, 4, 64, 65, 130, 131, 999].map(|at| bits.next_from(at)).into();
        assert_eq!(next, [Some(3), Some(3), Some(64), Some(64), Some(130), Some(130), None, None]);
        assert_eq!(Bits::default().next_from(0), None);
    }
}
