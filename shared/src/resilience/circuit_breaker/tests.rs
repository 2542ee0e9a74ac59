use super::super::dice::Dice;
use super::*;

const TERMS: BreakerTerms = BreakerTerms {
    window: Duration::from_secs(10),
    requests_min: 4,
    threshold: Threshold::RatioMilli(500),
    open_for: Duration::from_secs(30),
    probes: 2,
};

fn at(seconds: u64) -> Moment {
    Moment(seconds * 1_000_000_000)
}

fn ends(breaker: &mut CircuitBreaker, now: Moment, verdict: Verdict) -> bool {
    let permit = breaker.admit(now).expect("let through");
    breaker.record(now, permit, verdict)
}

fn opened(now: Moment) -> CircuitBreaker {
    let mut breaker = CircuitBreaker::new(TERMS);
    for _ in 0..4 {
        ends(&mut breaker, now, Verdict::Failure);
    }
    assert_eq!(breaker.state(now), CircuitState::Open);
    breaker
}

#[test]
fn it_opens_at_the_ratio_and_not_before_there_are_enough_ends() {
    let mut breaker = CircuitBreaker::new(TERMS);
    assert!(!ends(&mut breaker, at(0), Verdict::Failure));
    assert!(!ends(&mut breaker, at(0), Verdict::Failure));
    assert!(!ends(&mut breaker, at(0), Verdict::Success));
    assert!(!ends(&mut breaker, at(0), Verdict::Success), "only a failure opens it");
    assert_eq!(breaker.state(at(0)), CircuitState::Closed);
    assert!(ends(&mut breaker, at(0), Verdict::Failure));
    assert_eq!(breaker.state(at(0)), CircuitState::Open);
    assert_eq!(breaker.admit(at(29)), None);
    assert_eq!((breaker.counts().refused, breaker.counts().opened), (1, 1));
}

#[test]
fn a_number_of_failures_can_be_the_threshold() {
    let terms = BreakerTerms { threshold: Threshold::Failures(3), requests_min: 1, ..TERMS };
    let mut breaker = CircuitBreaker::new(terms);
    for verdict in [Verdict::Success, Verdict::Failure, Verdict::Failure] {
        assert!(!ends(&mut breaker, at(0), verdict));
    }
    assert!(ends(&mut breaker, at(1), Verdict::Failure));
}

#[test]
fn failures_older_than_the_window_do_not_count() {
    let mut breaker = CircuitBreaker::new(TERMS);
    for second in [0, 0, 0, 12] {
        ends(&mut breaker, at(second), Verdict::Failure);
    }
    assert_eq!((breaker.state(at(12)), breaker.failures_of_late(at(12))), (CircuitState::Closed, 1));
    assert!(!breaker.is_idle(at(12)) && breaker.is_idle(at(30)));
}

/// The system that came before let through whatever came while it was half open.
#[test]
fn half_open_lets_through_exactly_its_probes() {
    let mut breaker = opened(at(0));
    assert_eq!(breaker.state(at(30)), CircuitState::HalfOpen);
    let probes: Vec<Option<Permit>> = (0..9).map(|_| breaker.admit(at(30))).collect();
    assert_eq!(probes.iter().flatten().count(), 2);
    assert!(probes.iter().flatten().all(|probe| probe.probe));
    assert!(!breaker.record(at(31), probes[0].expect("a probe"), Verdict::Success));
    assert_eq!(breaker.admit(at(31)), None, "one is out, and one has succeeded");
    assert!(breaker.record(at(31), probes[1].expect("a probe"), Verdict::Success));
    assert_eq!(breaker.state(at(31)), CircuitState::Closed);
    assert_eq!(breaker.failures_of_late(at(31)), 0);
}

#[test]
fn a_probe_that_fails_opens_it_again_for_as_long() {
    let mut breaker = opened(at(0));
    let (one, two) = (breaker.admit(at(30)).expect("a probe"), breaker.admit(at(30)).expect("a probe"));
    assert!(breaker.record(at(35), one, Verdict::Failure));
    assert_eq!((breaker.state(at(64)), breaker.open_until()), (CircuitState::Open, Some(at(65))));
    assert!(!breaker.record(at(36), two, Verdict::Success), "a probe of before moves nothing");
    assert_eq!(breaker.state(at(64)), CircuitState::Open);
}

