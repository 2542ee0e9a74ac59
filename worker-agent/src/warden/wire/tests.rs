use super::*;

fn exit(status: ExitKind) -> ExitInfo {
    ExitInfo {
        status,
        user_time: Duration::from_micros(1_500),
        system_time: Duration::from_micros(2_500),
        max_rss_bytes: 3 << 40,
        wall_time: Duration::from_secs(86_400),
    }
}

fn every_report() -> Vec<Report> {
    let mut all = vec![Report::Started { leader: u32::MAX }, Report::LeaderLost, Report::Fenced];
    for stage in Stage::ALL {
        all.push(Report::Failed(SpawnError { stage, errno: -7, proof: Proof::None }));
    }
    for proof in [Proof::Cgroup, Proof::Keeper, Proof::Swept, Proof::None] {
        all.push(Report::TreeEnded(proof));
        all.push(Report::Ended { exit: exit(ExitKind::Code(-1)), tree: Some(proof) });
    }
    for core_dumped in [false, true] {
        all.push(Report::Ended { exit: exit(ExitKind::Signal { signo: 11, core_dumped }), tree: None });
    }
    all
}

#[test]
fn every_datagram_comes_back_as_it_was_sent() {
    for report in every_report() {
        assert_eq!(Report::decode(report.encode(u64::MAX - 1).as_bytes()), Ok((u64::MAX - 1, report)));
    }
    let deadline = Boottime(u64::MAX - 2);
    for request in [
        Request::Spawn { fenced: false, contained: true },
        Request::Spawn { fenced: true, contained: false },
        Request::Kill,
        Request::Refresh { deadline },
    ] {
        assert_eq!(Request::decode(request.encode(77).as_bytes()), Ok((77, request)));
    }
}

#[test]
fn a_datagram_cut_anywhere_is_truncated_and_one_byte_more_is_trailing() {
    for report in every_report() {
        let datagram = report.encode(9);
        let whole = datagram.as_bytes();
        for got in 0..whole.len() {
            assert_eq!(Report::decode(&whole[..got]), Err(WireError::Truncated { got }), "{report:?}");
        }
        let longer = [whole, &[0]].concat();
        assert_eq!(Report::decode(&longer), Err(WireError::Trailing { extra: 1 }));
    }
    let spawn = Request::Spawn { fenced: true, contained: false }.encode(1);
    assert_eq!(Request::decode(&spawn.as_bytes()[..8]), Err(WireError::Truncated { got: 8 }));
}

#[test]
fn numbers_nobody_gave_out_are_named() {
    let mut unknown = [0; 9];
    unknown[0] = 99;
    assert_eq!(Report::decode(&unknown), Err(WireError::Unknown { field: "report", value: 99 }));
    assert_eq!(Request::decode(&unknown), Err(WireError::Unknown { field: "request", value: 99 }));
    let proof = [&Report::LeaderLost.encode(1).as_bytes()[1..], &[9]].concat();
    assert_eq!(
        Report::decode(&[&[TREE_ENDED], &proof[..]].concat()),
        Err(WireError::Unknown { field: "proof", value: 9 })
    );
}
