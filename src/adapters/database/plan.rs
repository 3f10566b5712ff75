//! How SQLite reads the tables for a statement, for tests: whoever searches for an index sees what it costs.

use sea_orm::{ConnectionTrait as _, DatabaseConnection, Statement};

/// An empty database with all migrations.
pub(super) struct Planner(pub(super) DatabaseConnection);

impl Planner {
    pub(super) async fn new() -> Self {
        let database = sea_orm::Database::connect("sqlite::memory:").await.unwrap();
        memgate_migrations::up(&database).await.unwrap();
        Self(database)
    }

    /// The steps of the plan that read `table`, which may be an alias. Whether an index covers the statement is left out.
    pub(super) async fn reads(&self, statement: &Statement, table: &str) -> Vec<String> {
        let mut explained = statement.clone();
        explained.sql.insert_str(0, "EXPLAIN QUERY PLAN ");
        let plan = self.0.query_all_raw(explained).await.unwrap();
        let steps = plan.iter().map(|step| step.try_get::<String>("", "detail").unwrap().replace("COVERING ", ""));
        steps.filter(|step| ["SEARCH", "SCAN"].iter().any(|how| step.starts_with(&format!("{how} {table}")))).collect()
    }
}
