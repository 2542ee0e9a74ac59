//! What operators want of limits: what holds for keys, and what cools down. All of it holds over every restart.

use std::sync::Arc;
use std::time::Duration;

use windlass_shared::domain::{Cooldown, HandlerError, LimitRecord, LimitSettings};
use windlass_shared::ids::JobId;
use windlass_shared::limits::{COOLDOWN_MAX, is_key};
use windlass_shared::time::Now;

use crate::limits::{COOLDOWNS_MAX, Key, LIMITS_MAX, Pattern};
use crate::restore::time_until;
use crate::{Core, Effect, Mark, Refusal, Reply, Ticket};

impl Core {
    /// What holds for a key, or is set for a beginning of keys.
    #[must_use]
    pub fn limit(&self, pattern: &Arc<str>) -> LimitRecord {
        self.limits.record(pattern)
    }

    /// Up to `limit` of those that are set, named by unfinished jobs, or cool down, by key, after `after`.
    #[must_use]
    pub fn limits(&self, after: Option<&str>, limit: usize) -> Vec<LimitRecord> {
        self.limits.names(after, limit).iter().map(|name| self.limits.record(name)).collect()
    }

    pub(crate) fn set_limit(
        &mut self,
        now: Now,
        ticket: Ticket,
        key: &Arc<str>,
        settings: Option<LimitSettings>,
        out: &mut Vec<Effect>,
    ) {
        let pattern = Pattern::of(key);
        let known = self.limits.is_set(&pattern);
        if settings.is_some() && !known && self.limits.set_count() >= LIMITS_MAX {
            return reply(ticket, Err(Refusal::LimitsFull { limit: LIMITS_MAX }), out);
        }
        if settings.is_some() || known {
            self.change_limit(now, &pattern, settings);
            out.push(Effect::Mark(Mark::Limit { key: key.clone(), settings }));
        }
        reply(ticket, Ok(self.limit(key)), out);
    }

    pub(crate) fn set_cooldown(
        &mut self,
        now: Now,
        ticket: Ticket,
        key: &Arc<str>,
        cooldown: Option<(Duration, Option<Arc<str>>)>,
        out: &mut Vec<Effect>,
    ) {
        let cooldown = cooldown.map(|(time, reason)| Cooldown { until: now.wall.after(time), reason });
        if cooldown.is_some() || self.limit(key).cooldown.is_some() {
            if !self.cool(now, key, cooldown.clone()) {
                return reply(ticket, Err(Refusal::CooldownsFull { limit: COOLDOWNS_MAX }), out);
            }
            out.push(Effect::Mark(Mark::Cooldown { key: key.clone(), cooldown }));
        }
        reply(ticket, Ok(self.limit(key)), out);
    }

    /// Whoever waits for it is looked at again.
    pub(crate) fn change_limit(&mut self, now: Now, pattern: &Pattern, settings: Option<LimitSettings>) {
        for limit in self.limits.set(now.mono, pattern, settings) {
            self.scheduler.parking.touch(limit);
        }
    }

    /// `false`: as many keys cool down as may.
    fn cool(&mut self, now: Now, key: &Arc<str>, cooldown: Option<Cooldown>) -> bool {
        let cooldown = cooldown.map(|cooldown| (now.mono.after(time_until(cooldown.until, now)), cooldown));
        let key = Key::Named(key.clone());
        let cooled = self.limits.cool(now.mono, &key, cooldown);
        self.limits.find(&key).into_iter().for_each(|limit| self.scheduler.parking.touch(limit));
        cooled
    }

    /// What a handler's error wants of a key, such as an upstream's 429: nothing that names it goes before, on any agent. It shortens no
    /// cooldown there is. What is no key, or one too many, holds for the job alone, which waits as it is.
    pub(crate) fn cool_as_answered(&mut self, now: Now, job: JobId, error: &HandlerError, out: &mut Vec<Effect>) {
        let (Some(key), Some(time)) = (&error.cooldown_key, error.retry_after) else { return };
        let until = now.wall.after(time.min(COOLDOWN_MAX));
        let known = self.limit(key).cooldown.is_some_and(|known| known.until >= until);
        if known || time.is_zero() || !is_key(key) {
            return;
        }
        let code = error.code.as_deref().map(|code| format!(" answered {code}")).unwrap_or_default();
        let cooldown = Some(Cooldown { until, reason: Some(format!("job {job}{code}").into()) });
        if self.cool(now, key, cooldown.clone()) {
            out.push(Effect::Mark(Mark::Cooldown { key: key.clone(), cooldown }));
        }
    }

    /// Those that are over are forgotten, on disk too.
    pub(crate) fn end_cooldowns(&mut self, now: Now, out: &mut Vec<Effect>) {
        while let Some((limit, key)) = self.limits.pop_cooled(now.mono) {
            self.scheduler.parking.touch(limit);
            if let Key::Named(key) = key {
                out.push(Effect::Mark(Mark::Cooldown { key, cooldown: None }));
            }
        }
    }

    pub(crate) fn restore_limit(&mut self, now: Now, key: &Arc<str>, settings: LimitSettings) {
        self.change_limit(now, &Pattern::of(key), Some(settings));
    }

    /// One that ended meanwhile ends with the next tick.
    pub(crate) fn restore_cooldown(&mut self, now: Now, key: &Arc<str>, cooldown: Cooldown) {
        self.cool(now, key, Some(cooldown));
    }
}

fn reply(ticket: Ticket, answer: Result<LimitRecord, Refusal>, out: &mut Vec<Effect>) {
    out.push(Effect::Reply(ticket, Reply::Limit(answer.map(Box::new))));
}
