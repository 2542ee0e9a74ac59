//! What bounds a job beside the room there is for it: limits, its share, its unique key.

use windlass_shared::pb;

/// The flags for it.
#[derive(Debug, clap::Args)]
pub(crate) struct BoundArgs {
    /// Limit it counts against, by 1 unit at a cost of 1 unless said otherwise; repeat for more
    #[arg(long, value_name = "KEY[=UNITS[/COST]]", value_parser = parse_limit, help_heading = "Bounds")]
    limit: Vec<pb::LimitUse>,
    /// Whose share of the queue it takes from, such as a tenant, at a cost of 1 unless said otherwise
    #[arg(long, value_name = "KEY[=COST]", value_parser = parse_fairness, help_heading = "Bounds")]
    fairness: Option<pb::Fairness>,
    /// At most one unfinished job has this key
    #[arg(long, value_name = "KEY", conflicts_with = "each", help_heading = "Bounds")]
    unique: Option<String>,
    /// What becomes of it while another unfinished job has its key: `reject` it, take that one for it (`return-existing`), or put it
    /// in place of one that no agent has yet (`replace-queued`) or of any (`cancel-running`) [default: reject]
    #[arg(long, value_name = "WHAT", hide_possible_values = true, requires = "unique", help_heading = "Bounds")]
    on_conflict: Option<OnConflict>,
}

/// The contract's `OnConflict`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum OnConflict {
    Reject,
    ReturnExisting,
    ReplaceQueued,
    CancelRunning,
}

impl BoundArgs {
    /// Puts it into a spec.
    pub(super) fn add_to(&self, spec: &mut pb::JobSpec) {
        use pb::unique::OnConflict as Wire;
        spec.limits.clone_from(&self.limit);
        spec.fairness.clone_from(&self.fairness);
        let on_conflict = self.on_conflict.map_or(Wire::Unspecified, |what| match what {
            OnConflict::Reject => Wire::Reject,
            OnConflict::ReturnExisting => Wire::ReturnExisting,
            OnConflict::ReplaceQueued => Wire::ReplaceQueued,
            OnConflict::CancelRunning => Wire::CancelRunning,
        });
        spec.unique = self.unique.clone().map(|key| pb::Unique { key, on_conflict: on_conflict.into() });
    }
}

fn parse_limit(text: &str) -> Result<pb::LimitUse, String> {
    let wrong = || format!("{text:?} is no use of a limit; write api.example, licences=2 or api.example=1/0.5");
    let Some((key, rest)) = text.rsplit_once('=') else {
        return Ok(pb::LimitUse { key: text.to_owned(), units: None, cost: None });
    };
    let (units, cost) = rest.split_once('/').map_or((rest, None), |(units, cost)| (units, Some(cost)));
    let units = Some(units.parse().map_err(|_| wrong())?);
    let cost = cost.map(|cost| cost.parse().map_err(|_| wrong())).transpose()?;
    Ok(pb::LimitUse { key: key.to_owned(), units, cost })
}

fn parse_fairness(text: &str) -> Result<pb::Fairness, String> {
    let Some((key, cost)) = text.rsplit_once('=') else {
        return Ok(pb::Fairness { key: text.to_owned(), cost: None });
    };
    let cost = cost.parse().map_err(|_| format!("{text:?} is no share; write tenant-a or tenant-a=2.5"))?;
    Ok(pb::Fairness { key: key.to_owned(), cost: Some(cost) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_use_of_a_limit_is_a_key_its_units_and_its_cost() {
        let used = |key: &str, units, cost| Ok(pb::LimitUse { key: key.into(), units, cost });
        assert_eq!(parse_limit("s3://a/b"), used("s3://a/b", None, None));
        assert_eq!(parse_limit("licences=2"), used("licences", Some(2), None));
        assert_eq!(parse_limit("api=1/0.5"), used("api", Some(1), Some(0.5)));
        assert!(parse_limit("api=many").is_err() && parse_limit("api=1/x").is_err());
    }

    #[test]
    fn a_share_is_a_key_and_its_cost() {
        assert_eq!(parse_fairness("ann"), Ok(pb::Fairness { key: "ann".into(), cost: None }));
        assert_eq!(parse_fairness("ann=2.5"), Ok(pb::Fairness { key: "ann".into(), cost: Some(2.5) }));
        assert!(parse_fairness("ann=all").is_err());
    }
}
