//! Rates as people write and read them: `10/s`, `300/1m`, `0.5/h`.

use std::time::Duration;

use windlass_shared::pb;

use crate::humane::parse_duration;
use crate::spec::span;

/// A cost, and the period it may begin in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Pace {
    cost: f64,
    period: Duration,
}

/// The pace of `10/s`; a unit alone is one of it.
pub(crate) fn parse_pace(text: &str) -> Result<Pace, String> {
    let wrong = || format!("{text:?} is no rate; write 10/s, 300/1m, 1000/h or 5/30s");
    let (cost, period) = text.split_once('/').ok_or_else(wrong)?;
    let cost = cost.trim().parse().map_err(|_| wrong())?;
    let period = period.trim();
    let is_unit = period.starts_with(|c: char| c.is_ascii_alphabetic());
    let period = if is_unit { parse_duration(&format!("1{period}")) } else { parse_duration(period) };
    Ok(Pace { cost, period: period.map_err(|_| wrong())? })
}

/// As the API has it.
pub(crate) fn rate(pace: &Pace, burst: Option<f64>) -> pb::Rate {
    pb::Rate { cost: pace.cost, period: Some(span(pace.period)), burst }
}

/// `10/1s`, and its burst where that is another.
pub(crate) fn show_rate(rate: Option<&pb::Rate>) -> String {
    let Some(rate) = rate else { return "-".into() };
    let seconds = rate.period.as_ref().map_or(1, |period| period.seconds);
    let period = match seconds {
        86_400.. if seconds % 86_400 == 0 => format!("{}d", seconds / 86_400),
        3_600.. if seconds % 3_600 == 0 => format!("{}h", seconds / 3_600),
        60.. if seconds % 60 == 0 => format!("{}m", seconds / 60),
        _ => format!("{seconds}s"),
    };
    match rate.burst {
        #[expect(clippy::float_cmp, reason = "both come from whole thousandths")]
        Some(burst) if burst != rate.cost => format!("{}/{period}, {burst} at once", rate.cost),
        _ => format!("{}/{period}", rate.cost),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_cost_and_a_period() {
        let shown = |text: &str| parse_pace(text).map(|pace| show_rate(Some(&rate(&pace, None))));
        for (text, is) in
            [("10/s", "10/1s"), ("300/1m", "300/1m"), ("0.5/h", "0.5/1h"), ("5/90", "5/90s"), ("1/d", "1/1d")]
        {
            assert_eq!(shown(text).as_deref(), Ok(is));
        }
        for text in ["10", "/s", "x/s", "10/", "10/parsec", "10/s/s"] {
            assert!(shown(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_burst_is_shown_where_it_is_not_a_whole_period() {
        let pace = parse_pace("10/s").expect("a rate");
        assert_eq!(show_rate(Some(&rate(&pace, Some(1.0)))), "10/1s, 1 at once");
        assert_eq!(show_rate(Some(&rate(&pace, Some(10.0)))), "10/1s");
        assert_eq!(show_rate(None), "-");
    }
}
