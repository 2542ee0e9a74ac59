//! Times as people write and read them.

use std::time::Duration;

use windlass_shared::clock;

/// Units, largest first, with their length in nanoseconds.
const UNITS: [(&str, u64); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// The span of `1h30m`, `1.5s`, `250ms`; a bare number is seconds, as with GNU `timeout`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no span of time; write 500ms, 30s, 5m, 1h30m or 2d");
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(wrong());
    }
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let (part, tail) = take_part(rest).ok_or_else(wrong)?;
        total = total.checked_add(part).ok_or_else(wrong)?;
        rest = tail;
    }
    Ok(total)
}

/// The instant of `1h`, which is an hour ago, or of RFC 3339, such as `2026-01-31T12:00:00Z`.
pub(crate) fn parse_instant(text: &str) -> Result<prost_types::Timestamp, String> {
    instant(text, clock::wall().unix_ms())
}

fn instant(text: &str, now_ms: u64) -> Result<prost_types::Timestamp, String> {
    if let Ok(at) = text.trim().parse::<jiff::Timestamp>() {
        return Ok(prost_types::Timestamp { seconds: at.as_second(), nanos: at.subsec_nanosecond() });
    }
    let wrong = || format!("{text:?} is no time; write 1h or 2d for as long ago, or 2026-01-31T12:00:00Z");
    let ago_ms = u64::try_from(parse_duration(text).map_err(|_| wrong())?.as_millis()).map_err(|_| wrong())?;
    let at_ms = now_ms.saturating_sub(ago_ms);
    let nanos = i32::try_from(at_ms % 1_000 * 1_000_000).map_err(|_| wrong())?;
    Ok(prost_types::Timestamp { seconds: i64::try_from(at_ms / 1_000).map_err(|_| wrong())?, nanos })
}

// The span of the first number with its unit, and what follows.
fn take_part(text: &str) -> Option<(Duration, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, tail) = text.split_at(digits);
    let letters = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
    let (unit, tail) = tail.split_at(letters);
    let nanos = match unit {
        "" => 1_000_000_000,
        unit => UNITS.iter().find(|(name, _)| *name == unit)?.1,
    };
    Some((scale(number, nanos)?, tail))
}

// In whole nanoseconds: a float would turn 0.1 s into something else.
fn scale(number: &str, unit_nanos: u64) -> Option<Duration> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let mut nanos = whole.parse::<u64>().ok()?.checked_mul(unit_nanos)?;
    let mut weight = unit_nanos;
    for digit in fraction.chars() {
        weight /= 10;
        nanos = nanos.checked_add(weight.checked_mul(u64::from(digit.to_digit(10)?))?)?;
    }
    Some(Duration::from_nanos(nanos))
}

