//! A disk whose writes, syncs and truncations fail on a schedule.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::process::Command;

use memgate_test_kit::process::finish;
use tempfile::TempDir;

/// Makes the file system of one program fail, by a library that is loaded before all others.
pub struct FaultyDisk {
    folder: TempDir,
    control: File,
}

impl FaultyDisk {
    /// A disk that is well for the time being.
    pub fn new(seed: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/chaos/disk_faults.c");
        // The C compiler that the build of SQLite needs too.
        let mut compile = Command::new("cc");
        compile.args(["-shared", "-fPIC", "-O1", "-o"]).arg(folder.path().join("faults.so")).args([source, "-ldl"]);
        let compiled = finish(&mut compile);
        assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
        let path = folder.path().join("control");
        let control = OpenOptions::new().read(true).write(true).create_new(true).open(path).unwrap();
        control.write_all_at(&[0; 16], 0).unwrap();
        control.write_all_at(&seed.to_ne_bytes(), 4).unwrap();
        Self { folder, control }
    }

    /// Lets this program use the disk.
    pub fn attach(&self, command: &mut Command) {
        let path = |name: &str| -> PathBuf { self.folder.path().join(name) };
        command.env("LD_PRELOAD", path("faults.so")).env("FAULT_CONTROL", path("control"));
    }

    /// Makes one call of this many fail, or none.
    pub fn fail_one_in(&self, calls: u32) {
        self.control.write_all_at(&calls.to_ne_bytes(), 0).unwrap();
    }

    /// How many calls have failed.
    pub fn failed(&self) -> u32 {
        let mut count = [0; 4];
        self.control.read_exact_at(&mut count, 12).unwrap();
        u32::from_ne_bytes(count)
    }
}
