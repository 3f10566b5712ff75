//! A PostgreSQL database for a test.
//!
//! It comes from a throw-away server that each test binary starts once, with the programs found in `PATH` or in
//! `/usr/lib/postgresql/*/bin`, or from the server that `TEST_POSTGRES_URL` names. Where there is neither, the tests that
//! need one say so and pass; with `REQUIRE_POSTGRES=1` they fail.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, OnceLock};

use sea_orm::sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use url::Url;

use crate::process::first_line;
use crate::skip::skip;

/// A fresh database. One that was made on somebody else's server is dropped with this.
#[derive(Debug)]
pub struct PostgresDatabase {
    url: Url,
    /// The server's own database, from which this one is dropped.
    drop_from: Option<Url>,
    _server: Option<Arc<PostgresServer>>,
}

impl PostgresDatabase {
    /// A new, empty database; `None` where there is no server and none is required.
    pub async fn create() -> Option<Self> {
        static SHARED: OnceLock<Option<Arc<PostgresServer>>> = OnceLock::new();
        if let Ok(url) = env::var("TEST_POSTGRES_URL") {
            let admin =
                Url::parse(&url).expect("TEST_POSTGRES_URL is a URL such as postgres://user:password@host/name");
            let url = create_database(&admin).await;
            return Some(Self { url, drop_from: Some(admin), _server: None });
        }
        let server = SHARED.get_or_init(PostgresServer::start).clone()?;
        Some(server.database().await)
    }

    /// The URL of the database.
    pub fn url(&self) -> &str {
        self.url.as_str()
    }
}

impl Drop for PostgresDatabase {
    fn drop(&mut self) {
        let Some(admin) = self.drop_from.take() else { return };
        let name = self.url.path().trim_start_matches('/').to_owned();
        // The test's own runtime may be gone, or be this very thread.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let mut connection = PgConnection::connect(admin.as_str()).await?;
                connection.execute(AssertSqlSafe(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"))).await?;
                Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
            })
        });
        if !matches!(dropped.join(), Ok(Ok(()))) {
            say(&format!("the test database {} could not be dropped\n", self.url.path()));
        }
    }
}

/// Creates an empty database on the server of `admin`.
async fn create_database(admin: &Url) -> Url {
    let name = format!("memgate_test_{:016x}", RandomState::new().hash_one(std::process::id()));
    let mut connection = PgConnection::connect(admin.as_str()).await.expect("the PostgreSQL server lets the tests in");
    let create = AssertSqlSafe(format!("CREATE DATABASE {name}"));
    connection.execute(create).await.expect("the tests may create databases");
    connection.close().await.expect("the connection closes");
    let mut url = admin.clone();
    url.set_path(&name);
    url
}

/// A server of our own. It stops, and all it holds is removed, when this is dropped and when the process ends, however
/// that comes about.
#[derive(Debug)]
pub struct PostgresServer {
    /// A shell that waits for the other end of this pipe to be closed, which the system does in any case, and stops the
    /// server then.
    keeper: Child,
    alive: Option<ChildStdin>,
    admin: Url,
}

/// Arguments: the folder of the programs, and the folder for everything else. Says `ready` when the server is.
const KEEPER: &str = r#"
bin=$1 dir=$2
stop() { "$bin/pg_ctl" -D "$dir/data" -m immediate stop; rm -rf "$dir"; }
if "$bin/initdb" -D "$dir/data" -U memgate -A trust -E UTF8 --no-locale --no-sync --no-instructions >"$dir/log" 2>&1 &&
   "$bin/pg_ctl" -D "$dir/data" -l "$dir/log" -w -t 60 start -o "-k '$dir' -c listen_addresses='' -c fsync=off \
        -c full_page_writes=off -c max_connections=300 -c shared_buffers=32MB" >>"$dir/log" 2>&1
then echo ready
else cat "$dir/log"
fi
exec >/dev/null 2>&1
read -r _
stop
"#;

impl PostgresServer {
    /// Starts a server; `None` where its programs are missing and it is not required.
    pub fn start() -> Option<Arc<Self>> {
        let Some(programs) = find_programs() else {
            let missing = "PostgreSQL's server programs (initdb, pg_ctl, postgres) are neither in PATH nor in \
                           /usr/lib/postgresql/*/bin, and TEST_POSTGRES_URL is not set.";
            let remedy = "apt-get install postgresql, or TEST_POSTGRES_URL=postgres://user:password@host/name";
            skip("REQUIRE_POSTGRES", "PostgreSQL", missing, remedy);
            return None;
        };
        // A path to a socket must be short, and TMPDIR may be one that another user cannot enter.
        let folder = tempfile::Builder::new().prefix("memgate-pg-").tempdir_in("/tmp").unwrap().keep();
        let mut command = Command::new("/bin/sh");
        command.args([OsString::from("-c"), KEEPER.into(), "keeper".into(), programs.into(), folder.clone().into()]);
        command.current_dir("/").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        // Ctrl-C and the time limit of a test runner reach a group; the keeper has to outlive both for a moment.
        command.process_group(0);
        let owner = fs::metadata(&folder).unwrap().uid();
        if owner == 0 {
            // The server refuses to run as root.
            let (user, group) = another_user();
            std::os::unix::fs::chown(&folder, Some(user), Some(group)).unwrap();
            command.uid(user).gid(group);
        }
        let mut keeper = command.spawn().unwrap();
        let alive = keeper.stdin.take();
        let (mut first, mut said) = first_line(&mut keeper);
        if first.trim() != "ready" {
            said.read_to_string(&mut first).unwrap();
            panic!("the PostgreSQL server for the tests does not start:\n{first}");
        }
        let mut admin = Url::parse("postgres://memgate@localhost/postgres").unwrap();
        admin.query_pairs_mut().append_pair("host", folder.to_str().unwrap());
        Some(Arc::new(Self { keeper, alive, admin }))
    }

    /// A new, empty database of this server.
    pub async fn database(self: &Arc<Self>) -> PostgresDatabase {
        let url = create_database(&self.admin).await;
        PostgresDatabase { url, drop_from: None, _server: Some(Arc::clone(self)) }
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        drop(self.alive.take());
        self.keeper.wait().ok();
    }
}

/// The folder that holds the server's programs.
fn find_programs() -> Option<PathBuf> {
    let is_complete = |folder: &Path| ["initdb", "pg_ctl", "postgres"].iter().all(|name| folder.join(name).is_file());
    let path = env::var_os("PATH").unwrap_or_default();
    let in_path = env::split_paths(&path).find(|folder| is_complete(folder));
    in_path.or_else(|| {
        let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
        let version = |folder: &PathBuf| folder.file_name()?.to_str()?.parse::<u32>().ok();
        let folders = versions.filter_map(|entry| Some(entry.ok()?.path()));
        let newest = folders.filter(|folder| is_complete(&folder.join("bin"))).max_by_key(version)?;
        Some(newest.join("bin"))
    })
}

/// The ids of a user and its group that root can step down to.
fn another_user() -> (u32, u32) {
    let users = fs::read_to_string("/etc/passwd").unwrap();
    ["postgres", "nobody"]
        .iter()
        .find_map(|name| {
            let mut fields = users.lines().find(|line| line.split(':').next() == Some(name))?.split(':').skip(2);
            Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
        })
        .expect("there is a user postgres or nobody")
}

/// Speaks past the test harness, which keeps what passing tests print to itself.
fn say(text: &str) {
    std::io::stderr().write_all(text.as_bytes()).ok();
}
