//! Reports as bytes, for whoever keeps them: the very message that says them, so that nothing is lost or invented between
//! being kept and being said.

use prost::Message;
use windlass_shared::convert::{self, FromAgent};
use windlass_shared::domain::ReportItem;
use windlass_shared::pb;

/// Appends one item as bytes.
pub(crate) fn write(item: &ReportItem, out: &mut Vec<u8>) {
    convert::report(0, std::slice::from_ref(item)).encode_raw(out);
}

/// The item that [`write()`] wrote; none where the bytes are something else.
pub(crate) fn from_bytes(bytes: &[u8]) -> Option<ReportItem> {
    match convert::from_agent(pb::ConnectRequest::decode(bytes).ok()?).ok()? {
        FromAgent::Report(_, mut items) if items.len() == 1 => items.pop(),
        _ => None,
    }
}
