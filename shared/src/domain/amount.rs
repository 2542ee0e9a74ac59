//! Amounts of resources: people say 1.5, everybody else counts 1500 thousandths, so that sums are exact.

/// Reads a decimal number with up to three decimals, such as `2` or `1.5`, as thousandths.
///
/// # Errors
/// What it must be, in words, where it is anything else or more than 10^12.
pub fn parse_amount(text: &str) -> Result<u64, String> {
    let wrong = || "must be a number with up to three decimals, such as 2 or 1.5, and not negative".to_owned();
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(decimals) || decimals.len() > 3 {
        return Err(wrong());
    }
    let thousandths: u64 = format!("{decimals:0<3}").parse().map_err(|_| wrong())?;
    let whole = whole.parse::<u64>().ok().and_then(|whole| whole.checked_mul(1_000)?.checked_add(thousandths));
    let max = crate::limits::RESOURCE_AMOUNT_MAX;
    whole
        .filter(|milli| *milli <= max)
        .ok_or_else(|| format!("must be at most {}; count in a larger unit", max / 1_000))
}

/// The same for people: no decimals where there are none.
#[must_use]
pub fn show_amount(milli: u64) -> String {
    let (whole, thousandths) = (milli / 1_000, milli % 1_000);
    if thousandths == 0 {
        return whole.to_string();
    }
    format!("{whole}.{thousandths:03}").trim_end_matches('0').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_said_as_it_is_read() {
        for (text, milli) in [("0", 0), ("1", 1_000), ("1.5", 1_500), ("0.001", 1), ("1000000000000", 10_u64.pow(15))] {
            assert_eq!((parse_amount(text), &*show_amount(milli)), (Ok(milli), text));
        }
        assert_eq!((parse_amount("2.50"), parse_amount("007")), (Ok(2_500), Ok(7_000)));
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for text in ["", "-1", "+1", ".5", "1.", "1.5.2", "0.0001", "1e3", "NaN", "inf", "1 000", "٣"] {
            assert!(parse_amount(text).unwrap_err().starts_with("must be a number"), "{text:?}");
        }
        for text in ["1000000000000.001", "99999999999999999999999"] {
            assert!(parse_amount(text).unwrap_err().starts_with("must be at most 1000000000000;"), "{text:?}");
        }
    }
}
