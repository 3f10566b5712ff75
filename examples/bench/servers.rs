//! The servers under test, as processes of their own.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::load::{Connection, get};

/// The kernel counts processor time in hundredths of a second for every program (`USER_HZ`).
const MICROS_PER_TICK: u64 = 10_000;

/// A running server; it is ended when this is dropped.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
}

impl Server {
    /// Starts the floor, which says itself where it listens.
    pub fn floor() -> Result<Self, String> {
        Self::floor_with(&[])
    }

    /// The floor as a bare proxy before the bank at `url`.
    pub fn proxy_before(url: &str) -> Result<Self, String> {
        Self::floor_with(&[url])
    }

    fn floor_with(arguments: &[&str]) -> Result<Self, String> {
        let path = examples_dir()?.join("floor");
        let mut child = command(&path)
            .arg("127.0.0.1:0")
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| cannot_start(&path, &error))?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line).map_err(|error| error.to_string())?;
        }
        let address = line.trim().rsplit(' ').next().and_then(|text| text.trim_start_matches("socket://").parse().ok());
        let address = address.ok_or_else(|| format!("the floor did not say where it listens, but {line:?}"))?;
        Ok(Self { child, address })
    }

    /// What it has in memory now, in millions of bytes.
    pub fn resident_mb(&self) -> Option<f64> {
        self.megabytes("VmRSS:")
    }

    /// The most that it had in memory since the peak was forgotten.
    pub fn peak_mb(&self) -> Option<f64> {
        self.megabytes("VmHWM:")
    }

    /// Forgets the peak: from now on it is what there is now.
    pub fn forget_peak(&self) -> Result<(), String> {
        fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").map_err(|error| error.to_string())
    }

    fn megabytes(&self, field: &str) -> Option<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(field))?;
        let kib: u32 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
        Some(f64::from(kib) * 1024.0 / 1e6)
    }

    /// The processor time that it has used so far, in microseconds.
    pub fn cpu_micros(&self) -> Option<u64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).ok()?;
        micros_of(&stat)
    }

    /// Ends it and waits until it is gone.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // It may have ended by itself; either way there is nothing left to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// The processor time in what the kernel says of a process.
pub fn micros_of(stat: &str) -> Option<u64> {
    // The name before the last parenthesis may hold anything. utime and stime are fields 14 and 15.
    let mut fields = stat.rsplit(')').next()?.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((user + system) * MICROS_PER_TICK)
}

/// A memgate with a database, a working directory and settings of its own.
#[derive(Clone)]
pub struct Gate {
    dir: PathBuf,
    database_url: String,
    settings: Vec<(String, String)>,
}

/// What `memgate app create` answered.
#[derive(Clone)]
pub struct Credentials {
    pub client_id: String,
    pub client_secret: String,
}

impl Gate {
    /// One on a SQLite file in `dir`.
    pub fn sqlite(dir: &Path) -> Self {
        Self::new(dir, format!("sqlite://{}?mode=rwc", Self::database_file(dir).display()))
    }

    /// One on the database at `database_url`.
    pub fn new(dir: &Path, database_url: String) -> Self {
        Self { dir: dir.to_owned(), database_url, settings: Vec::new() }
    }

    /// The SQLite file in `dir`.
    pub fn database_file(dir: &Path) -> PathBuf {
        dir.join("memgate.db")
    }

    /// With the environment variable `name` set.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The URL of a server that was told no other.
    pub fn public_url(server: &Server) -> String {
        format!("http://{}", server.address)
    }

    pub fn database_url(&self) -> &str {
        &self.database_url
    }

    fn command(&self) -> Result<Command, String> {
        let mut command = command(&memgate_path()?);
        command
            .current_dir(&self.dir)
            .env("MEMGATE_DATABASE_URL", &self.database_url)
            .env("MEMGATE_LOG", "warn")
            // On, as it is by default, but where nobody else listens.
            .env("MEMGATE_ADMIN_LISTEN", "127.0.0.1:0")
            .envs(self.settings.iter().map(|(name, value)| (name, value)));
        Ok(command)
    }

