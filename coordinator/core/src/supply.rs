//! What an agent has of named resources and of devices, and how much of it is in use.
//!
//! ```text
//!   "memory"   total 64,000   used 12,500                 amounts: counted
//!   "gpu"      0 [1000]  1 [300]  2 [0]  3 [0]            devices: lent one by one, at most one of them in part
//! ```
//!
//! A job that asks for 2,250 thousandths of "gpu" gets two devices that nobody uses, and a quarter of a third: the one with the least
//! left that suffices, so that whole ones stay whole. What is lent is lent until the attempt is proven over; whatever the agent says
//! of itself meanwhile, no device is lent twice.

use std::sync::Arc;

use windlass_shared::domain::{Grant, Traits};

use crate::names::{NameId, Names};

/// A whole device, in thousandths.
const WHOLE: u32 = 1_000;

/// What work takes of resources, by name, in thousandths.
pub(crate) type Needs = Arc<[(NameId, u64)]>;

#[derive(Debug, Default)]
pub(crate) struct Supply {
    /// At most 32, as many as an agent may name.
    kinds: Vec<(NameId, Kind)>,
}

#[derive(Debug)]
enum Kind {
    Amount { total: u64, used: u64 },
    Devices(Vec<Device>),
}

#[derive(Debug)]
struct Device {
    id: Arc<str>,
    used: u32,
}

impl Supply {
    /// All that an agent has, none of it in use.
    pub(crate) fn of(traits: &Traits, names: &mut Names) -> Self {
        let amounts = traits.resources.iter().map(|(name, total)| (name, Kind::Amount { total: *total, used: 0 }));
        let device = |id: &Arc<str>| Device { id: id.clone(), used: 0 };
        let devices = traits.devices.iter().map(|(name, ids)| (name, Kind::Devices(ids.iter().map(device).collect())));
        Self { kinds: amounts.chain(devices).map(|(name, kind)| (names.add(name), kind)).collect() }
    }

    /// Gives the names back.
    pub(crate) fn forget(self, names: &mut Names) {
        self.kinds.iter().for_each(|(name, _)| names.remove(*name));
    }

    /// Names it keeps, for checks of the names' counts.
    pub(crate) fn names(&self) -> impl Iterator<Item = NameId> {
        self.kinds.iter().map(|(name, _)| *name)
    }

    /// Whether there is enough of everything, were nothing in use.
    pub(crate) fn could(&self, needs: &[(NameId, u64)]) -> bool {
        needs.iter().all(|(name, milli)| self.kind(*name).is_some_and(|kind| kind.could(*milli)))
    }

    /// The first that there is not enough left of.
    pub(crate) fn lacks(&self, needs: &[(NameId, u64)]) -> Option<NameId> {
        let lacks = |(name, milli): &&(NameId, u64)| !self.kind(*name).is_some_and(|kind| kind.has(*milli));
        needs.iter().find(lacks).map(|(name, _)| *name)
    }

    /// The greatest part of anything of these that is in use, in 1/65536.
    pub(crate) fn fullness(&self, needs: &[(NameId, u64)]) -> u64 {
        needs.iter().filter_map(|(name, _)| Some(self.kind(*name)?.fullness())).max().unwrap_or(0)
    }

    /// Takes what is needed, of which there is enough; what devices that makes.
    pub(crate) fn take(&mut self, needs: &[(NameId, u64)], names: &Names) -> Vec<Grant> {
        let mut grants = Vec::new();
        for (name, milli) in needs {
            match self.kind_mut(*name) {
                Some(Kind::Amount { used, .. }) => *used = used.saturating_add(*milli),
                Some(Kind::Devices(devices)) => {
                    let lent = lend(devices, *milli);
                    let share_milli = lent.last().map_or(WHOLE, |(_, milli)| *milli);
                    let ids = lent.into_iter().map(|(id, _)| id).collect();
                    grants.push(Grant { device: names.get(*name).clone(), ids, share_milli });
                }
                None => {}
            }
        }
        grants
    }

