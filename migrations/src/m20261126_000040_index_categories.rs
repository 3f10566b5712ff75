//! What a restriction to categories costs is paid when a memory is written: its place in each list that it is in, and the
//! counts of each combination of categories, from which those of everything that an application may see are added up.
//!
//! Memories that are there already, and those that an older version writes, have an older version of the index. They are
//! brought up to date in the background.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{ConnectionTrait, DbBackend};

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20261126_000040_index_categories"
    }
}

/// `{text}` is the type of text that is compared byte by byte, `{end}` the storage parameters of a table.
const TABLES: &str = "
    -- The lists that a memory is in: one per category, and one per combination of categories.
    CREATE TABLE memory_listings (
        scope_id bigint NOT NULL REFERENCES memory_scopes (id),
        entry {text} NOT NULL,
        created_at bigint NOT NULL,
        id {text} NOT NULL,
        seq bigint NOT NULL REFERENCES memories (seq) ON DELETE CASCADE,
        PRIMARY KEY (scope_id, entry, created_at, id)
    ) {end};
    CREATE INDEX memory_listings_seq_idx ON memory_listings (seq);
    -- The combinations of categories of a scope, with their counts.
    CREATE TABLE memory_category_sets (
        scope_id bigint NOT NULL REFERENCES memory_scopes (id),
        entry {text} NOT NULL,
        categories text NOT NULL,
        memories bigint NOT NULL,
        total_length bigint NOT NULL,
        PRIMARY KEY (scope_id, entry)
    ) {end};
    -- How many memories of a combination have a term.
    CREATE TABLE memory_set_term_counts (
        scope_id bigint NOT NULL REFERENCES memory_scopes (id),
        entry {text} NOT NULL,
        term {text} NOT NULL,
        memories bigint NOT NULL,
        PRIMARY KEY (scope_id, entry, term)
    ) {end};
    ALTER TABLE memories ADD COLUMN index_version bigint NOT NULL DEFAULT 0;
    CREATE INDEX memories_stale_idx ON memories (scope_id, seq) WHERE index_version < 1;
";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let (text, end) = match manager.get_database_backend() {
            DbBackend::Sqlite => ("text", "WITHOUT ROWID"),
            _ => ("text COLLATE \"C\"", "WITH (fillfactor = 80)"),
        };
        let tables = TABLES.replace("{text}", text).replace("{end}", end);
        manager.get_connection().execute_unprepared(&tables).await.map(drop)
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["memory_set_term_counts", "memory_category_sets", "memory_listings"] {
            manager.drop_table(Table::drop().table(table).take()).await?;
        }
        let undo = "DROP INDEX memories_stale_idx; ALTER TABLE memories DROP COLUMN index_version;";
        manager.get_connection().execute_unprepared(undo).await.map(drop)
    }
}
