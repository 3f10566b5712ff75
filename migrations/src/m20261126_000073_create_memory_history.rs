//! What happened to memories: who changed them, and what they superseded.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{ConnectionTrait, DbBackend};

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20261126_000073_create_memory_history"
    }
}

/// A superseded memory is here and nowhere else: nothing that reads `memories` has to know of it, and it goes with the one
/// that took its place.
const COLUMNS: &str = "
        -- The memory as it is now.
        seq bigint NOT NULL REFERENCES memories (seq) ON DELETE CASCADE,
        happened_at bigint NOT NULL,
        -- The ID of an application, `person` for the owner, or unknown.
        actor text,
        -- `updated` or `superseded`
        kind text NOT NULL,
        -- The names of the members that were changed, or the superseded memory, as JSON.
        body text NOT NULL,
        -- The length of the body.
        bytes bigint NOT NULL,
        -- When the superseded memory expires.
        expires_at bigint
    );
    CREATE INDEX memory_history_seq_id_idx ON memory_history (seq, id, bytes);
    CREATE INDEX memory_history_expires_at_idx ON memory_history (expires_at) WHERE expires_at IS NOT NULL;
";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // Grows in the order in which things happened.
        let id = match manager.get_database_backend() {
            DbBackend::Sqlite => "id integer PRIMARY KEY AUTOINCREMENT",
            _ => "id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
        };
        let table = format!("CREATE TABLE memory_history ({id},{COLUMNS}");
        manager.get_connection().execute_unprepared(&table).await.map(drop)
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("memory_history").take()).await
    }
}
