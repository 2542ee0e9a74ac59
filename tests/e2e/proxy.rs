//! A network that misbehaves: a relay between an agent and its coordinator that can hold back either direction, keeping every
//! connection open, as a cut cable or a lost route does.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// From the agent.
    Up,
    /// To the agent.
    Down,
}

#[derive(Default)]
struct Gate {
    held: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn pass(&self) {
        let mut held = self.held.lock().expect("no panic holds it");
        while *held {
            held = self.opened.wait(held).expect("no panic holds it");
        }
    }

    fn set(&self, hold: bool) {
        *self.held.lock().expect("no panic holds it") = hold;
        self.opened.notify_all();
    }
}

pub(crate) struct Proxy {
    addr: SocketAddr,
    gates: Arc<[Gate; 2]>,
    over: Arc<AtomicBool>,
}

impl Proxy {
    /// A relay to the coordinator at `url`.
    pub(crate) fn to(url: &str) -> Self {
        let target: SocketAddr = url.strip_prefix("http://").and_then(|addr| addr.parse().ok()).expect("an address");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let addr = listener.local_addr().expect("bound");
        let (gates, over) = (Arc::new([Gate::default(), Gate::default()]), Arc::new(AtomicBool::new(false)));
        let proxy = Self { addr, gates: gates.clone(), over: over.clone() };
        std::thread::spawn(move || {
            while let Ok((agent, _)) = listener.accept() {
                if over.load(Ordering::Relaxed) {
                    return;
                }
                // A coordinator that is down refuses; so do we, by closing.
                let Ok(coordinator) = TcpStream::connect(target) else { continue };
                relay(&agent, &coordinator, &gates, Way::Up);
                relay(&coordinator, &agent, &gates, Way::Down);
            }
        });
        proxy
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Holds back, or lets through again, what goes this way.
    pub(crate) fn hold(&self, way: Way, hold: bool) {
        self.gates[way as usize].set(hold);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        self.hold(Way::Up, false);
        self.hold(Way::Down, false);
        // Wakes the accept, which then sees that it is over.
        let _ = TcpStream::connect(self.addr);
    }
}

fn relay(from: &TcpStream, to: &TcpStream, gates: &Arc<[Gate; 2]>, way: Way) {
    let (mut from, mut to) = (from.try_clone().expect("a descriptor"), to.try_clone().expect("a descriptor"));
    let gates = gates.clone();
    std::thread::spawn(move || {
        let mut buffer = [0; 16 << 10];
        while let Ok(n @ 1..) = from.read(&mut buffer) {
            gates[way as usize].pass();
            if to.write_all(&buffer[..n]).is_err() {
                break;
            }
        }
        // Whoever is left learns of it.
        let _ = to.shutdown(Shutdown::Write);
    });
}
