//! Who waits for news of one job: a bell a job, rung when it changes or writes.
//!
//! A waiter takes its bell, arms it, looks, and only then waits, so that what happens in between rings for it too.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use windlass_shared::ids::JobId;

#[derive(Debug, Clone, Default)]
pub(crate) struct Bells(Arc<Mutex<HashMap<JobId, Arc<Notify>>>>);

impl Bells {
    fn lock(&self) -> MutexGuard<'_, HashMap<JobId, Arc<Notify>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A bell for this job.
    pub(crate) fn subscribe(&self, job: JobId) -> Bell {
        let notify = self.lock().entry(job).or_default().clone();
        Bell { bells: self.clone(), job, notify }
    }

    /// Wakes everyone who waits for this job.
    pub(crate) fn ring(&self, job: JobId) {
        if let Some(notify) = self.lock().get(&job) {
            notify.notify_waiters();
        }
    }

    /// The same for many jobs, under one lock.
    pub(crate) fn ring_all(&self, jobs: impl Iterator<Item = JobId>) {
        let bells = self.lock();
        if bells.is_empty() {
            return;
        }
        for job in jobs {
            if let Some(notify) = bells.get(&job) {
                notify.notify_waiters();
            }
        }
    }
}

/// One waiter's bell.
#[derive(Debug)]
pub(crate) struct Bell {
    bells: Bells,
    job: JobId,
    notify: Arc<Notify>,
}

impl Bell {
    /// Answers `look` once it answers anything: looks at once, and again whenever the bell rings.
    pub(crate) async fn until<T>(&self, mut look: impl FnMut() -> Option<T>) -> T {
        loop {
            let mut rung = std::pin::pin!(self.notify.notified());
            rung.as_mut().enable();
            if let Some(answer) = look() {
                return answer;
            }
            rung.await;
        }
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        let mut bells = self.bells.lock();
        // Ours and the map's: nobody else waits. New ones come only under the lock we hold.
        if Arc::strong_count(&self.notify) == 2 {
            bells.remove(&self.job);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn news_between_the_look_and_the_wait_is_not_missed() {
        let (bells, job) = (Bells::default(), JobId::from_bytes([1; 16]));
        let bell = bells.subscribe(job);
        let mut looks = 0;
        let answer = bell
            .until(|| {
                looks += 1;
                bells.ring(job); // as if it happened right after this look
                (looks == 2).then_some("seen")
            })
            .await;
        assert_eq!(answer, "seen");
    }

    #[test]
    fn the_last_waiter_takes_the_bell_with_it() {
        let (bells, job) = (Bells::default(), JobId::from_bytes([1; 16]));
        let (one, two) = (bells.subscribe(job), bells.subscribe(job));
        drop(one);
        assert_eq!(bells.lock().len(), 1);
        drop(two);
        assert_eq!(bells.lock().len(), 0);
    }
}
