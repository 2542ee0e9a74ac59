//! Ids are types, so that arguments cannot change places.

use std::fmt;
use std::str::FromStr;

use uuid::{Uuid, Variant};

/// The text is no UUID of the kind wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a UUID such as 0193a5b0-7c3e-7f00-8000-0123456789ab")]
pub struct BadId;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// The id of these 16 bytes, as RFC 9562 lays them out.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// The 16 bytes, as RFC 9562 lays them out.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            // Hyphenated only: one id has one spelling, so that ids can be compared and searched as text.
            fn from_str(text: &str) -> Result<Self, BadId> {
                let id = Uuid::try_parse(text).map_err(|_| BadId)?;
                if text.len() != 36 || id.get_variant() != Variant::RFC4122 {
                    return Err(BadId);
                }
                Ok(Self(id))
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = BadId;

            fn try_from(bytes: &[u8]) -> Result<Self, BadId> {
                Ok(Self(Uuid::from_slice(bytes).map_err(|_| BadId)?))
            }
        }
    };
}

id! {
    /// A job. `UUIDv7`, so ids sort by the time of submit.
    JobId
}
id! {
    /// An agent, by the random `UUIDv4` it keeps in its data directory.
    AgentId
}

impl JobId {
    /// A `UUIDv7` of this wall-clock time (milliseconds since 1970) and these random bits.
    #[must_use]
    pub fn new(unix_ms: u64, random: &[u8; 10]) -> Self {
        Self(uuid::Builder::from_unix_timestamp_millis(unix_ms, random).into_uuid())
    }
}

impl AgentId {
    /// A `UUIDv4` of these random bits.
    #[must_use]
    pub fn new(random: [u8; 16]) -> Self {
        Self(uuid::Builder::from_random_bytes(random).into_uuid())
    }
}

/// One stream of one agent, numbered by the coordinator that serves it; never used twice within a coordinator's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        let id = JobId::new(1_700_000_000_000, &[7; 10]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().replace('-', "").parse::<JobId>(), Err(BadId));
        assert_eq!(format!("{{{id}}}").parse::<JobId>(), Err(BadId));
        assert_eq!("".parse::<JobId>(), Err(BadId));
    }

    #[test]
    fn later_jobs_have_greater_ids() {
        assert!(JobId::new(1, &[0xff; 10]) < JobId::new(2, &[0; 10]));
    }
}
