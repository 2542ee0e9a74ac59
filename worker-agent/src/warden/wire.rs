//! The datagrams between agent, warden and keepers: fixed, small, little-endian. Both ends are one executable, so there is
//! no version; a datagram that does not decode is a bug or a broken neighbour, and typed as such.
//!
//! ```text
//!  agent ── Request::Spawn + spec, stdout, stderr[, group][, stdin] ──► warden ── fork ──► keeper
//!  agent ◄── Report (Started carries the keeper's pidfd) ── warden ◄── Report ── keeper
//! ```
//! Signals are no datagrams: the agent sends them to the keeper by pidfd. There is no acknowledgement either: a connected
//! socket pair loses nothing it accepted, so what it accepted may leave the warden's table.

use std::time::Duration;

use crate::process::{ExitInfo, ExitKind, Proof, SpawnError, Stage};
use crate::sys::boottime::Boottime;

/// Largest datagram; [`Report::Ended`] needs 54 bytes.
pub(crate) const DATAGRAM_MAX: usize = 64;

/// Names one attempt between one agent and its wardens.
pub(crate) type Ticket = u64;

/// What the agent wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    /// Start a process; the descriptors travel beside it. Fenced, it must not outlive the lease; contained, one of them is its
    /// control group.
    Spawn { fenced: bool, contained: bool },
    /// Kill a tree. Only for an agent that had no descriptor free to receive the keeper's pidfd; others need no warden.
    Kill,
    /// The lease runs until then. Names no ticket.
    Refresh { deadline: Boottime },
}

/// What became of a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Report {
    /// exec succeeded.
    Started { leader: u32 },
    /// It did not start. The last word on its ticket.
    Failed(SpawnError),
    /// The leader ended. With `Some`, its tree is gone too, and this is the last word: the common end is one datagram.
    Ended { exit: ExitInfo, tree: Option<Proof> },
    /// How the leader ended will never be known.
    LeaderLost,
    /// It was killed because the lease ran out; its end follows.
    Fenced,
    /// The tree is gone, or with [`Proof::None`] it is overdue; only then another follows.
    TreeEnded(Proof),
}

/// A datagram that means nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WireError {
    #[error("datagram of {got} bytes ends inside a field")]
    Truncated { got: usize },
    #[error("{extra} bytes after the last field")]
    Trailing { extra: usize },
    #[error("no {field} has the number {value}")]
    Unknown { field: &'static str, value: u8 },
}

/// An encoded datagram, on the stack.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Datagram {
    bytes: [u8; DATAGRAM_MAX],
    len: usize,
}

impl Datagram {
    fn new(tag: u8, ticket: Ticket) -> Self {
        Self { bytes: [0; DATAGRAM_MAX], len: 0 }.put(&[tag]).put(&ticket.to_le_bytes())
    }

