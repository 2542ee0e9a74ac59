//! What is asked of a worker.

use std::time::Duration;

use windlass_shared::ipc::{self, Features, JobOrder};
use windlass_shared::limits::PAYLOAD_BYTES_MAX;

use super::peer::{End, Peer, order};
use super::{Misnamed, Subject, Verdict};

/// Grace of a job that is cancelled.
const GRACE: Duration = Duration::from_secs(5);

/// A rule.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) name: &'static str,
    pub(super) says: &'static str,
    asks: Asks,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asks {
    Hello,
    Ping,
    Job,
    Order,
    Split,
    Newer,
    Unicode,
    Large,
    Odd,
    UnknownHandler,
    Recall,
    Cancel,
    Validate,
    Drain,
    Bye,
    Eof,
}

/// All of them, the hello first: what it announces decides what else is asked.
pub(super) const RULES: &[Rule] = &[
    rule("hello", "says hello first, in time, of version 1, with good names of handlers", Asks::Hello),
    rule("ping", "answers a ping while it is idle", Asks::Ping),
    rule("job", "answers a job once, with `started` before where it promised that", Asks::Job),
    rule("order", "answers jobs in the order they came", Asks::Order),
    rule("split", "reads a frame that comes in pieces", Asks::Split),
    rule("newer", "ignores frames and fields it does not know", Asks::Newer),
    rule("unicode", "takes any text, escaped or not", Asks::Unicode),
    rule("large", "takes an input of 256 KiB", Asks::Large),
    rule("odd-input", "answers an input that its handler does not expect, and lives", Asks::Odd),
    rule(
        "unknown-handler",
        "answers a job for a handler it does not have with an error, and lives",
        Asks::UnknownHandler,
    ),
    rule("recall", "gives back what it has not started, or starts it, and never both", Asks::Recall),
    rule("cancel", "ends a job that is cancelled within its grace", Asks::Cancel),
    rule("validate", "checks an input without a result", Asks::Validate),
    rule("drain", "lives through a drain, or leaves well", Asks::Drain),
    rule("bye", "ends with code 0 when it is asked to", Asks::Bye),
    rule("eof", "ends when its standard input does", Asks::Eof),
];

const fn rule(name: &'static str, says: &'static str, asks: Asks) -> Rule {
    Rule { name, says, asks }
}

/// Tries one on a new worker.
pub(super) async fn verdict(rule: &Rule, subject: &Subject) -> Result<Verdict, Misnamed> {
    let mut peer = match Peer::start(subject).await {
        Ok(peer) => peer,
        Err(why) => return Ok(Verdict::Broken(why)),
    };
    // Of the first life alone: one whose handlers are others in its next life has only itself to blame.
    if rule.asks == Asks::Hello {
        misnamed(subject, &peer.hello.handlers)?;
    }
    if let Some(why) = not_asked(rule.asks, peer.hello.features) {
        return Ok(Verdict::NotTried(why));
    }
    Ok(match ask(rule.asks, subject, &mut peer).await {
        Ok(()) => Verdict::Kept,
        Err(why) => match peer.printed() {
            printed if printed.is_empty() => Verdict::Broken(why),
            printed => Verdict::Broken(format!("{why}; it printed: {printed}")),
        },
    })
}

/// Whether the worker has what is to be called.
fn misnamed(subject: &Subject, has: &[String]) -> Result<(), Misnamed> {
    let slow = subject.slow.as_ref().map(|(handler, _)| handler);
    let named = [("handler", subject.handler.as_ref()), ("slow-handler", slow)];
    for (flag, handler) in named.into_iter().filter_map(|(flag, handler)| Some((flag, handler?))) {
        if !has.contains(handler) {
            return Err(Misnamed { flag, handler: handler.clone(), has: has.to_vec() });
        }
    }
    Ok(())
}

fn not_asked(asks: Asks, features: Features) -> Option<&'static str> {
    match asks {
        Asks::Recall if !features.prefetch => Some("it promises no `started` and `recall`"),
        Asks::Cancel if !features.cancel => Some("it promises no `cancel`"),
        Asks::Validate if !features.validate => Some("it promises no `validate`"),
        _ => None,
    }
}

async fn ask(asks: Asks, subject: &Subject, peer: &mut Peer) -> Result<(), String> {
    let first = peer.hello.handlers[0].clone();
    let (handler, input) = (subject.handler.as_deref().unwrap_or(&first), subject.input.as_str());
    if !peer.hello.handlers.iter().any(|own| own == handler) {
        return Err(format!("it has no handler {handler}; it has {}", peer.hello.handlers.join(", ")));
    }
    let (slow, long) = subject.slow.as_ref().map_or((handler, input), |(handler, input)| (handler, input));
    match asks {
        Asks::Hello => Ok(()),
        Asks::Ping => peer.settle().await,
        Asks::Job => answered(peer, handler, input).await,
        Asks::Order => in_order(peer, handler, input).await,
        Asks::Split => in_pieces(peer, handler, input).await,
        Asks::Newer => newer(peer, handler, input).await,
        Asks::Unicode => answered(peer, handler, "\"z\\u00fc\\ud83d\\ude80 ü🚀 \\u0000\\u2028\"").await,
        Asks::Large => answered(peer, handler, &format!("\"{}\"", "x".repeat(PAYLOAD_BYTES_MAX - 2))).await,
        Asks::Odd => answered(peer, handler, "{\"unexpected\":[null,{\"a\":1e300}]}").await,
        Asks::UnknownHandler => unknown_handler(peer).await,
        Asks::Recall => recall(peer, (slow, long), (handler, input), subject.slow.is_some()).await,
        Asks::Cancel => cancel(peer, slow, long).await,
        Asks::Validate => validate(peer, handler, input).await,
        Asks::Drain => {
            peer.say(ipc::drain).await?;
            // Whether it leaves by itself or waits for the good-bye is its own choice, and the pipe of one that left is closed.
            let _ = peer.say(ipc::bye).await;
            ends_well(peer).await
        }
        Asks::Bye => {
            peer.say(ipc::bye).await?;
            ends_well(peer).await
        }
        Asks::Eof => {
            peer.hang_up();
            peer.ends().await.map(drop)
        }
    }
}

