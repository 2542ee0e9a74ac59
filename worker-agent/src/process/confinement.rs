//! What a process is confined by before its program runs. Plain numbers: who a user is, and what is wise, is decided by callers.

/// Confines a process. The default changes nothing: it has what the agent has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Confinement {
    /// How much sooner the kernel kills it than others when memory runs out, -1000 to 1000. Less than the agent has needs
    /// `CAP_SYS_RESOURCE`. None: as the agent.
    pub oom_score_adj: Option<i32>,
    /// Added to the agent's own niceness, -40 to 40; what comes out is kept within -20 to 19. Below 0 needs `CAP_SYS_NICE`.
    pub nice: i32,
    /// Resource limits, each set once.
    pub limits: Vec<Limit>,
    /// Mode bits that its files do not get, up to 0o777. None: as the agent.
    pub umask: Option<u32>,
    /// Who it becomes. None: who the agent is.
    pub user: Option<User>,
    /// It cannot gain privileges by exec: programs with set-user-id bits or file capabilities run without them.
    pub no_new_privs: bool,
}

/// A resource limit (setrlimit). Never above the hard limit that the agent has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// What is limited.
    pub resource: Resource,
    /// What counts, in the resource's unit. None: as the agent, or `hard` where that is lower.
    pub soft: Option<u64>,
    /// What it can raise `soft` to. None: as the agent.
    pub hard: Option<u64>,
}

/// What can be limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// Bytes of a core dump that the kernel writes itself; one that is piped to a program does not ask.
    Core,
    /// Descriptors.
    Nofile,
    /// Bytes of any file that it writes.
    Fsize,
    /// Seconds on processors.
    Cpu,
    /// Bytes of data segment and private writable mappings.
    Data,
    /// Bytes of the first thread's stack, and of arguments four times as many.
    Stack,
    /// Bytes locked in memory.
    Memlock,
    /// Processes and threads *of the whole user*, not of this process.
    Nproc,
    /// Bytes of address space, used or not: what reserves much and uses little breaks (JVM, Go, sanitizers).
    AddressSpace,
}

impl Resource {
    /// All there are.
    pub(crate) const ALL: [Self; 9] = [
        Self::Core,
        Self::Nofile,
        Self::Fsize,
        Self::Cpu,
        Self::Data,
        Self::Stack,
        Self::Memlock,
        Self::Nproc,
        Self::AddressSpace,
    ];
}

/// A user with all groups: nothing of the agent's is left. Neither number may be `u32::MAX`, which to the kernel means "as before".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Real, effective and saved.
    pub uid: u32,
    /// Real, effective and saved.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}
