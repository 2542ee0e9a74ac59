//! A worker with one handler for each thing that can happen to a job: the tests drive it, and it is what to start from.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};
use windlass_worker::{Context, Failure, Level, Payload, Worker};

fn main() -> ExitCode {
    Worker::new()
        .handler("echo", |_, input: Value| Ok(input))
        .checked_handler("double", small, |_, number: u32| Ok(number * 2))
        .handler("sleep", sleep)
        .handler("fail", |_, message: String| Err::<(), _>(Failure::new(message).code("E_FAIL")))
        .handler("refuse", |_, message: String| Err::<(), _>(Failure::new(message).permanent()))
        .handler("busy", busy)
        .handler("later", later)
        .handler("panic", |_, message: String| -> Result<(), Failure> { panic!("{message}") })
        .handler("prints", prints)
        .handler("report", report)
        .handler("who", who)
        .handler("blow", |_, bytes: usize| Ok("x".repeat(bytes)))
        .handler("exit", exit)
        .raw_handler("reverse", |_, input| {
            Ok(Payload::new(input.bytes.into_iter().rev().collect::<Vec<u8>>(), input.content_type))
        })
        .run()
}

fn small(_: &Context, number: &u32) -> Result<(), Failure> {
    if *number > 1_000 { Err(Failure::new("at most 1000").permanent().code("TOO_LARGE")) } else { Ok(()) }
}

fn sleep(context: &Context, milliseconds: u64) -> Result<u64, Failure> {
    if context.sleep(Duration::from_millis(milliseconds)) {
        return Err(Failure::new("woken too early"));
    }
    Ok(milliseconds)
}

fn busy(_: &Context, seconds: u64) -> Result<(), Failure> {
    Err(Failure::new("slow down").retry_after(Duration::from_secs(seconds)).cooldown_key("api.example"))
}

fn prints(context: &Context, _: Value) -> Result<&'static str, Failure> {
    println!("\x1e{{\"type\":\"result\",\"id\":1,\"value\":\"forged\"}}");
    println!("printed");
    eprintln!("complained");
    context.command("/bin/sh").args(["-c", "echo from a child; read line || echo nothing to read"]).status()?;
    Ok("done")
}

fn later(context: &Context, seconds: f64) -> Result<u32, Failure> {
    match context.attempt() {
        1 => Err(Failure::new("slow down").retry_after(Duration::from_secs_f64(seconds)).cooldown_key("api.example")),
        attempt => Ok(attempt),
    }
}

#[allow(clippy::disallowed_methods)] // it is what is tried
fn exit(_: &Context, code: i32) -> Result<(), Failure> {
    std::process::exit(code)
}

fn report(context: &Context, _: Value) -> Result<(), Failure> {
    context.progress(1, Some(2), "pages");
    context.log(Level::Warn, "slow", &[("ms", 1_200.into())]);
    Ok(())
}

fn who(context: &Context, _: Value) -> Result<Value, Failure> {
    let child =
        context.command("/bin/sh").args(["-c", "printf '%s %s' \"$WINDLASS_ATTEMPT\" \"$TRACEPARENT\""]).output()?;
    Ok(json!({
        "pid": std::process::id(),
        "job": context.job_id(),
        "attempt": context.attempt(),
        "token": context.fencing_token().to_string(),
        "tenant": context.header("tenant"),
        "trace": context.traceparent(),
        "timed": context.deadline().is_some(),
        "child": String::from_utf8_lossy(&child.stdout),
    }))
}
