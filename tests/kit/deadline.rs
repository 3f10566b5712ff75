//! Deadlines of what tests wait for.

use std::process::{Child, Command};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

/// How long anything may take on a busy machine.
const END: Duration = Duration::from_mins(5);

/// Kills a process that takes too long, so that a test that waits for it fails. It is met when this is dropped.
#[must_use]
pub struct Deadline {
    _met: Sender<()>,
}

impl Deadline {
    /// The usual one.
    pub fn of(process: &Child) -> Self {
        Self::after(END, process)
    }

    /// The process must end within this time.
    pub fn after(end: Duration, process: &Child) -> Self {
        let (sender, met) = mpsc::channel();
        let id = process.id().to_string();
        thread::spawn(move || {
            if met.recv_timeout(end) == Err(RecvTimeoutError::Timeout) {
                eprintln!("process {id} is killed: it took longer than {end:?}");
                // Whatever it started holds its standard output open, too.
                let _already_ended = Command::new("kill").args(["-KILL", "--", &format!("-{id}"), &id]).status();
            }
        });
        Self { _met: sender }
    }
}

/// Waits for what has to happen, and fails if it does not.
pub async fn happens<T>(event: impl Future<Output = T>) -> T {
    tokio::time::timeout(END, event).await.expect("it happens before the deadline")
}