    fn put(mut self, field: &[u8]) -> Self {
        self.bytes[self.len..self.len + field.len()].copy_from_slice(field);
        self.len += field.len();
        self
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

const SPAWN: u8 = 1;
const STARTED: u8 = 2;
const FAILED: u8 = 3;
const ENDED: u8 = 4;
const LEADER_LOST: u8 = 5;
const TREE_ENDED: u8 = 6;
const KILL: u8 = 7;
const REFRESH: u8 = 8;
const FENCED: u8 = 9;

impl Request {
    pub(crate) fn encode(self, ticket: Ticket) -> Datagram {
        match self {
            Self::Spawn { fenced, contained } => Datagram::new(SPAWN, ticket).put(&[fenced.into(), contained.into()]),
            Self::Kill => Datagram::new(KILL, ticket),
            Self::Refresh { deadline } => Datagram::new(REFRESH, ticket).put(&deadline.0.to_le_bytes()),
        }
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<(Ticket, Self), WireError> {
        let mut fields = Fields::new(bytes);
        let tag = fields.u8()?;
        let ticket = fields.u64()?;
        let request = match tag {
            SPAWN => Self::Spawn { fenced: fields.u8()? != 0, contained: fields.u8()? != 0 },
            KILL => Self::Kill,
            REFRESH => Self::Refresh { deadline: Boottime(fields.u64()?) },
            value => {
                return Err(WireError::Unknown { field: "request", value });
            }
        };
        fields.end().map(|()| (ticket, request))
    }
}

impl Report {
    pub(crate) fn encode(&self, ticket: Ticket) -> Datagram {
        match self {
            Self::Started { leader } => Datagram::new(STARTED, ticket).put(&leader.to_le_bytes()),
            Self::Failed(error) => Datagram::new(FAILED, ticket)
                .put(&[error.stage.number(), proof_number(error.proof)])
                .put(&error.errno.to_le_bytes()),
            Self::Ended { exit, tree } => encode_exit(Datagram::new(ENDED, ticket), exit, *tree),
            Self::LeaderLost => Datagram::new(LEADER_LOST, ticket),
            Self::Fenced => Datagram::new(FENCED, ticket),
            Self::TreeEnded(proof) => Datagram::new(TREE_ENDED, ticket).put(&[proof_number(*proof)]),
        }
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<(Ticket, Self), WireError> {
        let mut fields = Fields::new(bytes);
        let tag = fields.u8()?;
        let ticket = fields.u64()?;
        let report = match tag {
            STARTED => Self::Started { leader: fields.u32()? },
            FAILED => Self::Failed(decode_failure(&mut fields)?),
            ENDED => decode_exit(&mut fields)?,
            LEADER_LOST => Self::LeaderLost,
            FENCED => Self::Fenced,
            TREE_ENDED => Self::TreeEnded(proof(fields.u8()?)?),
            value => {
                return Err(WireError::Unknown { field: "report", value });
            }
        };
        fields.end().map(|()| (ticket, report))
    }
}

const NO_TREE_YET: u8 = 0;
const CODE: u8 = 0;
const SIGNAL: u8 = 1;
const SIGNAL_AND_CORE: u8 = 2;

fn encode_exit(datagram: Datagram, exit: &ExitInfo, tree: Option<Proof>) -> Datagram {
    let (kind, number) = match exit.status {
        ExitKind::Code(code) => (CODE, code),
        ExitKind::Signal { signo, core_dumped: false } => (SIGNAL, signo),
        ExitKind::Signal { signo, core_dumped: true } => (SIGNAL_AND_CORE, signo),
    };
    datagram
        .put(&[tree.map_or(NO_TREE_YET, proof_number), kind])
        .put(&number.to_le_bytes())
        .put(&micros(exit.user_time))
        .put(&micros(exit.system_time))
        .put(&micros(exit.wall_time))
        .put(&exit.max_rss_bytes.to_le_bytes())
}

fn decode_exit(fields: &mut Fields<'_>) -> Result<Report, WireError> {
    let tree = match fields.u8()? {
        NO_TREE_YET => None,
        number => Some(proof(number)?),
    };
    let kind = fields.u8()?;
    let number = fields.i32()?;
    let status = match kind {
        CODE => ExitKind::Code(number),
        SIGNAL => ExitKind::Signal { signo: number, core_dumped: false },
        SIGNAL_AND_CORE => ExitKind::Signal { signo: number, core_dumped: true },
        value => {
            return Err(WireError::Unknown { field: "exit kind", value });
        }
    };
    let user_time = fields.duration()?;
    let system_time = fields.duration()?;
    let wall_time = fields.duration()?;
    let exit = ExitInfo { status, user_time, system_time, wall_time, max_rss_bytes: fields.u64()? };
    Ok(Report::Ended { exit, tree })
}

fn decode_failure(fields: &mut Fields<'_>) -> Result<SpawnError, WireError> {
    let number = fields.u8()?;
    let stage = Stage::from_number(number).ok_or(WireError::Unknown { field: "stage", value: number })?;
    let proof = proof(fields.u8()?)?;
    Ok(SpawnError { stage, errno: fields.i32()?, proof })
}

fn micros(duration: Duration) -> [u8; 8] {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX).to_le_bytes()
}

fn proof_number(proof: Proof) -> u8 {
    match proof {
        Proof::Keeper => 1,
        Proof::Swept => 2,
        Proof::None => 3,
        Proof::Cgroup => 4,
    }
}

fn proof(number: u8) -> Result<Proof, WireError> {
    let known = [Proof::Cgroup, Proof::Keeper, Proof::Swept, Proof::None];
    known
        .into_iter()
        .find(|proof| proof_number(*proof) == number)
        .ok_or(WireError::Unknown { field: "proof", value: number })
}

/// Takes fields off the front.
struct Fields<'a> {
    rest: &'a [u8],
    got: usize,
}

impl<'a> Fields<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, got: bytes.len() }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (field, rest) = self.rest.split_first_chunk::<N>().ok_or(WireError::Truncated { got: self.got })?;
        self.rest = rest;
        Ok(*field)
    }

    fn u8(&mut self) -> Result<u8, WireError> {
        self.take().map(u8::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, WireError> {
        self.take().map(u32::from_le_bytes)
    }

    fn i32(&mut self) -> Result<i32, WireError> {
        self.take().map(i32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, WireError> {
        self.take().map(u64::from_le_bytes)
    }

    fn duration(&mut self) -> Result<Duration, WireError> {
        self.u64().map(Duration::from_micros)
    }

    fn end(self) -> Result<(), WireError> {
        match self.rest.len() {
            0 => Ok(()),
            extra => Err(WireError::Trailing { extra }),
        }
    }
}

#[cfg(test)]
mod tests;