async fn ends_well(peer: &mut Peer) -> Result<(), String> {
    let status = peer.ends().await?;
    if status.success() { Ok(()) } else { Err(format!("it ended with {status}")) }
}

/// A job is answered, whatever with, and nothing follows.
async fn answered(peer: &mut Peer, handler: &str, input: &str) -> Result<(), String> {
    peer.give(&[order(1, handler, input)], |_| {}).await?;
    called(peer.over(1).await?)?;
    peer.settle().await
}

fn called(end: End) -> Result<(), String> {
    match end {
        End::Result | End::Error => Ok(()),
        End::Valid => Err("it checked a job that was to be done".into()),
        End::Recalled => Err("it gave back what nobody asked for".into()),
    }
}

/// As many at once as its features allow.
async fn in_order(peer: &mut Peer, handler: &str, input: &str) -> Result<(), String> {
    let orders = [1, 2, 3].map(|id| order(id, handler, input));
    let at_once = if peer.hello.features.prefetch { 3 } else { 1 };
    for orders in orders.chunks(at_once) {
        peer.give(orders, |_| {}).await?;
        for order in orders {
            called(peer.over(order.id).await?)?;
        }
    }
    peer.settle().await
}

/// Each piece is a write of its own.
async fn in_pieces(peer: &mut Peer, handler: &str, input: &str) -> Result<(), String> {
    let mut frame = Vec::new();
    ipc::job(&mut frame, &order(1, handler, input));
    peer.expect(1);
    for piece in frame.chunks(frame.len().div_ceil(3)) {
        peer.write(piece).await?;
        tokio::task::yield_now().await;
    }
    called(peer.over(1).await?)?;
    peer.settle().await
}

async fn newer(peer: &mut Peer, handler: &str, input: &str) -> Result<(), String> {
    let mut job = Vec::new();
    ipc::job(&mut job, &order(1, handler, input));
    let job = String::from_utf8_lossy(&job).replacen("{\"type\"", "{\"from_the\":{\"future\":[1]},\"type\"", 1);
    peer.expect(1);
    peer.write(b"{\"type\":\"from-the-future\",\"id\":1,\"much\":{\"more\":null}}\n").await?;
    peer.write(job.as_bytes()).await?;
    called(peer.over(1).await?)?;
    peer.settle().await
}

async fn unknown_handler(peer: &mut Peer) -> Result<(), String> {
    peer.give(&[order(1, "no-such.handler", "null")], |_| {}).await?;
    match peer.over(1).await? {
        End::Error => peer.settle().await,
        End::Result | End::Valid | End::Recalled => Err("it did not answer with an error".into()),
    }
}

/// The second is asked back while the first runs, where that is known to take long enough; else it is a race that either may win.
async fn recall(peer: &mut Peer, slow: (&str, &str), short: (&str, &str), surely: bool) -> Result<(), String> {
    peer.give(&[order(1, slow.0, slow.1), order(2, short.0, short.1)], |out| ipc::recall(out, 2)).await?;
    let first = peer.next_over().await?;
    match first {
        (2, End::Recalled) if surely => peer.say(|out| ipc::cancel(out, 1)).await?,
        _ if surely => return Err("it does not read its standard input while a handler runs".into()),
        (1, end) => called(end)?,
        (2, End::Recalled) => {}
        (id, _) => return Err(format!("{id} was over before 1")),
    }
    match peer.next_over().await? {
        (1, end) => called(end)?,
        (_, End::Recalled | End::Result | End::Error) => {}
        (_, End::Valid) => return Err("it checked a job that was to be done".into()),
    }
    peer.settle().await
}

async fn cancel(peer: &mut Peer, handler: &str, input: &str) -> Result<(), String> {
    peer.give(&[order(1, handler, input)], |out| ipc::cancel(out, 1)).await?;
    match tokio::time::timeout(GRACE, peer.over(1)).await {
        Ok(end) => called(end?)?,
        Err(_elapsed) => return Err("it was not over within 5 s".into()),
    }
    peer.settle().await
}

async fn validate(peer: &mut Peer, handler: &str, input: &str) -> Result<(), String> {
    peer.give(&[JobOrder { validate: true, ..order(1, handler, input) }], |_| {}).await?;
    match peer.over(1).await? {
        End::Valid | End::Error => peer.settle().await,
        End::Result => Err("it did what it was only to check".into()),
        End::Recalled => Err("it gave back what nobody asked for".into()),
    }
}
