//! The two outputs of `run`: what jobs write passes through untouched; our own lines and the progress bar go to standard
//! error, and the bar only where a person sees it.

use std::io::{self, IsTerminal};

use tokio::io::{AsyncWriteExt, Stderr, Stdout};

use crate::follow::Stream;

/// Clears the line the cursor is on.
const CLEAR_LINE: &str = "\r\x1b[K";
/// Where the terminal will not say.
const COLUMNS: usize = 80;

/// Both outputs, and the bar between what passes through them.
#[derive(Debug)]
pub(crate) struct Screen {
    out: Stdout,
    err: Stderr,
    out_seen: bool,
    err_seen: bool,
    /// The bar is on the screen and must go before anything else comes.
    painted: bool,
    /// What a job wrote last ended within a line: a bar there would wipe it out.
    mid_line: bool,
}

impl Screen {
    pub(crate) fn new() -> Self {
        let (out_seen, err_seen) = (io::stdout().is_terminal(), io::stderr().is_terminal());
        Self { out: tokio::io::stdout(), err: tokio::io::stderr(), out_seen, err_seen, painted: false, mid_line: false }
    }

    /// Whether somebody would see a bar.
    pub(crate) fn shows_bar(&self) -> bool {
        self.err_seen
    }

    /// Passes on what a job wrote.
    ///
    /// # Errors
    /// Where standard output cannot be written to. Nobody is told of standard error, for it would be there.
    pub(crate) async fn pass(&mut self, stream: Stream, data: &[u8]) -> io::Result<()> {
        self.erase().await;
        let seen = match stream {
            Stream::Stdout => {
                self.out.write_all(data).await?;
                self.out.flush().await?;
                self.out_seen
            }
            Stream::Stderr => {
                let _ = self.err.write_all(data).await;
                let _ = self.err.flush().await;
                self.err_seen
            }
        };
        if seen {
            self.mid_line = data.last().is_some_and(|byte| *byte != b'\n');
        }
        Ok(())
    }

    /// Says something of our own.
    pub(crate) async fn say(&mut self, text: &str) {
        self.erase().await;
        let gap = if self.mid_line { "\n" } else { "" };
        self.mid_line = false;
        self.tell(&format!("{gap}windlass: {text}\n")).await;
    }

    /// Shows the bar, at the latest state.
    pub(crate) async fn paint(&mut self, bar: &str) {
        if self.mid_line || !self.err_seen {
            return;
        }
        // One column stays free: a full line would wrap, and the next clearing would leave half of it behind.
        let bar: String = bar.chars().take(columns() - 1).collect();
        self.tell(&format!("{CLEAR_LINE}{bar}")).await;
        self.painted = true;
    }

    async fn erase(&mut self) {
        if std::mem::take(&mut self.painted) {
            self.tell(CLEAR_LINE).await;
        }
    }

    // A closed standard error silences us, nothing more.
    async fn tell(&mut self, text: &str) {
        let _ = self.err.write_all(text.as_bytes()).await;
        let _ = self.err.flush().await;
    }
}

/// Says something of our own from where there is no screen at hand; a bar comes back with its next state.
pub(crate) fn interject(text: &str) {
    let clear = if io::stderr().is_terminal() { CLEAR_LINE } else { "" };
    // Not `eprintln!`: that panics where standard error is closed.
    let _ = io::Write::write_all(&mut io::stderr(), format!("{clear}windlass: {text}\n").as_bytes());
}

fn columns() -> usize {
    let size = rustix::termios::tcgetwinsize(io::stderr());
    size.ok().map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0).unwrap_or(COLUMNS)
}