    /// Notes that this is in use, or no longer is: amounts by what is needed, devices by which were lent. What the agent no longer
    /// names is nobody's.
    pub(crate) fn note(&mut self, needs: &[(NameId, u64)], grants: &[Grant], names: &Names, is_used: bool) {
        for (name, milli) in needs {
            match self.kind_mut(*name) {
                Some(Kind::Amount { used, .. }) if is_used => *used = used.saturating_add(*milli),
                Some(Kind::Amount { used, .. }) => *used = used.saturating_sub(*milli),
                Some(Kind::Devices(devices)) => {
                    let of_kind = grants.iter().filter(|grant| grant.device == *names.get(*name));
                    of_kind.for_each(|grant| note_grant(devices, grant, is_used));
                }
                None => {}
            }
        }
    }

    /// Whether no device is in use beyond the whole of it. For checks only; amounts may be, where an agent has less than it had.
    pub(crate) fn is_within(&self) -> bool {
        let devices = self.kinds.iter().filter_map(|(_, kind)| match kind {
            Kind::Devices(devices) => Some(devices),
            Kind::Amount { .. } => None,
        });
        devices.flatten().all(|device| device.used <= WHOLE)
    }

    /// What is in use, for checks: amounts by name, devices by name and id.
    pub(crate) fn used(&self) -> Vec<(NameId, Option<Arc<str>>, u64)> {
        let of_kind = |(name, kind): &(NameId, Kind)| match kind {
            Kind::Amount { used, .. } => vec![(*name, None, *used)],
            Kind::Devices(devices) => {
                devices.iter().map(|device| (*name, Some(device.id.clone()), device.used.into())).collect()
            }
        };
        self.kinds.iter().flat_map(of_kind).collect()
    }

    fn kind(&self, name: NameId) -> Option<&Kind> {
        self.kinds.iter().find(|(known, _)| *known == name).map(|(_, kind)| kind)
    }

    fn kind_mut(&mut self, name: NameId) -> Option<&mut Kind> {
        self.kinds.iter_mut().find(|(known, _)| *known == name).map(|(_, kind)| kind)
    }
}

/// Whole devices, and what of one more.
fn parts(milli: u64) -> (usize, u32) {
    let whole = u64::from(WHOLE);
    let rest = u32::try_from(milli % whole).unwrap_or(0);
    (usize::try_from(milli / whole).unwrap_or(usize::MAX), rest)
}

impl Kind {
    fn could(&self, milli: u64) -> bool {
        match self {
            Self::Amount { total, .. } => milli <= *total,
            Self::Devices(devices) => {
                let (whole, rest) = parts(milli);
                whole.saturating_add(usize::from(rest > 0)) <= devices.len()
            }
        }
    }

    fn has(&self, milli: u64) -> bool {
        match self {
            Self::Amount { total, used } => milli <= total.saturating_sub(*used),
            Self::Devices(devices) => {
                let (whole, rest) = parts(milli);
                let free = devices.iter().filter(|device| device.used == 0).count();
                let begun = rest == 0 || devices.iter().any(|device| device.used > 0 && device.left() >= rest);
                free >= whole.saturating_add(usize::from(!begun))
            }
        }
    }

    fn fullness(&self) -> u64 {
        let (used, total) = match self {
            Self::Amount { total, used } => (*used, *total),
            Self::Devices(devices) => {
                let used = devices.iter().map(|device| u64::from(device.used)).sum();
                (used, devices.len() as u64 * u64::from(WHOLE))
            }
        };
        let part = (u128::from(used) << 16) / u128::from(total.max(1));
        u64::try_from(part).unwrap_or(u64::MAX)
    }
}

impl Device {
    fn left(&self) -> u32 {
        WHOLE.saturating_sub(self.used)
    }
}

/// Whole devices in their order, then the share of one: the fullest that suffices.
fn lend(devices: &mut [Device], milli: u64) -> Vec<(Arc<str>, u32)> {
    let (whole, rest) = parts(milli);
    let mut lent = Vec::new();
    for device in devices.iter_mut().filter(|device| device.used == 0).take(whole) {
        device.used = WHOLE;
        lent.push((device.id.clone(), WHOLE));
    }
    if rest > 0 {
        let suffices = devices.iter_mut().filter(|device| device.left() >= rest);
        if let Some(device) = suffices.min_by_key(|device| device.left()) {
            device.used += rest;
            lent.push((device.id.clone(), rest));
        }
    }
    lent
}

