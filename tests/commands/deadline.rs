//! The deadline of a process that a test waits for.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use memgate_test_kit::deadline::Deadline;
use memgate_test_kit::process::finished;

#[test]
fn a_process_that_takes_too_long_is_killed() {
    let process = Command::new("sleep").arg("60").stdout(Stdio::piped()).spawn().unwrap();
    let _deadline = Deadline::after(Duration::from_millis(10), &process);
    let output = finished(process);
    assert_eq!(output.status.signal(), Some(9));
}
