//! Several applications may use one space. Of older memories it is not known which of them stored them.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::ConnectionTrait;

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20261126_000072_say_who_stored_memories"
    }
}

const UP: &str = "
    -- The ID of an application, or `person` for the owner.
    ALTER TABLE memories ADD COLUMN created_by text;
    -- Counting by application reads nothing but this.
    CREATE INDEX memories_scope_id_created_by_idx ON memories (scope_id, created_by, expires_at);
";

const DOWN: &str = "
    DROP INDEX memories_scope_id_created_by_idx;
    ALTER TABLE memories DROP COLUMN created_by;
";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared(UP).await.map(drop)
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared(DOWN).await.map(drop)
    }
}