    /// Starts it and waits until it is ready. Returns how long that took.
    pub async fn start(&self) -> Result<(Server, Duration), String> {
        let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), free_port()?);
        let log = fs::File::options().create(true).append(true).open(self.log_file()).map_err(|e| e.to_string())?;
        let mut command = self.command()?;
        command.arg("serve").env("MEMGATE_LISTEN", address.to_string()).stdout(Stdio::null()).stderr(log);
        let begin = Instant::now();
        let child = command.spawn().map_err(|error| cannot_start(Path::new(command.get_program()), &error))?;
        let mut server = Server { child, address };
        let request = get("/health/ready", None);
        while !is_ready(address, &request).await {
            if let Ok(Some(status)) = server.child.try_wait() {
                return Err(format!("memgate ended with {status}; its log: {}", self.log()));
            }
            if begin.elapsed() > Duration::from_mins(1) {
                return Err(format!("memgate is not ready after a minute; its log: {}", self.log()));
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok((server, begin.elapsed()))
    }

    fn log_file(&self) -> PathBuf {
        self.dir.join("memgate.log")
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// Registers an application that may use `grants`.
    pub fn create_app(&self, name: &str, grants: &[&str]) -> Result<Credentials, String> {
        let grants: Vec<&str> = grants.iter().flat_map(|grant| ["--grant", grant]).collect();
        self.create_app_named(name, &grants)
    }

    /// Registers an application with these options.
    pub fn create_app_with(&self, options: &[&str]) -> Result<Credentials, String> {
        self.create_app_named("bench", options)
    }

    fn create_app_named(&self, name: &str, options: &[&str]) -> Result<Credentials, String> {
        self.run(&["migrate", "up"])?;
        let arguments = [&["app", "create", "--name", name, "--json"], options].concat();
        let answer: Value = serde_json::from_str(&self.run(&arguments)?).map_err(|error| error.to_string())?;
        let member = |name: &str| {
            answer[name].as_str().map(str::to_owned).ok_or_else(|| format!("`memgate app create` printed no {name}"))
        };
        Ok(Credentials { client_id: member("client_id")?, client_secret: member("client_secret")? })
    }

    /// Runs `memgate` with these arguments and returns what it printed.
    pub fn run<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<String, String> {
        self.run_with_input(arguments, "")
    }

    /// The same with this on its standard input.
    pub fn run_with_input<S: AsRef<OsStr>>(&self, arguments: &[S], input: &str) -> Result<String, String> {
        let mut command = self.command()?;
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| cannot_start(Path::new(command.get_program()), &error))?;
        if let Some(mut stdin) = child.stdin.take() {
            // Who reads nothing has closed it.
            let _ = stdin.write_all(input.as_bytes());
        }
        let output = child.wait_with_output().map_err(|error| error.to_string())?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let arguments: Vec<_> = arguments.iter().map(|argument| argument.as_ref().to_string_lossy()).collect();
            return Err(format!("`memgate {}` failed: {said}", arguments.join(" ")));
        }
        String::from_utf8(output.stdout).map_err(|error| error.to_string())
    }
}

async fn is_ready(address: SocketAddr, request: &[u8]) -> bool {
    let Ok(mut connection) = Connection::open(address, None).await else { return false };
    connection.send(request).await.is_ok_and(|answer| answer.status == 200)
}

/// A command that sees nothing of the user's own memgate settings.
fn command(path: &Path) -> Command {
    let mut command = Command::new(path);
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MEMGATE_")) {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// Where cargo puts examples of the profile that this one was built with.
fn examples_dir() -> Result<PathBuf, String> {
    let own = env::current_exe().map_err(|error| error.to_string())?;
    own.parent().map(Path::to_owned).ok_or_else(|| "this program is in no directory".to_owned())
}

fn memgate_path() -> Result<PathBuf, String> {
    examples_dir().map(|dir| dir.join("../memgate"))
}

fn cannot_start(path: &Path, error: &std::io::Error) -> String {
    format!(
        "cannot start {}: {error}. Build it first: cargo build --release --bin memgate --example floor --example bench",
        path.display()
    )
}

/// A port that is free now.
fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|error| error.to_string())?;
    listener.local_addr().map(|address| address.port()).map_err(|error| error.to_string())
}
