//! The confinement's part of a spec: numbers one after the other, little-endian, each optional one behind a byte that says whether
//! it is there.

use crate::process::{Confinement, Limit, Resource, User};

/// Most supplementary groups that the kernel takes.
const GROUPS_MAX: usize = 65_536;

/// Appends `confinement`; the error is an errno, as for the kernel's own refusals.
pub(super) fn encode(confinement: &Confinement, bytes: &mut Vec<u8>) -> Result<(), i32> {
    let Confinement { oom_score_adj, nice, limits, umask, user, no_new_privs } = confinement;
    optional(bytes, oom_score_adj.map(i32::to_le_bytes));
    bytes.extend(nice.to_le_bytes());
    bytes.push((*no_new_privs).into());
    optional(bytes, umask.map(u32::to_le_bytes));
    bytes.push(u8::try_from(limits.len()).map_err(|_| libc::EINVAL)?);
    for limit in limits {
        bytes.push(number(limit.resource));
        optional(bytes, limit.soft.map(u64::to_le_bytes));
        optional(bytes, limit.hard.map(u64::to_le_bytes));
    }
    bytes.push(user.is_some().into());
    user.as_ref().map_or(Ok(()), |user| encode_user(user, bytes))
}

fn encode_user(user: &User, bytes: &mut Vec<u8>) -> Result<(), i32> {
    let User { uid, gid, groups } = user;
    // To the kernel, -1 means "as before": a job would stay what the agent is.
    if [uid, gid].into_iter().chain(groups).any(|id| *id == u32::MAX) || groups.len() > GROUPS_MAX {
        return Err(libc::EINVAL);
    }
    bytes.extend(uid.to_le_bytes());
    bytes.extend(gid.to_le_bytes());
    bytes.extend(u32::try_from(groups.len()).map_err(|_| libc::EINVAL)?.to_le_bytes());
    bytes.extend(groups.iter().flat_map(|group| group.to_le_bytes()));
    Ok(())
}

fn optional<const N: usize>(bytes: &mut Vec<u8>, value: Option<[u8; N]>) {
    bytes.push(value.is_some().into());
    bytes.extend(value.into_iter().flatten());
}

/// The confinement at the front, and what follows it; None for bytes that [`encode`] cannot have made.
pub(super) fn decode(bytes: &[u8]) -> Option<(Confinement, &[u8])> {
    let mut fields = Fields(bytes);
    let oom_score_adj = fields.optional()?.map(i32::from_le_bytes);
    let nice = i32::from_le_bytes(fields.take()?);
    let no_new_privs = fields.flag()?;
    let umask = fields.optional()?.map(u32::from_le_bytes);
    let [count] = fields.take()?;
    let limits = (0..count).map(|_| fields.limit()).collect::<Option<Vec<_>>>()?;
    let user = if fields.flag()? { Some(fields.user()?) } else { None };
    Some((Confinement { oom_score_adj, nice, limits, umask, user, no_new_privs }, fields.0))
}

struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }

    fn flag(&mut self) -> Option<bool> {
        match self.take()? {
            [0] => Some(false),
            [1] => Some(true),
            _ => None,
        }
    }

    fn optional<const N: usize>(&mut self) -> Option<Option<[u8; N]>> {
        if self.flag()? { self.take().map(Some) } else { Some(None) }
    }

    fn limit(&mut self) -> Option<Limit> {
        let [tag] = self.take()?;
        let resource = Resource::ALL.into_iter().find(|resource| number(*resource) == tag)?;
        let (soft, hard) = (self.optional()?.map(u64::from_le_bytes), self.optional()?.map(u64::from_le_bytes));
        Some(Limit { resource, soft, hard })
    }

    fn user(&mut self) -> Option<User> {
        let (uid, gid) = (u32::from_le_bytes(self.take()?), u32::from_le_bytes(self.take()?));
        let count = u32::from_le_bytes(self.take()?);
        let groups = (0..count).map(|_| self.take().map(u32::from_le_bytes)).collect::<Option<Vec<_>>>()?;
        Some(User { uid, gid, groups })
    }
}

fn number(resource: Resource) -> u8 {
    match resource {
        Resource::Core => 1,
        Resource::Nofile => 2,
        Resource::Fsize => 3,
        Resource::Cpu => 4,
        Resource::Data => 5,
        Resource::Stack => 6,
        Resource::Memlock => 7,
        Resource::Nproc => 8,
        Resource::AddressSpace => 9,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_survives_and_a_cut_is_seen() {
        let limit = |resource| Limit { resource, soft: Some(7), hard: None };
        let full = Confinement {
            oom_score_adj: Some(-500),
            nice: -3,
            limits: Resource::ALL.map(limit).to_vec(),
            umask: Some(0o27),
            user: Some(User { uid: 1000, gid: 100, groups: vec![100, 4, 27] }),
            no_new_privs: true,
        };
        for confinement in [full, Confinement::default()] {
            let mut bytes = Vec::new();
            encode(&confinement, &mut bytes).unwrap();
            bytes.push(b'x');
            let whole = bytes.len() - 1;
            assert_eq!(decode(&bytes), Some((confinement, &b"x"[..])));
            assert!((0..whole).all(|cut| decode(&bytes[..cut]).is_none()));
        }
    }

    #[test]
    fn a_number_that_would_leave_a_job_what_the_agent_is_cannot_be_sent() {
        let user = |uid, gid, groups| Confinement { user: Some(User { uid, gid, groups }), ..Confinement::default() };
        for malformed in [user(u32::MAX, 1, vec![]), user(1, u32::MAX, vec![]), user(1, 1, vec![1; GROUPS_MAX + 1])] {
            assert_eq!(encode(&malformed, &mut Vec::new()), Err(libc::EINVAL));
        }
    }
}