/// A span at a glance: `412 ms`, `3.1 s`, `2m 05s`, `3h 20m`, `4d 02h`.
pub(crate) fn show_duration(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0 => format!("{} ms", span.as_millis()),
        1..60 => format!("{:.1} s", (span.as_millis() / 100) as f64 / 10.0),
        60..3_600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h {:02}m", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{}d {:02}h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// How long ago it was, or `-`.
pub(crate) fn show_age(at: Option<&prost_types::Timestamp>) -> String {
    let Some(at) = at else { return "-".into() };
    let now_s = i64::try_from(clock::wall().unix_ms() / 1_000).unwrap_or(i64::MAX);
    let seconds = now_s.saturating_sub(at.seconds);
    let (count, unit) = match seconds {
        ..60 => (seconds.max(0), "s"),
        60..3_600 => (seconds / 60, "m"),
        3_600..86_400 => (seconds / 3_600, "h"),
        _ => (seconds / 86_400, "d"),
    };
    format!("{count}{unit}")
}

/// The instant in RFC 3339, UTC, or `-`.
pub(crate) fn show_instant(at: Option<&prost_types::Timestamp>) -> String {
    let instant = at.and_then(|at| jiff::Timestamp::new(at.seconds, at.nanos).ok());
    instant.map_or_else(|| "-".into(), |instant| format!("{instant:.3}"))
}

/// Time between two instants, where both are there.
pub(crate) fn between(from: Option<&prost_types::Timestamp>, to: Option<&prost_types::Timestamp>) -> Option<Duration> {
    let nanos = |at: &prost_types::Timestamp| i128::from(at.seconds) * 1_000_000_000 + i128::from(at.nanos);
    Some(Duration::from_nanos(u64::try_from(nanos(to?) - nanos(from?)).ok()?))
}

/// `1 job`, `2 jobs`.
pub(crate) fn count(number: usize, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

/// Text from elsewhere on one line of ours: clipped between characters, and without control characters, which must not
/// reach the terminal.
pub(crate) fn one_line(text: &str, chars_max: usize) -> String {
    let clean = |c: char| if c.is_control() { '·' } else { c };
    if text.chars().nth(chars_max).is_none() {
        return text.chars().map(clean).collect();
    }
    text.chars().take(chars_max.saturating_sub(1)).map(clean).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_as_people_write_them() {
        let ms = |text| parse_duration(text).map(|span| span.as_millis());
        assert_eq!(ms("1s"), Ok(1_000));
        assert_eq!(ms("250ms"), Ok(250));
        assert_eq!(ms("1.5s"), Ok(1_500));
        assert_eq!(ms("0.1"), Ok(100));
        assert_eq!(ms("1h30m"), Ok(5_400_000));
        assert_eq!(ms("2d"), Ok(172_800_000));
        assert_eq!(ms("0"), Ok(0));
        assert_eq!(ms(" 5m "), Ok(300_000));
    }

    #[test]
    fn what_is_no_span_is_refused_with_examples() {
        for text in ["", "s", "-1s", "1x", "1.2.3s", "1 s", "1e3s", "999999999999d", "."] {
            let err = parse_duration(text).expect_err(text);
            assert!(err.contains("1h30m"), "{err}");
        }
    }

    #[test]
    fn an_instant_is_a_span_ago_or_rfc_3339() {
        let at = |text| instant(text, 1_700_000_000_250).map(|at| (at.seconds, at.nanos));
        assert_eq!(at("1h"), Ok((1_699_996_400, 250_000_000)));
        assert_eq!(at("0s"), Ok((1_700_000_000, 250_000_000)));
        assert_eq!(at("2023-11-14T22:13:20.5Z"), Ok((1_700_000_000, 500_000_000)));
        assert_eq!(at("2023-11-15T00:13:20+02:00"), Ok((1_700_000_000, 0)));
        assert_eq!(at("99999d"), Ok((0, 0)), "before everything there is");
        for text in ["", "yesterday", "2023-11-14", "2023-13-01T00:00:00Z", "-1h"] {
            let err = at(text).expect_err(text);
            assert!(err.contains("ago"), "{err}");
        }
    }

    #[test]
    fn spans_are_shown_at_a_glance() {
        let show = |ms| show_duration(Duration::from_millis(ms));
        assert_eq!(show(412), "412 ms");
        assert_eq!(show(3_149), "3.1 s");
        assert_eq!(show(125_000), "2m 05s");
        assert_eq!(show(12_000_000), "3h 20m");
        assert_eq!(show(352_800_000), "4d 02h");
    }

    #[test]
    fn an_instant_is_rfc_3339_in_utc() {
        let at = prost_types::Timestamp { seconds: 1_700_000_000, nanos: 123_456_789 };
        assert_eq!(show_instant(Some(&at)), "2023-11-14T22:13:20.123Z");
        assert_eq!(show_instant(None), "-");
        let later = prost_types::Timestamp { seconds: 1_700_000_001, nanos: 0 };
        assert_eq!(between(Some(&at), Some(&later)).map(|span| span.as_micros()), Some(876_543));
        assert_eq!(between(Some(&later), Some(&at)), None);
    }

    #[test]
    fn text_from_elsewhere_is_clipped_and_cannot_move_the_cursor() {
        let clipped = one_line(&"ä".repeat(60), 40);
        assert_eq!((clipped.chars().count(), clipped.ends_with('…')), (40, true));
        assert_eq!(one_line("\u{1b}[2Ja\nb", 40), "·[2Ja·b");
        assert_eq!((one_line("short", 5), one_line("shorts", 5)), ("short".into(), "shor…".into()));
    }

    #[test]
    fn one_job_is_not_one_jobs() {
        assert_eq!(
            (count(1, "job"), count(0, "job"), count(2, "job")),
            ("1 job".into(), "0 jobs".into(), "2 jobs".into())
        );
    }
}
