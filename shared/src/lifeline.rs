//! A process that must not outlive its starter holds a pipe from it as standard input; its end means that the starter is
//! gone, however it went, `kill -9` included.

use std::io::Read;

use tokio_util::sync::CancellationToken;

/// Cancels `stop` when standard input ends.
///
/// # Errors
/// Where no thread can be started.
pub fn watch(stop: CancellationToken) -> std::io::Result<()> {
    std::thread::Builder::new().name("lifeline".into()).spawn(move || {
        let mut scrap = [0; 64];
        let mut stdin = std::io::stdin().lock();
        while matches!(stdin.read(&mut scrap), Ok(1..)) {}
        stop.cancel();
    })?;
    Ok(())
}
