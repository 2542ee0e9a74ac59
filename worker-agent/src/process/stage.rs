//! The way to a running program, stage by stage.

/// Where on the way to a running program it failed, in the order of that way. Told by its number from the child up to the
/// agent, which are all of one executable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// In the agent: the request itself, pipes or memory for it.
    Prepare = 1,
    /// Between agent and warden, or the warden or keeper died on the way.
    Warden,
    /// The kernel gave no process.
    Fork,
    /// The control group that is to hold it.
    Group,
    /// A session of its own.
    Session,
    /// Standard input, output, error.
    Stdio,
    /// How soon it is killed when memory runs out.
    OomScore,
    /// How nice it is to others.
    Nice,
    /// Resource limits.
    Limits,
    /// Becoming another user.
    User,
    /// Giving up to gain privileges by exec.
    Privileges,
    /// A clean signal mask.
    Signals,
    /// The working directory.
    Chdir,
    /// The order to die with its keeper.
    Guard,
    /// The program itself.
    Exec,
    /// The lease had run out, which what is fenced must not outlive: it was not begun.
    Fence,
}

impl Stage {
    pub(crate) const ALL: [Self; 16] = [
        Self::Prepare,
        Self::Warden,
        Self::Fork,
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
        Self::Fence,
    ];

    /// One lower-case word, as shown to users.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Prepare => "prepare",
            Self::Warden => "warden",
            Self::Fork => "fork",
            Self::Group => "group",
            Self::Session => "session",
            Self::Stdio => "stdio",
            Self::OomScore => "oom-score",
            Self::Nice => "nice",
            Self::Limits => "limits",
            Self::User => "user",
            Self::Privileges => "privileges",
            Self::Signals => "signals",
            Self::Chdir => "chdir",
            Self::Guard => "guard",
            Self::Exec => "exec",
            Self::Fence => "fence",
        }
    }

    pub(crate) const fn number(self) -> u8 {
        self as u8
    }

    pub(crate) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.number() == number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_is_known_by_its_number() {
        assert_eq!(Stage::ALL.map(Stage::number).to_vec(), (1..=Stage::Fence.number()).collect::<Vec<_>>());
        assert_eq!((Stage::from_number(0), Stage::from_number(17)), (None, None));
        assert_eq!(Stage::from_number(Stage::Chdir.number()), Some(Stage::Chdir));
    }
}
