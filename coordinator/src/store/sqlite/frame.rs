//! What every blob is wrapped in:
//!
//! ```text
//!  ┌─────────┬────────────────────────┬─────────┐
//!  │ version │ crc32c, little-endian  │ payload │    crc32c over kind, key, version, payload
//!  │ 1 byte  │ 4 bytes                │         │
//!  └─────────┴────────────────────────┴─────────┘
//! ```
//!
//! The sum covers the row's key and what kind of blob it is, though neither is stored in it: a sound blob under a damaged key,
//! or one that strayed into another row or column, is damage too.

/// The version written.
pub(super) const VERSION: u8 = 1;
/// Bytes before the payload.
pub(super) const HEAD_BYTES: usize = 5;

/// What a blob holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Head = b'h',
    Attempt = b'a',
    Spec = b's',
    Events = b'e',
    Request = b'r',
    Meta = b'm',
    Result = b'R',
    Mark = b'k',
}

/// Why a blob is not what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Damage {
    /// Its sum is wrong, or it does not decode.
    Corrupt,
    /// Its sum is right, and its version is one that we do not know.
    Newer(u8),
}

/// Wraps what `fill` writes, into `out`, which is emptied first so that one buffer serves many rows.
pub(super) fn seal_into(out: &mut Vec<u8>, kind: Kind, key: &[u8], fill: impl FnOnce(&mut Vec<u8>)) {
    out.clear();
    out.extend_from_slice(&[VERSION, 0, 0, 0, 0]);
    fill(out);
    let sum = sum(kind, key, VERSION, &out[HEAD_BYTES..]);
    out[1..HEAD_BYTES].copy_from_slice(&sum.to_le_bytes());
}

/// Wraps what `fill` writes.
pub(super) fn seal(kind: Kind, key: &[u8], fill: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    seal_into(&mut out, kind, key, fill);
    out
}

/// The payload, where it is what was written under this key.
pub(super) fn open<'a>(kind: Kind, key: &[u8], blob: &'a [u8]) -> Result<&'a [u8], Damage> {
    let Some(([version, stored @ ..], payload)) = blob.split_first_chunk::<HEAD_BYTES>() else {
        return Err(Damage::Corrupt);
    };
    if sum(kind, key, *version, payload) != u32::from_le_bytes(*stored) {
        return Err(Damage::Corrupt);
    }
    if *version == VERSION { Ok(payload) } else { Err(Damage::Newer(*version)) }
}

fn sum(kind: Kind, key: &[u8], version: u8, payload: &[u8]) -> u32 {
    let sum = crc32c::crc32c_append(crc32c::crc32c(&[kind as u8, version]), key);
    crc32c::crc32c_append(sum, payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed() -> Vec<u8> {
        seal(Kind::Head, b"key", |out| out.extend_from_slice(b"payload"))
    }

    #[test]
    fn what_was_sealed_opens() {
        assert_eq!(open(Kind::Head, b"key", &sealed()), Ok(&b"payload"[..]));
    }

    #[test]
    fn any_flipped_bit_is_damage() {
        for bit in 0..sealed().len() * 8 {
            let mut blob = sealed();
            blob[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open(Kind::Head, b"key", &blob), Err(Damage::Corrupt), "bit {bit}");
        }
    }

    #[test]
    fn another_key_kind_or_length_is_damage() {
        assert_eq!(open(Kind::Head, b"kez", &sealed()), Err(Damage::Corrupt));
        assert_eq!(open(Kind::Spec, b"key", &sealed()), Err(Damage::Corrupt));
        for length in 0..sealed().len() {
            assert_eq!(open(Kind::Head, b"key", &sealed()[..length]), Err(Damage::Corrupt), "{length} bytes");
        }
    }

    #[test]
    fn a_sound_blob_of_a_later_version_is_named_as_such() {
        let mut blob = sealed();
        blob[0] = 2;
        let sum = sum(Kind::Head, b"key", 2, b"payload");
        blob[1..HEAD_BYTES].copy_from_slice(&sum.to_le_bytes());
        assert_eq!(open(Kind::Head, b"key", &blob), Err(Damage::Newer(2)));
    }
}
