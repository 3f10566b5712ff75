//! What the adapters of the database promise beyond their ports: migrations, connections, broken rows, an absent database,
//! several processes, and the caches.

mod absence;
mod audit;
mod cached_queue;
mod caches;
mod connecting;
mod faults;
mod grants;
mod migrations;
mod rows;
mod service_lock;

use std::any::Any;
use std::path::Path;

use memgate::adapters::database::{Database, DatabaseOptions};
use memgate_test_kit::postgres::PostgresDatabase;

/// A database that lives as long as this.
struct Place {
    url: String,
    _guard: Box<dyn Any + Send>,
}

impl Place {
    /// A file that is not there yet.
    fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { url: url_of(&folder.path().join("memgate.db")), _guard: Box::new(folder) }
    }

    /// A new database of the server; `None` where there is none.
    async fn postgres() -> Option<Self> {
        let database = PostgresDatabase::create().await?;
        Some(Self { url: database.url().to_owned(), _guard: Box::new(database) })
    }

    async fn connect(&self) -> Database {
        Database::connect(&self.url, DatabaseOptions::default()).await.unwrap()
    }

    async fn migrated(&self) -> Database {
        let database = self.connect().await;
        database.migrate_up().await.unwrap();
        database
    }
}

fn url_of(path: &Path) -> String {
    format!("sqlite://{}?mode=rwc", path.display())
}

/// Makes two tests of each of these functions, one for SQLite and one for PostgreSQL.
macro_rules! on_both_databases {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name($crate::persistence::Place::sqlite()).await;
                }
            )+
        }

        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    if let Some(place) = $crate::persistence::Place::postgres().await {
                        super::$name(place).await;
                    }
                }
            )+
        }
    };
}
use on_both_databases;
