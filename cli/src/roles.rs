//! The other parts this executable plays, picked by a hidden first argument.

use windlass_shared::role::Role;

/// All of them. `run --local` starts the first two as processes of their own; agents start the third.
pub(crate) const ROLES: &[Role] = &[
    Role { name: "__coordinator", run: windlass_coordinator::main },
    Role { name: "__agent", run: windlass_worker_agent::main },
    Role { name: "__warden", run: windlass_worker_agent::warden::main },
];
