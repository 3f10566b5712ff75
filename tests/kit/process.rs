//! The binary itself, as an operator runs it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::deadline::Deadline;

/// How long the service may take to start on a busy machine.
const START: Duration = Duration::from_mins(1);

/// Runs a command without standard input to its end, and captures what it prints. It and what it starts are a group, so that
/// the deadline is for all of them.
pub fn finish(command: &mut Command) -> Output {
    finished(
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap(),
    )
}

/// As [`finish`], with this text on standard input.
pub fn finish_with_input(command: &mut Command, input: &str) -> Output {
    command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let _deadline = Deadline::of(&child);
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// Waits for the end of a process, and captures what it prints where that is piped.
pub fn finished(process: Child) -> Output {
    let _deadline = Deadline::of(&process);
    process.wait_with_output().unwrap()
}

/// The first line that a process prints, and the rest, unread. A process that has said nothing by the deadline is killed.
pub fn first_line(process: &mut Child) -> (String, BufReader<ChildStdout>) {
    let _deadline = Deadline::of(process);
    let mut said = BufReader::new(process.stdout.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    (line, said)
}

/// The program that is tested.
///
/// Cargo says where it is to the tests that it runs; whoever runs a test by hand has it in the folder above.
pub fn program() -> PathBuf {
    let in_the_folder_above = || {
        let test = std::env::current_exe().unwrap();
        test.parent().and_then(Path::parent).unwrap().join("memgate")
    };
    std::env::var_os("CARGO_BIN_EXE_memgate").map_or_else(in_the_folder_above, PathBuf::from)
}

/// The binary with a database in `folder` and nothing of this process's own configuration.
pub fn memgate(folder: &Path) -> Command {
    let mut command = Command::new(program());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MEMGATE_")) {
        command.env_remove(name);
    }
    command.current_dir(folder).env("MEMGATE_BCRYPT_COST", "4").env("MEMGATE_LISTEN", "127.0.0.1:0");
    command.env("MEMGATE_ADMIN_LISTEN", "127.0.0.1:0").env("MEMGATE_DRAIN", "0");
    command
}

/// Another program in the environment and the folder of a command.
pub fn with_environment_of(command: &Command, program: &str) -> Command {
    let mut other = Command::new(program);
    other.current_dir(command.get_current_dir().unwrap());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => other.env(name, value),
            None => other.env_remove(name),
        };
    }
    other
}

/// A process that runs one test of this binary alone, of the module that `module_path!()` names.
pub fn test_alone(module: &str, test: &str) -> Command {
    let (_, module) = module.split_once("::").unwrap_or_default();
    let name = if module.is_empty() { test.to_owned() } else { format!("{module}::{test}") };
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", &name, "--nocapture", "--test-threads=1"]);
    command
}

/// A folder with a database whose schema is up to date, as a service leaves it.
pub fn installation() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    succeed(folder.path(), &["migrate", "up"]);
    folder
}

/// Runs a command to its end.
pub fn run(folder: &Path, arguments: &[&str]) -> Output {
    finish(memgate(folder).args(arguments))
}

/// Runs a command that must succeed, and returns what it printed.
pub fn succeed(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a command with `--json` that must succeed. Which database it worked on is left out of what is returned.
pub fn succeed_json(folder: &Path, arguments: &[&str]) -> Value {
    let mut value = serde_json::from_str(&succeed(folder, &[arguments, &["--json"]].concat())).unwrap();
    if let Value::Object(members) = &mut value {
        let database = members.remove("database");
        assert!(database.is_some_and(|database| database.is_string()), "{arguments:?} names its database");
    }
    value
}

/// Runs a command that must fail with this exit code, and returns what it said on standard error.
pub fn fail(folder: &Path, arguments: &[&str], code: i32) -> String {
    let output = run(folder, arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    assert!(!said.contains("panicked"), "{said}");
    said
}

/// Gives a command this text on standard input.
pub fn run_with_input(folder: &Path, arguments: &[&str], input: &str) -> Output {
    finish_with_input(memgate(folder).args(arguments), input)
}

/// A running `memgate serve`; killed when it is dropped.
pub struct Server {
    child: Child,
    /// Where it listens.
    pub url: String,
    /// What it had logged when it said so.
    pub log: String,
}

impl Server {
    /// Starts the service and waits until it says where it listens.
    pub fn start(command: Command) -> Self {
        Self::try_start(command).unwrap_or_else(|log| panic!("the service did not start:\n{log}"))
    }

    /// As [`start`](Self::start); the log if it ends instead.
    pub fn try_start(mut command: Command) -> Result<Self, String> {
        command.arg("serve").env("MEMGATE_LOG_FORMAT", "json").env("MEMGATE_LOG", "info");
        let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        // From here on it is killed whatever happens to the test.
        let mut server = Self { child, url: String::new(), log: String::new() };
        let (sender, lines) = mpsc::channel();
        let stderr = BufReader::new(server.child.stderr.take().unwrap());
        // Goes on reading until the service ends, so that its log never blocks it.
        thread::spawn(move || stderr.lines().map_while(Result::ok).for_each(|line| drop(sender.send(line))));
        let (mut log, deadline) = (String::new(), Instant::now() + START);
        while let Ok(line) = lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            log.push_str(&line);
            log.push('\n');
            let Ok(event) = serde_json::from_str::<Value>(&line) else { continue };
            if let ("listening", Some(address)) =
                (event["message"].as_str().unwrap_or_default(), event["address"].as_str())
            {
                server.url = format!("http://{address}");
                server.log = log;
                thread::spawn(move || while lines.recv().is_ok() {});
                return Ok(server);
            }
        }
        Err(log)
    }

    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The most memory that it has had resident so far, in bytes.
    pub fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        peak.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
    }

    /// Ends it as a crash does.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end, and waits until it has.
    pub fn terminate(mut self) -> std::process::ExitStatus {
        let told = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(told.success());
        let _deadline = Deadline::of(&self.child);
        self.child.wait().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _already_ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}
