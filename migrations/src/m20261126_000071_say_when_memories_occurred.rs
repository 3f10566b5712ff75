//! When something was said or happened may differ from when it was stored, as in an import of old conversations.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::ConnectionTrait;

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20261126_000071_say_when_memories_occurred"
    }
}

const UP: &str = "
    ALTER TABLE memories ADD COLUMN occurred_at bigint;
    -- A list by when things were said reads no more than its page.
    CREATE INDEX memories_scope_id_occurred_id_idx ON memories (scope_id, (COALESCE(occurred_at, created_at)), id);
";

const DOWN: &str = "
    DROP INDEX memories_scope_id_occurred_id_idx;
    ALTER TABLE memories DROP COLUMN occurred_at;
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
