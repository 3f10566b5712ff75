//! What a test reads of the log.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, Once};

use serde_json::Value;
use tracing::subscriber::DefaultGuard;

/// The log of this thread, from now on.
pub struct Log {
    lines: Lines,
    _guard: DefaultGuard,
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Collects it, whatever the level.
    pub fn start() -> Self {
        log_nowhere();
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .json()
            .flatten_event(true)
            .with_max_level(tracing::Level::TRACE)
            .with_writer(move || writer.clone())
            .finish();
        Self { lines, _guard: tracing::subscriber::set_default(subscriber) }
    }

    /// All of it.
    pub fn text(&self) -> String {
        String::from_utf8(self.lines.0.lock().unwrap().clone()).unwrap()
    }

    /// The lines of this target.
    pub fn of_target(&self, target: &str) -> Vec<Value> {
        self.lines(|line| line["target"] == target)
    }

    /// The lines of memgate at this level.
    pub fn of_level(&self, level: &str) -> Vec<Value> {
        let own = |line: &Value| line["target"].as_str().unwrap().starts_with("memgate");
        self.lines(|line| own(line) && line["level"] == level)
    }

    fn lines(&self, wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
        let lines = self.text();
        let lines = lines.lines().map(|line| serde_json::from_str(line).unwrap());
        lines.filter(wanted).collect()
    }
}

/// Gives a log to the threads of the tests that do not look at theirs. Without it, a line that one of them writes first
/// may be taken for one that nobody wants to see, also in a test that does.
fn log_nowhere() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tracing_subscriber::fmt().with_writer(io::sink).init());
}
