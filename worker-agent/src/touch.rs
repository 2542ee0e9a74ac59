//! Since when the coordinator is known to have heard us, and what follows from its not hearing us for too long.
//!
//! ```text
//!  heartbeat sent ──────► acknowledged: heard at the moment it was *sent*
//!  + lease TTL            the warden kills what is fenced, whatever this process does or cannot do
//!  + detach_max           everything else is stopped, by its own ladder
//! ```

use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::executor::{Handle, Input};
use crate::process::Warden;
use crate::sys::boottime::Boottime;

/// Told by the session, followed by [`Leash`].
#[derive(Debug)]
pub(crate) struct Touch {
    warden: Warden,
    contact: watch::Sender<Contact>,
}

/// Stops what runs detached for too long.
#[derive(Debug)]
pub(crate) struct Leash {
    detach_max: Duration,
    executor: Handle,
    contact: watch::Receiver<Contact>,
}

#[derive(Debug, Clone, Copy)]
struct Contact {
    /// When we said the newest of what the coordinator heard.
    heard: Boottime,
    lease_ttl: Duration,
}

impl Touch {
    /// Out of touch from now on, until [`Self::heard`]; the leash is to run beside it.
    pub(crate) fn new(warden: Warden, executor: Handle, detach_max: Duration) -> (Self, Leash) {
        let contact = Contact { heard: Boottime::now(), lease_ttl: Duration::ZERO };
        let (sender, contact) = watch::channel(contact);
        (Self { warden, contact: sender }, Leash { detach_max, executor, contact })
    }

    /// The coordinator acknowledged what was said at `said`: it counts its lease from later than that.
    pub(crate) fn heard(&self, said: Boottime, lease_ttl: Duration) {
        self.warden.refresh(said.after(lease_ttl));
        self.contact.send_modify(|contact| *contact = Contact { heard: contact.heard.max(said), lease_ttl });
    }
}

impl Leash {
    /// Runs until `stop`.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let follow = async {
            loop {
                self.until_detached().await;
                self.executor.send(Input::Detached).await;
                if self.contact.changed().await.is_err() {
                    return;
                }
            }
        };
        let _: Option<()> = stop.run_until_cancelled(follow).await;
    }

    async fn until_detached(&mut self) {
        loop {
            let Contact { heard, lease_ttl } = *self.contact.borrow_and_update();
            // Within the lease nobody is out of touch: heartbeats are further apart than the shortest limit.
            let limit = self.detach_max.max(lease_ttl);
            let left = limit.saturating_sub(Boottime::now().since(heard));
            if left.is_zero() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(left) => {}
                // Nobody left who could hear: the agent is stopping, and so are we.
                changed = self.contact.changed() => if changed.is_err() { std::future::pending().await },
            }
        }
    }
}
