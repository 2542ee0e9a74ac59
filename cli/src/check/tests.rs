//! Good workers pass, and each fault is told by the rule that it breaks.

use super::*;

/// A worker in a shell, with the fault that its argument names, or with none.
const WORKER: &str = r#"
fault=$1 features=$2
say() { printf '\036%s\n' "$1"; }
over() { say "{\"type\":\"${2:-result}\",\"id\":$1}"; }
case $fault in
mute) read -r line; exit ;;
first-word) say '{"type":"pong","n":1}' ;;
dead) exit 3 ;;
esac
case $fault in
version) say '{"type":"hello","protocol":2,"handlers":["h"]}' ;;
names) say '{"type":"hello","protocol":1,"handlers":["a b"]}' ;;
same-names) say '{"type":"hello","protocol":1,"handlers":["a","a"]}' ;;
*) say "{\"type\":\"hello\",\"protocol\":1,\"handlers\":[\"h\"],\"features\":[$features]}" ;;
esac
while read -r line; do
  id=${line#*\"id\":} id=${id%%[,\}]*}
  case $line in
  *'"type":"welcome"'*) ;;
  *'"type":"job"'*)
    case $fault in
    silent) continue ;;
    wrong-id) over 99 ;;
    no-separator) echo "{\"type\":\"result\",\"id\":$id}"; continue ;;
    no-json) say '{nonsense' ;;
    too-long) printf '\036{"x":"'; head -c 1100000 /dev/zero | tr '\0' x; printf '"}\n' ;;
    later) if [ -z "$held" ]; then held=$id; continue; fi; over "$id"; over "$held"; held=; continue ;;
    long-lines) if [ ${#line} -gt 100000 ]; then exit 9; fi ;;
    odd) case $line in *unexpected*) exit 9 ;; esac ;;
    surprised) case $line in *no-such*) exit 9 ;; esac ;;
    uncancelled) continue ;;
    early-end) over "$id"; exit 0 ;;
    esac
    case $line in *no-such*) over "$id" error; continue ;; esac
    case $features in *started*) [ "$fault" = unstarted ] || over "$id" started ;; esac
    over "$id"
    case $fault in twice) over "$id" ;; both) last=$id ;; esac ;;
  *'"type":"recall"'*) [ "$fault" = both ] && over "$last" recalled ;;
  *'"type":"validate"'*) over "$id" started; if [ "$fault" = does-it ]; then over "$id"; else over "$id" valid; fi ;;
  *'"type":"ping"'*) [ "$fault" = deaf ] || say "{\"type\":\"pong\",\"n\":${line##*:}" ;;
  *'"type":"bye"'*) [ "$fault$drained" = sour ] && exit 3; exit 0 ;;
  *'"type":"drain"'*) [ "$fault" = bolts ] && exit 7; drained=yes ;;
  *'"type":"cancel"'*) ;;
  *) [ "$fault" = strict ] && exit 9 ;;
  esac
done
if [ "$fault" = undying ]; then exec sleep 60; fi
"#;

const ALL: &str = r#""started","recall","cancel","validate""#;
const NONE: &str = "";

fn subject(fault: &str, features: &str) -> Subject {
    let argv = ["sh", "-c", WORKER, "worker", fault, features].map(str::to_owned).to_vec();
    Subject { argv, handler: None, input: "null".into(), slow: None, patience: Duration::from_secs(5) }
}

/// The first rule that it breaks, and how.
async fn first_broken(fault: &str, features: &str) -> Option<(&'static str, String)> {
    let subject = subject(fault, features);
    for rule in RULES {
        if let Ok(Verdict::Broken(why)) = rules::verdict(rule, &subject).await {
            return Some((rule.name, why));
        }
    }
    None
}

#[tokio::test]
async fn good_workers_keep_every_rule_that_they_are_asked() {
    let verdicts = async |features| check(&subject("none", features), |_| {}).await.expect("its own handler");
    let (all, none) = tokio::join!(verdicts(ALL), verdicts(NONE));
    assert!(all.iter().all(|finding| finding.verdict == Verdict::Kept), "{all:#?}");
    let not_tried: Vec<_> = none.iter().filter(|finding| finding.verdict != Verdict::Kept).collect();
    assert_eq!(not_tried.iter().map(|finding| finding.rule).collect::<Vec<_>>(), ["recall", "cancel", "validate"]);
    assert!(not_tried.iter().all(|finding| !finding.is_broken()), "{not_tried:#?}");
}

