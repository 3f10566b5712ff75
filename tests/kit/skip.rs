//! Tests of which a machine lacks what they need.

use std::env;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// Says that something is not tested here, why, and how it would be; fails where this variable `REQUIRE_…` is `1`, as it is
/// in CI.
pub fn skip(requirement: &str, untested: &str, missing: &str, remedy: &str) {
    assert!(env::var(requirement).as_deref() != Ok("1"), "{requirement}=1, but {missing}");
    // Past the test harness, which keeps what passing tests print to itself, and in one piece.
    let text = format!("\n*** SKIPPED: {untested}.\n*** {missing}\n*** To run this: {remedy}\n\n");
    let _nobody_reads_it = std::io::stderr().write_all(text.as_bytes());
}

/// Whether this program is on the machine; where it is not, [`skip`] says so.
pub fn there_is(program: &str, requirement: &str) -> bool {
    let is_there = Command::new(program).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let Ok(mut child) = is_there else {
        skip(requirement, program, &format!("there is no {program} on this machine."), &format!("install {program}"));
        return false;
    };
    let _it_was_only_asked_for = child.kill();
    let _reaped = child.wait();
    true
}

/// A file system in memory of this many megabytes at `folder`. Only root may mount one; where that fails, [`skip`] says so.
pub fn mount_small(folder: &Path, megabytes: u32) -> bool {
    let size = format!("size={megabytes}m");
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder).output();
    let is_mounted = mounted.is_ok_and(|output| output.status.success());
    if !is_mounted {
        skip("REQUIRE_MOUNT", "a full disk", "a small file system cannot be mounted.", "run the tests as root");
    }
    is_mounted
}
