//! Page tokens: where to go on, bound to the filter they were made with. Opaque to callers.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::str::FromStr;

use windlass_shared::fault::Invalid;

fn fingerprint(filter: &impl Hash) -> u32 {
    let mut hasher = DefaultHasher::new();
    filter.hash(&mut hasher);
    u32::try_from(hasher.finish() >> 32).unwrap_or_default()
}

/// The token for going on from `at`; empty where there is nothing more.
pub(super) fn token(at: Option<impl ToString>, filter: &impl Hash) -> String {
    at.map(|at| format!("{:08x}{}", fingerprint(filter), at.to_string())).unwrap_or_default()
}

/// Where a token says to go on; none at the first page.
pub(super) fn read_token<T: FromStr>(field: &str, token: &str, filter: &impl Hash) -> Result<Option<T>, Invalid> {
    if token.is_empty() {
        return Ok(None);
    }
    let bad = || Invalid::one(field, "is not a token of this list; begin again without one");
    let (made_with, at) = token.split_at_checked(8).ok_or_else(bad)?;
    if u32::from_str_radix(made_with, 16) != Ok(fingerprint(filter)) {
        return Err(Invalid::one(
            field,
            "was made with another filter; keep the filter, or begin again without a token",
        ));
    }
    at.parse().map(Some).map_err(|_| bad())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_works_for_its_own_filter_only() {
        let made = token(Some(7), &"queue=a");
        assert_eq!(read_token("page_token", &made, &"queue=a"), Ok(Some(7)));
        assert!(read_token::<u32>("page_token", &made, &"queue=b").is_err());
        assert!(read_token::<u32>("page_token", "x", &"queue=a").is_err());
        assert!(read_token::<u32>("page_token", "zzzzzzzzü", &"queue=a").is_err());
        assert_eq!(read_token::<u32>("page_token", "", &"queue=a"), Ok(None));
        assert_eq!(token(None::<u32>, &"queue=a"), "");
    }
}
