//! Names, which are spelt alike whatever bears them.

use std::sync::Arc;

use crate::fault::Invalid;
use crate::limits;

/// A name that must be there: of a queue, or of a pool.
///
/// # Errors
/// Where it cannot be one.
pub fn required_name(field: &str, name: &str) -> Result<Arc<str>, Invalid> {
    let mut invalid = Invalid::default();
    check_name(field, name, &mut invalid);
    invalid.check()?;
    Ok(name.into())
}

/// A queue or a group to filter by; none where the field is empty.
///
/// # Errors
/// Where it cannot be a name.
pub fn name_filter(field: &str, name: &str) -> Result<Option<Arc<str>>, Invalid> {
    if name.is_empty() { Ok(None) } else { required_name(field, name).map(Some) }
}

/// Adds a violation where `name` is not 1 to 128 of `[a-zA-Z0-9._-]`.
pub(super) fn check_name(field: &str, name: &str, invalid: &mut Invalid) {
    if !limits::is_name(name) {
        invalid.add(field, format!("must be 1 to {} of [a-zA-Z0-9._-]", limits::NAME_BYTES_MAX));
    }
}