#[tokio::test]
async fn each_fault_is_told_by_the_rule_that_it_breaks() {
    let faults = [
        ("mute", NONE, "hello", "it said no hello"),
        ("dead", NONE, "hello", "it ended (exit status: 3)"),
        ("first-word", NONE, "hello", "its first word was pong"),
        ("version", NONE, "hello", "it speaks version 2"),
        ("names", NONE, "hello", "its handlers are not"),
        ("same-names", NONE, "hello", "its handlers are not"),
        ("deaf", NONE, "ping", "it did not answer a ping"),
        ("silent", NONE, "job", "it said nothing within 5s"),
        ("wrong-id", NONE, "job", "has no job 99"),
        ("no-separator", NONE, "job", "it printed: {\"type\":\"result\""),
        ("no-json", NONE, "job", "a frame cannot be read"),
        ("too-long", NONE, "job", "longer than 1048576 bytes"),
        ("twice", NONE, "job", "when nothing was left to say"),
        ("early-end", NONE, "job", ""),
        ("unstarted", ALL, "job", "it promised `started`"),
        ("later", ALL, "job", "it said nothing within 5s"),
        ("strict", NONE, "newer", "it ended (exit status: 9)"),
        ("long-lines", NONE, "large", "it ended (exit status: 9)"),
        ("odd", NONE, "odd-input", "it ended (exit status: 9)"),
        ("surprised", NONE, "unknown-handler", "it ended (exit status: 9)"),
        ("both", ALL, "recall", "it said recalled of 2"),
        ("does-it", ALL, "validate", "it did what it was only to check"),
        ("bolts", NONE, "drain", "it ended with exit status: 7"),
        ("sour", NONE, "bye", "it ended with exit status: 3"),
        ("undying", NONE, "eof", "it did not end within 5 s"),
    ];
    let mut wrong = Vec::new();
    let mut told = tokio::task::JoinSet::new();
    for (fault, features, rule, why) in faults {
        told.spawn(async move { (fault, rule, why, first_broken(fault, features).await) });
    }
    for (fault, rule, why, broken) in told.join_all().await {
        if !broken.as_ref().is_some_and(|(broken, told)| *broken == rule && told.contains(why)) {
            wrong.push((fault, rule, why, broken));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn a_job_that_does_not_end_when_it_is_cancelled_breaks_that_rule() {
    let subject = Subject { patience: Duration::from_secs(60), ..subject("uncancelled", ALL) };
    let rule = RULES.iter().find(|rule| rule.name == "cancel").expect("there is one");
    assert_eq!(rules::verdict(rule, &subject).await, Ok(Verdict::Broken("it was not over within 5 s".into())));
}

#[tokio::test]
async fn what_cannot_be_started_is_told_so_once_and_nothing_else_is_tried() {
    let subject = Subject { argv: vec!["/no/such/worker".into()], ..subject("none", NONE) };
    let findings = check(&subject, |_| {}).await.expect("none was named");
    assert!(matches!(&findings[0].verdict, Verdict::Broken(why) if why.contains("cannot be started")), "{findings:#?}");
    assert!(findings[1..].iter().all(|finding| matches!(finding.verdict, Verdict::NotTried(_))), "{findings:#?}");
}

#[tokio::test]
async fn a_handler_that_the_worker_does_not_have_is_the_askers_mistake_and_no_rule_is_told() {
    let asks = async |handler: Option<&str>, slow: Option<&str>| {
        let (handler, slow) = (handler.map(str::to_owned), slow.map(|slow| (slow.to_owned(), "1".to_owned())));
        let mut told = Vec::new();
        let wrong = check(&Subject { handler, slow, ..subject("none", NONE) }, |finding| told.push(finding.rule)).await;
        (wrong.expect_err("it has h alone"), told)
    };
    let misnamed = |flag| Misnamed { flag, handler: "nobody".into(), has: vec!["h".into()] };
    assert_eq!(asks(Some("nobody"), None).await, (misnamed("handler"), vec![]));
    assert_eq!(asks(Some("h"), Some("nobody")).await, (misnamed("slow-handler"), vec![]));
    // Of a worker without a good hello nobody knows what it has.
    let mute = Subject { handler: Some("nobody".into()), ..subject("version", NONE) };
    assert!(check(&mute, |_| {}).await.expect("a finding")[0].is_broken());
}
