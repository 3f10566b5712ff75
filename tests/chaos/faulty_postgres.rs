//! A PostgreSQL server whose connections break and whose disk fills.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use memgate_test_kit::postgres::{PostgresDatabase, PostgresServer};
use memgate_test_kit::skip::mount_small;
use sea_orm::sqlx::postgres::PgConnection;
use sea_orm::sqlx::{AssertSqlSafe, Connection as _, Executor as _};
use url::Url;

use super::Breakable;
use super::clients::Dice;
use super::postgres_proxy::PostgresProxy;

/// A database of a server of its own, with its tables on a small file system where root may mount one.
pub struct FaultyPostgres {
    // Before the server, which removes the folder that this is mounted in.
    small: Option<SmallFileSystem>,
    pub proxy: PostgresProxy,
    pub database: PostgresDatabase,
    filled: AtomicU32,
}

impl FaultyPostgres {
    /// `None` where PostgreSQL's programs are missing.
    pub async fn start() -> Option<Self> {
        let server = PostgresServer::start()?;
        let database = server.database().await;
        let url = Url::parse(database.url()).unwrap();
        let folder = url.query_pairs().find(|(name, _)| name == "host").unwrap().1.into_owned();
        let proxy = PostgresProxy::before(Path::new(&folder).join(".s.PGSQL.5432"), 1).await;
        let mut broken = Self { small: None, proxy, database, filled: AtomicU32::new(0) };
        if let Some(small) = SmallFileSystem::mount(Path::new(&folder)) {
            let name = url.path().trim_start_matches('/');
            broken.administer(&format!("CREATE TABLESPACE small LOCATION '{}'", small.folder.display())).await;
            broken.administer(&format!("ALTER DATABASE \"{name}\" SET TABLESPACE small")).await;
            broken.small = Some(small);
        }
        Some(broken)
    }

    /// Runs a statement as the administrator, past the proxy.
    pub async fn administer(&self, sql: &str) {
        let mut url = Url::parse(self.database.url()).unwrap();
        url.set_path("/postgres");
        let mut connection = PgConnection::connect(url.as_str()).await.unwrap();
        connection.execute(AssertSqlSafe(sql.to_owned())).await.unwrap();
        connection.close().await.unwrap();
    }

    /// The URL that leads through the proxy, for this user.
    pub fn url(&self, user: &str) -> String {
        let path = Url::parse(self.database.url()).unwrap().path().to_owned();
        format!("postgres://{user}@127.0.0.1:{}{path}?sslmode=disable", self.proxy.port)
    }
}

impl Breakable for FaultyPostgres {
    fn attach(&self, command: &mut Command) {
        command.env("MEMGATE_DATABASE_URL", self.url("memgate"));
        command.env("MEMGATE_MASTER_KEY", "dGVzdHMgdXNlIHRoaXMgbWFzdGVyIGtleSBvZiAzMkI=");
    }

    fn shake(&mut self, dice: &mut Dice) {
        match (dice.below(6), &self.small) {
            (0, _) => self.proxy.silence_open_connections(),
            (1, _) => self.proxy.freeze(true),
            (2, _) => self.proxy.refuse(true),
            (3, Some(small)) => {
                small.fill();
                self.filled.fetch_add(1, Ordering::SeqCst);
            }
            _ => self.proxy.cut_one_in([5, 20, 100][usize::try_from(dice.below(3)).unwrap()]),
        }
    }

    fn mend(&mut self) {
        self.proxy.freeze(false);
        self.proxy.refuse(false);
        self.proxy.cut_one_in(0);
        if let Some(small) = &self.small {
            small.clear();
        }
    }

    fn faults(&self) -> u32 {
        self.proxy.faults() + self.filled.load(Ordering::SeqCst)
    }
}

/// A file system in a folder that the server may use.
struct SmallFileSystem {
    root: PathBuf,
    folder: PathBuf,
}

impl SmallFileSystem {
    fn mount(beside: &Path) -> Option<Self> {
        use std::os::unix::fs::{MetadataExt as _, chown};
        let root = beside.join("small");
        std::fs::create_dir(&root).ok()?;
        if !mount_small(&root, 48) {
            return None;
        }
        let folder = root.join("tables");
        std::fs::create_dir(&folder).unwrap();
        let owner = std::fs::metadata(beside).unwrap();
        chown(&folder, Some(owner.uid()), Some(owner.gid())).unwrap();
        Some(Self { root, folder })
    }

    fn ballast(&self) -> PathBuf {
        self.root.join("ballast")
    }

    fn fill(&self) {
        // Writes until there is no room.
        std::fs::write(self.ballast(), vec![0; 64 << 20]).expect_err("the file system is smaller");
    }

    fn clear(&self) {
        std::fs::remove_file(self.ballast()).unwrap_or_default();
    }
}

impl Drop for SmallFileSystem {
    fn drop(&mut self) {
        self.clear();
        let unmounted = Command::new("umount").arg("--lazy").arg(&self.root).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "the file system is unmounted");
    }
}
