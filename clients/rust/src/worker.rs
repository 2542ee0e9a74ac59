//! A worker: its handlers, by name.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::context::Context;
use crate::failure::Failure;
use crate::frame::Input;
use crate::payload::Payload;

type Run = Box<dyn Fn(&Context, Input<'_>) -> Result<Payload, Failure>>;
type Check = Box<dyn Fn(&Context, Input<'_>) -> Result<(), Failure>>;

/// One handler.
pub(crate) struct Handler {
    pub(crate) run: Run,
    pub(crate) check: Check,
}

/// A worker, to be given handlers and then run.
#[derive(Default)]
pub struct Worker {
    pub(crate) handlers: BTreeMap<String, Handler>,
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("handlers", &self.handlers.keys()).finish()
    }
}

impl Worker {
    /// One without handlers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A handler for JSON: its input is read into `I`, and what it gives is written as its result. An input that is no `I` fails
    /// for good, without the handler; where only a check is asked for, that is the check. Names are 1 to 128 of `[a-zA-Z0-9._-]`.
    #[must_use]
    pub fn handler<I, O, F>(self, name: &str, run: F) -> Self
    where
        I: DeserializeOwned,
        O: Serialize,
        F: Fn(&Context, I) -> Result<O, Failure> + 'static,
    {
        self.checked_handler(name, |_, _: &I| Ok(()), run)
    }

    /// The same, with a check of its own beyond the shape of the input.
    #[must_use]
    pub fn checked_handler<I, O, C, F>(self, name: &str, check: C, run: F) -> Self
    where
        I: DeserializeOwned,
        O: Serialize,
        C: Fn(&Context, &I) -> Result<(), Failure> + 'static,
        F: Fn(&Context, I) -> Result<O, Failure> + 'static,
    {
        let run: Run = Box::new(move |context, input| {
            let output = run(context, read(&input)?)?;
            Ok(Payload::json(serde_json::to_vec(&output)?))
        });
        let check: Check = Box::new(move |context, input| check(context, &read(&input)?));
        self.with(name, Handler { run, check })
    }

    /// A handler for bytes of any media type.
    #[must_use]
    pub fn raw_handler<F>(self, name: &str, run: F) -> Self
    where
        F: Fn(&Context, Payload) -> Result<Payload, Failure> + 'static,
    {
        let run: Run = Box::new(move |context, input| run(context, input.into_payload()));
        self.with(name, Handler { run, check: Box::new(|_, _| Ok(())) })
    }

    fn with(mut self, name: &str, handler: Handler) -> Self {
        self.handlers.insert(name.to_owned(), handler);
        self
    }
}

fn read<I: DeserializeOwned>(input: &Input<'_>) -> Result<I, Failure> {
    let wrong = |what: String| Failure::new(format!("the input is not what this handler takes: {what}"));
    let read = match input {
        Input::Json(text) => serde_json::from_str(text).map_err(|err| wrong(err.to_string())),
        Input::Other(payload) => Err(wrong(format!("it is {}, and not JSON", payload.content_type))),
    };
    read.map_err(|failure| failure.permanent().code("BAD_INPUT"))
}
