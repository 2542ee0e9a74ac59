//! What a step counts. That each frame which goes out is counted, every step of every test here checks.

use super::*;
use crate::worker::tally::Tally;

#[test]
fn a_worker_that_breaks_the_protocol_is_counted_once_and_its_frames_all_the_same() {
    let mut bench = Bench::ready("max = 1", ALL);
    bench.run(call(1));
    bench.tally = Tally::default();
    bench.hear(0, [Heard::Answer(result(7)), Heard::Broke("no frame".into()), Heard::Answer(result(8))]);
    assert_eq!(bench.tally, Tally { frames_in: 2, protocol_errors: 1, ..Tally::default() });
}

#[test]
fn silence_is_no_error_of_the_protocol() {
    let mut bench = Bench::ready("max = 1", NONE);
    bench.tally = Tally::default();
    bench.pass(60 * S);
    assert_eq!((bench.tally.protocol_errors, bench.tally.frames_out), (0, 2), "two pings, and then it is hung");
}

#[test]
fn a_call_that_its_worker_is_asked_to_stop_is_one_cancel_however_often_it_is_asked() {
    let mut bench = Bench::ready("max = 1", ALL);
    bench.run(call(1));
    bench.say(0, [Answer::Started(1)]);
    bench.tally = Tally::default();
    for _ in 0..2 {
        let halt = Halt { reason: Reason::CancelRequested, kill: false };
        bench.order(Order::Halt(lease(1), halt));
    }
    assert_eq!(bench.tally, Tally { cancels: 1, frames_out: 1, ..Tally::default() });
}

#[test]
fn what_is_said_without_a_call_is_stray_and_what_is_said_in_one_is_not() {
    let mut bench = Bench::ready("max = 1", ALL);
    bench.tally = Tally::default();
    bench.hear(0, [Heard::Output(LogStream::Stdout, "12345".into()), Heard::Output(LogStream::Stderr, "67".into())]);
    assert_eq!(bench.tally, Tally { stray_bytes: 7, ..Tally::default() });
    bench.run(call(1));
    bench.say(0, [Answer::Started(1)]);
    bench.hear(0, [Heard::Output(LogStream::Stdout, "123".into())]);
    assert_eq!(bench.tally, Tally { stray_bytes: 7, frames_in: 1, frames_out: 1, ..Tally::default() });
}

#[test]
fn a_worker_that_does_not_die_is_stuck_once() {
    let mut bench = Bench::ready("max = 1", ALL);
    bench.hear(0, [Heard::Broke("no frame".into())]);
    bench.tally = Tally::default();
    bench.hear(0, [Heard::Ended { leader: LeaderEnd::Lost, proof: Proof::None, fenced: false }]);
    assert_eq!(bench.tally, Tally { stuck: 1, ..Tally::default() });
    bench.hear(0, [Heard::Proven]);
    assert_eq!(bench.tally.stuck, 1);
}
