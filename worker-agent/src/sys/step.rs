//! The steps of a child's way from fork to exec, by name and as the byte that tells of them.

/// A step that can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Step {
    Group = 1,
    Session,
    Stdio,
    OomScore,
    Nice,
    Limits,
    User,
    Privileges,
    Signals,
    Chdir,
    Guard,
    Exec,
}

impl Step {
    /// In the order of the way.
    const ALL: [Self; 12] = [
        Self::Group,
        Self::Session,
        Self::Stdio,
        Self::OomScore,
        Self::Nice,
        Self::Limits,
        Self::User,
        Self::Privileges,
        Self::Signals,
        Self::Chdir,
        Self::Guard,
        Self::Exec,
    ];

    pub(super) fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|step| *step as u8 == byte)
    }
}
