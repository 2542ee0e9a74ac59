//! Calls: which pool gets one, and what comes of it.

use windlass_shared::domain::{Execution, Grant, JobSpec, Lease, News, OnDisconnect, Reason, Work};

use super::given::Calls;
use super::orchestrator::{Held, Orchestrator};
use super::verdict;
use crate::worker::{self, Call};

impl Orchestrator {
    pub(super) fn on_call(&mut self, lease: Lease, spec: JobSpec, grants: Vec<Grant>, calls: &mut Calls) {
        let JobSpec { work, header, run_timeout, stop_grace, stop_signal, on_disconnect, trace } = spec;
        let Work::Call(call) = work else { return };
        let handler = &call.handler;
        let Some(pool) = self.parts.pools.find(handler) else {
            if self.parts.pools.is_empty() {
                self.end(lease, verdict::rejected(&format!("no pool of this agent knows the handler {handler}")));
            } else {
                // What the pools offer has changed, and the word of it crossed with this.
                self.report(lease, News::Returned(Reason::Returned));
            }
            return;
        };
        if on_disconnect == OnDisconnect::Fence && !pool.is_fenced() {
            let why = format!(
                "the job asks for ON_DISCONNECT_FENCE, and the workers of {handler} are not killed when the lease runs out: \
                 set fence = true in their [[pool]]"
            );
            return self.end(lease, verdict::rejected(&why));
        }
        let (stop_signal, once, bounces) = (stop_signal.into(), header.execution == Execution::AtMostOnce, 0);
        let call = Call { lease, spec: call, trace, grants, run_timeout, stop_grace, stop_signal, once, bounces };
        tracing::debug!(job = %lease.job, attempt = lease.attempt, handler = &*call.spec.handler, "attempt given to a pool");
        self.more_active();
        calls.add(&pool, call);
        self.held.insert(lease, Held::Called { pool, silent: false });
    }

    pub(super) fn on_called(&mut self, news: Vec<(Lease, worker::News)>) {
        for (lease, news) in news {
            match news {
                worker::News::Started(at) => {
                    if self.held.get(&lease).is_some_and(|held| !held.is_silent()) {
                        self.report(lease, News::Started(at));
                    }
                }
                worker::News::Ended(end) => self.on_over(lease, |this| this.end(lease, verdict::called(*end))),
                worker::News::Returned(reason) => {
                    self.on_over(lease, |this| this.report(lease, News::Returned(reason)));
                }
            }
        }
    }
}
