//! Operators' words: repeated under one request id, a word is said once.

use std::sync::Arc;

use windlass_core::{Effect, Input, Refusal, Reply};
use windlass_shared::ids::JobId;
use windlass_shared::time::Now;

use super::error::WordError;
use super::handle::DriverHandle;
use super::message::{About, Control, RequestKey, Said, Word};
use super::repeats::Repeats;
use super::{Driver, Waiting};

impl DriverHandle {
    /// Says something that nobody can prove; it is on record when this answers.
    pub(crate) async fn say(
        &self,
        about: About,
        detail: Option<Arc<str>>,
        request: Option<RequestKey>,
    ) -> Result<Said, WordError> {
        self.ask(|reply| Control::Word(Word { about, detail, request, reply })).await?
    }
}

impl Driver {
    pub(super) fn on_word(&mut self, now: Now, word: Word, repeats: &mut Repeats, out: &mut Vec<Effect>) {
        let Word { about, detail, request, reply } = word;
        // A caller that left before its answer is no error.
        match request.as_ref().map_or(Ok(None), |key| repeats.word(key, subject(about), now.wall, &*self.store)) {
            Ok(Some(true)) => return drop(reply.send(Ok(Said::Done))),
            Ok(Some(false)) => {
                let id = request.map(|key| key.id).unwrap_or_default();
                return drop(reply.send(Err(WordError::RequestIdTaken { id })));
            }
            Err(unreadable) => return drop(reply.send(Err(unreadable.into()))),
            Ok(None) => {}
        }
        let ticket = self.ticket(Waiting::Word(reply));
        let before = out.len();
        let input = match about {
            About::Job(job) => Input::Abandon { ticket, job, detail },
            About::Agent(agent) => Input::ForceLost { ticket, agent, detail },
        };
        self.core.handle_into(now, input, out);
        let done = |effect: &Effect| matches!(effect, Effect::Reply(of, Reply::Abandoned(Ok(true)) | Reply::ForcedLost(Ok(Some(_)))) if *of == ticket);
        // One that was refused may be said again under its id, when the world has changed.
        if let Some(key) = request.filter(|_| !out[before..].iter().any(done)) {
            repeats.forget_word(&key.id);
        }
    }
}

/// What a request is kept with: the table has room for one id of 16 bytes, whosever it is.
fn subject(about: About) -> JobId {
    match about {
        About::Job(job) => job,
        About::Agent(agent) => JobId::from_bytes(*agent.as_bytes()),
    }
}

pub(super) fn said(answer: Result<bool, Refusal>) -> Result<Said, WordError> {
    Ok(if answer? { Said::Done } else { Said::Unknown })
}
