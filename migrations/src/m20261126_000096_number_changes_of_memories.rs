//! Each transaction that changes memories of a scope gets a number, whichever version of the program it is from: all of them
//! update the counts of the scope. What is derived from the memories, and kept elsewhere, learns from the number whether it is
//! up to date.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{ConnectionTrait, DbBackend};

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20261126_000096_number_changes_of_memories"
    }
}

/// `{end}` is the storage parameters of a table.
const TABLES: &str = "
    ALTER TABLE memory_scopes ADD COLUMN revision bigint NOT NULL DEFAULT 0;
    -- The memories that the newest transactions have changed, as a JSON array of their `seq`.
    CREATE TABLE memory_changes (
        scope_id bigint NOT NULL REFERENCES memory_scopes (id),
        revision bigint NOT NULL,
        seqs text NOT NULL,
        PRIMARY KEY (scope_id, revision)
    ) {end};
";

const SQLITE: &str = "
    CREATE TRIGGER memory_scopes_revision AFTER UPDATE OF memories ON memory_scopes BEGIN
        UPDATE memory_scopes SET revision = revision + 1 WHERE id = new.id;
    END;
";

const POSTGRES: &str = "
    CREATE FUNCTION memory_scopes_revision() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        NEW.revision = OLD.revision + 1;
        RETURN NEW;
    END
    $$;
    CREATE TRIGGER memory_scopes_revision BEFORE UPDATE OF memories ON memory_scopes
        FOR EACH ROW EXECUTE FUNCTION memory_scopes_revision();
";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let (end, trigger) = match manager.get_database_backend() {
            DbBackend::Sqlite => ("WITHOUT ROWID", SQLITE),
            _ => ("", POSTGRES),
        };
        let connection = manager.get_connection();
        connection.execute_unprepared(&TABLES.replace("{end}", end)).await?;
        connection.execute_unprepared(trigger).await.map(drop)
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let drop_trigger = match manager.get_database_backend() {
            DbBackend::Sqlite => "DROP TRIGGER memory_scopes_revision",
            _ => "DROP TRIGGER memory_scopes_revision ON memory_scopes; DROP FUNCTION memory_scopes_revision()",
        };
        let connection = manager.get_connection();
        connection.execute_unprepared(drop_trigger).await?;
        connection.execute_unprepared("ALTER TABLE memory_scopes DROP COLUMN revision").await?;
        manager.drop_table(Table::drop().table("memory_changes").take()).await
    }
}