fn note_grant(devices: &mut [Device], grant: &Grant, is_used: bool) {
    let last = grant.ids.len().saturating_sub(1);
    for (at, id) in grant.ids.iter().enumerate() {
        let milli = if at == last { grant.share_milli } else { WHOLE };
        if let Some(device) = devices.iter_mut().find(|device| device.id == *id) {
            device.used = if is_used { device.used.saturating_add(milli) } else { device.used.saturating_sub(milli) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn supply(names: &mut Names) -> Supply {
        let ids = ["0", "1", "2"].map(Arc::from).to_vec();
        let traits = Traits {
            resources: [("memory".into(), 8_000)].into(),
            devices: [("gpu".into(), ids)].into(),
            ..Traits::default()
        };
        Supply::of(&traits, names)
    }

    fn lent(grants: &[Grant]) -> Vec<(Vec<&str>, u32)> {
        grants.iter().map(|grant| (grant.ids.iter().map(|id| &**id).collect(), grant.share_milli)).collect()
    }

    #[test]
    fn amounts_are_counted_and_given_back() {
        let mut names = Names::default();
        let mut supply = supply(&mut names);
        let memory = names.find("memory").expect("known");
        assert!(supply.could(&[(memory, 8_000)]) && !supply.could(&[(memory, 8_001)]));
        supply.take(&[(memory, 7_999)], &names);
        assert_eq!((supply.lacks(&[(memory, 1)]), supply.lacks(&[(memory, 2)])), (None, Some(memory)));
        supply.note(&[(memory, 7_999)], &[], &names, false);
        assert_eq!(supply.lacks(&[(memory, 8_000)]), None);
    }

    #[test]
    fn whole_devices_stay_whole_for_as_long_as_begun_ones_suffice() {
        let mut names = Names::default();
        let mut supply = supply(&mut names);
        let gpu = names.find("gpu").expect("known");
        let mut take = |milli: u64| {
            assert_eq!(supply.lacks(&[(gpu, milli)]), None, "{milli}");
            supply.take(&[(gpu, milli)], &names)
        };
        assert_eq!(lent(&take(400)), [(vec!["0"], 400)]);
        assert_eq!(lent(&take(500)), [(vec!["0"], 500)], "beside the first, though others are free");
        assert_eq!(lent(&take(1_250)), [(vec!["1", "2"], 250)]);
        assert_eq!(lent(&take(100)), [(vec!["0"], 100)], "the one with the least left");
        assert_eq!(supply.lacks(&[(gpu, 751)]), Some(gpu));
        assert_eq!(supply.lacks(&[(gpu, 750)]), None);
    }

    #[test]
    fn what_was_lent_is_given_back_by_id_and_what_is_not_named_any_more_is_nobodys() {
        let mut names = Names::default();
        let mut supply = supply(&mut names);
        let gpu = names.find("gpu").expect("known");
        let needs = [(gpu, 2_500)];
        let grants = supply.take(&needs, &names);
        supply.note(&needs, &grants, &names, false);
        assert!(supply.used().iter().all(|(_, _, used)| *used == 0));
        let gone = Grant { device: "gpu".into(), ids: vec!["9".into(), "1".into()], share_milli: 300 };
        supply.note(&needs, &[gone], &names, true);
        let used: Vec<u64> = supply.used().iter().map(|(_, _, used)| *used).collect();
        assert_eq!(used, [0, 0, 300, 0]);
    }

    #[test]
    fn no_more_devices_are_asked_for_than_there_are() {
        let mut names = Names::default();
        let supply = supply(&mut names);
        let gpu = names.find("gpu").expect("known");
        assert!(supply.could(&[(gpu, 3_000)]) && supply.could(&[(gpu, 2_999)]) && !supply.could(&[(gpu, 3_001)]));
        let unknown = names.add(&"fpga".into());
        assert!(!supply.could(&[(unknown, 1)]));
        assert_eq!(supply.lacks(&[(unknown, 1)]), Some(unknown));
    }

    #[test]
    fn how_full_it_is_goes_by_what_is_fullest() {
        let mut names = Names::default();
        let mut supply = supply(&mut names);
        let (gpu, memory) = (names.find("gpu").expect("known"), names.find("memory").expect("known"));
        supply.take(&[(gpu, 1_500), (memory, 2_000)], &names);
        assert_eq!(supply.fullness(&[(gpu, 1), (memory, 1)]), (1 << 16) / 2);
        assert_eq!(supply.fullness(&[(memory, 1)]), (1 << 16) / 4);
        assert_eq!(supply.fullness(&[]), 0);
    }
}
