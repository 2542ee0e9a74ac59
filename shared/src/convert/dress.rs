//! What accompanies a job's work: the headers of a call, and the trace it is part of.

use std::collections::BTreeMap;

use super::name::check_name;
use crate::domain::Trace;
use crate::fault::Invalid;
use crate::limits;

/// The headers, in the order of their names.
pub(super) fn headers(wire: BTreeMap<String, String>, invalid: &mut Invalid) -> Vec<(String, String)> {
    if wire.len() > limits::HEADERS_MAX {
        invalid.add("call.headers", format!("holds {}, the limit is {}", wire.len(), limits::HEADERS_MAX));
        return Vec::new();
    }
    for name in wire.keys() {
        let shown: String = name.chars().filter(|c| !c.is_control()).take(32).collect();
        check_name(&format!("call.headers[{shown}]"), name, invalid);
    }
    let (bytes, max) =
        (wire.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>(), limits::HEADERS_BYTES_MAX);
    if bytes > max {
        invalid.add("call.headers", format!("holds {bytes} bytes, the limit is {max} (HEADERS_BYTES_MAX)"));
    }
    wire.into_iter().collect()
}

/// The trace; none where the job is part of none.
pub(super) fn trace(parent: String, state: String, invalid: &mut Invalid) -> Option<Box<Trace>> {
    if !parent.is_empty() && !is_traceparent(&parent) {
        invalid.add(
            "traceparent",
            "must be as W3C Trace Context has it: 00-<32 hex digits>-<16 hex digits>-<2 hex digits>",
        );
    }
    let max = limits::TRACESTATE_BYTES_MAX;
    if state.len() > max || !state.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        invalid.add("tracestate", format!("must be at most {max} printable ASCII characters"));
    }
    if parent.is_empty() && !state.is_empty() {
        invalid.add("tracestate", "says nothing without traceparent");
    }
    (!parent.is_empty()).then(|| Box::new(Trace { parent, state }))
}

/// Whether this is a `traceparent` of version 00: lower-case digits, and neither trace nor parent all zero.
#[must_use]
pub fn is_traceparent(text: &str) -> bool {
    let hex = |part: &str, len: usize| {
        part.len() == len && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let some = |part: &str| part.bytes().any(|byte| byte != b'0');
    match text.split('-').collect::<Vec<_>>()[..] {
        ["00", trace, parent, flags] => {
            hex(trace, 32) && hex(parent, 16) && hex(flags, 2) && some(trace) && some(parent)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_traceparent_is_what_the_standard_says_and_nothing_near_it() {
        assert!(is_traceparent(PARENT));
        let wrong = [
            PARENT.to_uppercase(),
            PARENT.replacen("00", "01", 1),
            PARENT[1..].to_owned(),
            format!("{PARENT}-00"),
            PARENT.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            PARENT.replace("b7ad6b7169203331", &"0".repeat(16)),
        ];
        assert!(wrong.iter().all(|text| !is_traceparent(text)), "{wrong:?}");
    }

    #[test]
    fn what_accompanies_a_job_is_bounded_and_named_where_it_is_too_much() {
        let told = |parent: &str, state: String| {
            let mut invalid = Invalid::default();
            trace(parent.into(), state, &mut invalid);
            invalid.check().map_err(|err| err.to_string())
        };
        assert_eq!(told(PARENT, "a=b".into()), Ok(()));
        assert_eq!(told("", String::new()), Ok(()));
        assert!(told("x", String::new()).unwrap_err().contains("traceparent"));
        assert!(told("", "a=b".into()).unwrap_err().contains("says nothing without traceparent"));
        assert!(told(PARENT, "x".repeat(513)).unwrap_err().contains("at most 512"));
        let told = |headers: Vec<(String, String)>| {
            let mut invalid = Invalid::default();
            super::headers(headers.into_iter().collect(), &mut invalid);
            invalid.check().map_err(|err| err.to_string())
        };
        assert_eq!(told(vec![("x-tenant".into(), "a\u{e9} b".into())]), Ok(()));
        assert!(told(vec![("a b".into(), String::new())]).unwrap_err().contains("call.headers[a b]"));
        assert!(told(vec![("a".into(), "x".repeat(8 << 10))]).unwrap_err().contains("HEADERS_BYTES_MAX"));
        assert!(told((0..65).map(|n| (n.to_string(), String::new())).collect()).unwrap_err().contains("holds 65"));
    }
}