#[test]
fn a_probe_whose_end_says_nothing_gives_its_place_back() {
    let mut breaker = opened(at(0));
    let one = breaker.admit(at(30)).expect("a probe");
    let _two = breaker.admit(at(30)).expect("a probe");
    assert!(!breaker.would_admit(at(30)));
    breaker.record(at(31), one, Verdict::Nothing);
    assert!(breaker.would_admit(at(31)));
    assert!(breaker.admit(at(31)).is_some_and(|permit| permit.probe));
    assert_eq!(breaker.admit(at(31)), None);
}

#[test]
fn a_late_failure_from_before_it_opened_is_no_verdict_on_the_probes() {
    let mut breaker = CircuitBreaker::new(TERMS);
    let slow = breaker.admit(at(0)).expect("closed");
    for _ in 0..4 {
        ends(&mut breaker, at(0), Verdict::Failure);
    }
    let probe = breaker.admit(at(30)).expect("a probe");
    assert!(!breaker.record(at(31), slow, Verdict::Failure));
    assert_eq!(breaker.state(at(31)), CircuitState::HalfOpen);
    assert!(!breaker.record(at(31), probe, Verdict::Success));
    assert_eq!(breaker.counts().failures, 5, "it is counted all the same");
}

#[test]
fn a_reset_closes_it_and_forgets() {
    let mut breaker = opened(at(0));
    breaker.reset(at(1));
    assert_eq!((breaker.state(at(1)), breaker.failures_of_late(at(1))), (CircuitState::Closed, 0));
    assert_eq!((breaker.counts().failures, breaker.counts().failures_in_a_row), (4, 0));
    assert!(breaker.is_idle(at(1)));
}

#[test]
fn no_probes_configured_is_one() {
    let mut breaker = CircuitBreaker::new(BreakerTerms { probes: 0, ..TERMS });
    breaker.open(at(0));
    assert!(ends(&mut breaker, at(30), Verdict::Success));
    assert_eq!(breaker.state(at(30)), CircuitState::Closed);
}

fn pick(dice: &mut Dice, below: usize) -> usize {
    usize::try_from(dice.roll(below as u64)).expect("below a usize")
}

/// What must hold in every life of a breaker, seed by seed.
#[test]
fn in_random_lives_probes_are_exact_and_nothing_passes_an_open_one() {
    for seed in 0..2_000 {
        let mut dice = Dice(seed);
        let mut breaker = CircuitBreaker::new(TERMS);
        let (mut now, mut out): (Moment, Vec<(CircuitState, Permit)>) = (at(0), Vec::new());
        let mut probes_of_spell = 0;
        for _ in 0..200 {
            now = now.after(Duration::from_millis(dice.roll(4_000)));
            let before = breaker.state(now);
            if dice.roll(2) == 0 {
                let would = breaker.would_admit(now);
                let permit = breaker.admit(now);
                assert_eq!(would, permit.is_some(), "seed {seed}");
                if let Some(permit) = permit {
                    assert_ne!(before, CircuitState::Open, "seed {seed}: something passed");
                    assert_eq!(permit.probe, before == CircuitState::HalfOpen, "seed {seed}");
                    probes_of_spell += u32::from(permit.probe);
                    out.push((before, permit));
                }
            } else if !out.is_empty() {
                let (_, permit) = out.swap_remove(pick(&mut dice, out.len()));
                let verdict = [Verdict::Success, Verdict::Failure, Verdict::Nothing][pick(&mut dice, 3)];
                let changed = breaker.record(now, permit, verdict);
                if permit.probe && verdict == Verdict::Nothing && breaker.state(now) == CircuitState::HalfOpen {
                    probes_of_spell = probes_of_spell.saturating_sub(u32::from(permit.spell == breaker.spell));
                }
                if changed {
                    probes_of_spell = 0;
                }
            }
            assert!(probes_of_spell <= TERMS.probes, "seed {seed}: {probes_of_spell} probes");
            let counts = breaker.counts();
            assert!(counts.successes + counts.failures <= counts.admitted, "seed {seed}: {counts:?}");
        }
    }
}
