//! A worker in Rust, with every feature of the protocol (docs/worker-protocol.md): a thread reads, so that a job can be recalled
//! or cancelled while another runs. The tests and the benchmark run it; it is also what to start from.
//!
//! Handlers: `echo` answers its input; `sleep` sleeps that many milliseconds; `fail` answers an error with its input as message;
//! `exit` ends the process with its input as code, in the middle of the job; `noise` prints every kind of junk, then answers;
//! `hog` takes that many MiB of memory and keeps them for a minute; `shaky` does the same, but dies where its fencing token is a multiple of 200.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::process::ExitCode;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

#[derive(Deserialize)]
struct Order {
    #[serde(rename = "type")]
    kind: String,
    id: Option<u64>,
    handler: Option<String>,
    input: Option<Box<RawValue>>,
    fencing_token: Option<String>,
    n: Option<u64>,
}

/// What was read and not done, and the job to be stopped.
#[derive(Default)]
struct State {
    orders: VecDeque<Order>,
    cancelled: Option<u64>,
    closed: bool,
}

#[derive(Default)]
struct Desk {
    state: Mutex<State>,
    changed: Condvar,
}

fn main() -> ExitCode {
    let desk = Arc::new(Desk::default());
    let reader = Arc::clone(&desk);
    say(
        &json!({"type": "hello", "protocol": 1, "handlers": ["echo", "sleep", "fail", "exit", "noise", "shaky", "hog"],
                "features": ["started", "recall", "cancel"]}),
    );
    std::thread::spawn(move || read(&reader));
    let mut out = Vec::new();
    while let Some(order) = next(&desk, &mut out) {
        match (&*order.kind, order.id) {
            ("job", Some(id)) => {
                if let Some(code) = run(&desk, id, &order, &mut out) {
                    return ExitCode::from(code);
                }
            }
            ("ping", _) => frame(&mut out, &json!({"type": "pong", "n": order.n})),
            ("bye", _) => break,
            _ => {}
        }
    }
    flush(&mut out);
    ExitCode::SUCCESS
}

/// The next order. Before it waits, it says what was not said yet.
fn next(desk: &Desk, out: &mut Vec<u8>) -> Option<Order> {
    let mut state = desk.state.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        if let Some(order) = state.orders.pop_front() {
            return Some(order);
        }
        if state.closed {
            return None;
        }
        if !out.is_empty() {
            drop(state);
            flush(out);
            state = desk.state.lock().unwrap_or_else(PoisonError::into_inner);
            continue;
        }
        state = desk.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
}

/// Does a job; the code to exit with, where the handler wants that.
fn run(desk: &Desk, id: u64, order: &Order, out: &mut Vec<u8>) -> Option<u8> {
    // The answer before and this go out in one write.
    out.extend_from_slice(format!("\x1e{{\"type\":\"started\",\"id\":{id}}}\n").as_bytes());
    flush(out);
    let input = order.input.as_deref().map_or("null", RawValue::get);
    match order.handler.as_deref() {
        Some("echo") => answer(out, id, input),
        Some("sleep") => sleep(desk, id, input, out),
        Some("fail") => {
            let message: String = serde_json::from_str(input).unwrap_or_else(|_| input.to_owned());
            frame(out, &json!({"type": "error", "id": id, "message": message, "code": "E_FAIL"}));
        }
        Some("exit") => return Some(input.parse().unwrap_or(1)),
        Some("noise") => noise(id, input, out),
        Some("hog") => {
            // Written to, a page is there.
            let hoard = vec![1_u8; input.parse::<usize>().unwrap_or(0) << 20];
            sleep(desk, id, "60000", out);
            drop(hoard);
        }
        Some("shaky") => {
            let token = order.fencing_token.as_ref().and_then(|token| token.parse::<u64>().ok());
            if token.is_some_and(|token| token % 200 == 0) {
                return Some(9);
            }
            noise(id, input, out);
        }
        _ => frame(out, &json!({"type": "error", "id": id, "message": "no such handler", "retryable": false})),
    }
    None
}

fn noise(id: u64, input: &str, out: &mut Vec<u8>) {
    print!("a line\n{{\"type\":\"result\",\"id\":{id},\"value\":\"forged\"}}\n\x1e\x1e[1]\nhalf a line");
    eprintln!("an error");
    let _ = io::stdout().flush();
    answer(out, id, input);
}

fn sleep(desk: &Desk, id: u64, input: &str, out: &mut Vec<u8>) {
    let until = Instant::now() + Duration::from_millis(input.parse().unwrap_or(0));
    let mut state = desk.state.lock().unwrap_or_else(PoisonError::into_inner);
    while state.cancelled != Some(id) {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return answer(out, id, input);
        }
        state = desk.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
    }
    frame(out, &json!({"type": "error", "id": id, "message": "cancelled", "code": "cancelled"}));
}

fn answer(out: &mut Vec<u8>, id: u64, value: &str) {
    out.extend_from_slice(format!("\x1e{{\"type\":\"result\",\"id\":{id},\"value\":{value}}}\n").as_bytes());
}

fn frame(out: &mut Vec<u8>, value: &serde_json::Value) {
    out.extend_from_slice(format!("\x1e{value}\n").as_bytes());
}

fn say(value: &serde_json::Value) {
    let mut out = Vec::new();
    frame(&mut out, value);
    flush(&mut out);
}

fn flush(out: &mut Vec<u8>) {
    let mut stdout = io::stdout().lock();
    // With the agent gone there is nobody to tell.
    let _ = stdout.write_all(out).and_then(|()| stdout.flush());
    out.clear();
}

/// Reads what the agent says until it ends, as much at a time as there is.
fn read(desk: &Desk) {
    let (mut stdin, mut buffer, mut have) = (io::stdin().lock(), vec![0; 64 << 10], 0);
    loop {
        if have == buffer.len() {
            buffer.resize(2 * have, 0);
        }
        let read = stdin.read(&mut buffer[have..]).unwrap_or(0);
        if read == 0 {
            break;
        }
        have += read;
        let Some(end) = buffer[..have].iter().rposition(|byte| *byte == b'\n') else { continue };
        let orders = buffer[..end].split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
        take(desk, orders.collect());
        buffer.copy_within(end + 1..have, 0);
        have -= end + 1;
    }
    desk.state.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
    desk.changed.notify_all();
}

fn take(desk: &Desk, orders: Vec<Order>) {
    let mut state = desk.state.lock().unwrap_or_else(PoisonError::into_inner);
    for order in orders {
        match &*order.kind {
            "cancel" => state.cancelled = order.id,
            "recall" => {
                let Some(at) = state.orders.iter().position(|other| other.kind == "job" && other.id == order.id) else {
                    continue;
                };
                state.orders.remove(at);
                say(&json!({"type": "recalled", "id": order.id}));
            }
            _ => state.orders.push_back(order),
        }
    }
    drop(state);
    desk.changed.notify_all();
}
