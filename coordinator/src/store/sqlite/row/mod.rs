//! What is in the blobs: the only room that knows. Fields are added, never changed: a field that is absent reads as 0 or none.
//!
//! - [`head`] a job · [`attempt`] a try at it · [`outcome`] how that ended · [`event`] what changed · [`mark`] what operators want.

mod attempt;
mod event;
mod head;
mod mark;
mod outcome;

use std::sync::Arc;

use bytes::Bytes;
use prost::Message;
use windlass_shared::ids::JobId;
use windlass_shared::time::Timestamp;

use super::codes::Code;
use super::frame::{self, Damage, Kind};
use super::messages::RequestRow;
use crate::store::Request;
pub(super) use attempt::{open_attempt, seal_attempt};
pub(super) use event::{open_events, seal_events};
pub(super) use head::{open_head, seal_head};
pub(super) use mark::{open_mark, seal_mark};
pub(super) use outcome::{open_result, seal_result};

/// Queue names that were met: a million jobs of one queue share one name.
#[derive(Debug, Default)]
pub(super) struct Names(Option<Arc<str>>);

impl Names {
    fn share(&mut self, name: &str) -> Arc<str> {
        match &self.0 {
            Some(last) if **last == *name => last.clone(),
            _ => self.0.insert(name.into()).clone(),
        }
    }
}

pub(super) fn seal_request(request: &Request) -> Vec<u8> {
    let row = RequestRow { digest: request.digest.to_vec(), job: request.job.as_bytes().to_vec(), at: request.at.0 };
    let mut out = Vec::new();
    seal_into(&mut out, Kind::Request, request.id.as_bytes(), &row);
    out
}

pub(super) fn open_request(id: &str, blob: &[u8]) -> Result<Request, Damage> {
    let row: RequestRow = open(Kind::Request, id.as_bytes(), blob)?;
    Ok(Request {
        id: id.into(),
        digest: (&row.digest[..]).try_into().map_err(|_| Damage::Corrupt)?,
        job: JobId::try_from(&row.job[..]).map_err(|_| Damage::Corrupt)?,
        at: Timestamp(row.at),
    })
}

pub(super) fn seal_spec(out: &mut Vec<u8>, id: JobId, spec: &[u8]) {
    frame::seal_into(out, Kind::Spec, id.as_bytes(), |out| out.extend_from_slice(spec));
}

pub(super) fn open_spec(id: JobId, blob: &[u8]) -> Result<Bytes, Damage> {
    frame::open(Kind::Spec, id.as_bytes(), blob).map(Bytes::copy_from_slice)
}

fn seal_into(out: &mut Vec<u8>, kind: Kind, key: &[u8], row: &impl Message) {
    frame::seal_into(out, kind, key, |out| row.encode_raw(out));
}

fn open<M: Message + Default>(kind: Kind, key: &[u8], blob: &[u8]) -> Result<M, Damage> {
    M::decode(frame::open(kind, key, blob)?).map_err(|_| Damage::Corrupt)
}

fn code<C: Code>(code: u32) -> Result<C, Damage> {
    C::of(code).ok_or(Damage::Corrupt)
}

fn optional_code<C: Code>(number: u32) -> Result<Option<C>, Damage> {
    if number == 0 { Ok(None) } else { code(number).map(Some) }
}

fn code_or_0(value: Option<impl Code>) -> u32 {
    value.map_or(0, Code::code)
}

fn narrow<W, N: TryFrom<W>>(wide: W) -> Result<N, Damage> {
    N::try_from(wide).map_err(|_| Damage::Corrupt)
}

#[cfg(test)]
mod tests {
    use windlass_shared::domain::Event;

    use super::super::messages::HeadRow;
    use super::*;
    use crate::store::tests::records::Draw;

    #[test]
    fn random_records_come_back_as_they_were() {
        let (mut draw, mut blob) = (Draw(fastrand::Rng::with_seed(1)), Vec::new());
        for round in 0..2_000 {
            let job = draw.job();
            seal_head(&mut blob, &job);
            assert_eq!(open_head(job.id, &blob, &mut Names::default()), Ok(job.clone()), "round {round}");

            let attempt = draw.attempt();
            seal_attempt(&mut blob, job.id, &attempt);
            assert_eq!(open_attempt(job.id, &blob), Ok(attempt), "round {round}");

            let events: Vec<Event> = (0..round % 4).map(|_| draw.event()).collect();
            assert_eq!(open_events(9, &seal_events(9, events.iter().cloned())), Ok(events), "round {round}");

            let request = draw.request();
            assert_eq!(open_request(&request.id, &seal_request(&request)), Ok(request), "round {round}");
        }
    }

    #[test]
    fn any_flipped_bit_of_a_head_is_damage() {
        let (mut draw, mut blob) = (Draw(fastrand::Rng::with_seed(2)), Vec::new());
        let job = draw.job();
        seal_head(&mut blob, &job);
        for bit in 0..blob.len() * 8 {
            blob[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open_head(job.id, &blob, &mut Names::default()), Err(Damage::Corrupt), "bit {bit}");
            blob[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn a_sound_blob_with_a_number_nobody_gave_is_damage() {
        let id = JobId::from_bytes([1; 16]);
        let mut blob = Vec::new();
        seal_into(&mut blob, Kind::Head, id.as_bytes(), &HeadRow { state: 99, ..HeadRow::default() });
        assert_eq!(open_head(id, &blob, &mut Names::default()), Err(Damage::Corrupt));
    }

    #[test]
    fn jobs_of_one_queue_share_its_name() {
        let mut names = Names::default();
        let (a, b) = (names.share("q"), names.share("q"));
        assert!(Arc::ptr_eq(&a, &b));
        assert_eq!(&*names.share("r"), "r");
    }
}
