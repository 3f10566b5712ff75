//! A PostgreSQL cluster of the benchmark's own, if the machine has the server's binaries.

use std::env;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A running cluster with PostgreSQL's own defaults, fsync included; it is ended when this is dropped.
pub struct Cluster {
    dir: TempDir,
    binaries: PathBuf,
    owner: Option<(u32, u32)>,
    port: u16,
}

impl Cluster {
    /// Starts one; `None` if PostgreSQL is not installed.
    pub fn start() -> Result<Option<Self>, String> {
        let Some(binaries) = find_binaries() else { return Ok(None) };
        let dir = TempDir::with_prefix("memgate-bench-postgres-").map_err(|error| error.to_string())?;
        let owner = owner(dir.path())?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|listener| listener.local_addr())
            .map_err(|error| error.to_string())?
            .port();
        let cluster = Self { dir, binaries, owner, port };
        cluster.run("initdb", &["-U", "postgres", "--auth=trust", "--no-sync", "--encoding=UTF8"])?;
        let options = format!("-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=");
        let log = cluster.dir.path().join("log");
        cluster.run("pg_ctl", &["-w", "-l", &log.to_string_lossy(), "-o", &options, "start"])?;
        Ok(Some(cluster))
    }

    /// How to reach its database.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Result<(), String> {
        let mut command = Command::new(self.binaries.join(program));
        command.args(arguments).env("PGDATA", self.dir.path().join("data")).current_dir(self.dir.path());
        // A server that inherits a pipe would keep it open forever.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if let Some((user, group)) = self.owner {
            command.uid(user).gid(group);
        }
        let status = command.status().map_err(|error| format!("{program}: {error}"))?;
        if status.success() { Ok(()) } else { Err(format!("{program} ended with {status}")) }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Its directory is deleted next, so nothing depends on a clean end.
        let _ = self.run("pg_ctl", &["-m", "immediate", "stop"]);
    }
}

/// PostgreSQL refuses to run as root: then another user owns the cluster.
fn owner(dir: &Path) -> Result<Option<(u32, u32)>, String> {
    let metadata = fs::metadata(dir).map_err(|error| error.to_string())?;
    if metadata.uid() != 0 {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd").map_err(|error| error.to_string())?;
    let find = |name: &str| {
        let mut fields =
            users.lines().map(|line| line.split(':')).find(|fields| fields.clone().next() == Some(name))?;
        Some((fields.nth(2)?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    let owner = find("postgres").or_else(|| find("nobody")).ok_or("no user that PostgreSQL could run as")?;
    chown(dir, Some(owner.0), Some(owner.1)).map_err(|error| error.to_string())?;
    Ok(Some(owner))
}

fn find_binaries() -> Option<PathBuf> {
    let complete = |dir: &PathBuf| dir.join("initdb").is_file() && dir.join("pg_ctl").is_file();
    let path = env::var_os("PATH").unwrap_or_default();
    let mut debian: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .map(|entries| entries.flatten().map(|entry| entry.path().join("bin")).collect())
        .unwrap_or_default();
    debian.sort();
    env::split_paths(&path).chain(debian.into_iter().rev()).find(complete)
}
