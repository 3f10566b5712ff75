//! What the queue needs to forget a write together with its memory, and to tell a memory that cannot be stored from a bank
//! that stores nothing.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{ConnectionTrait, DbBackend};

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20261126_000030_find_queued_writes_by_memory"
    }
}

const INDEXES: &str = "
    CREATE INDEX queued_writes_tenant_memory_id_idx ON queued_writes (tenant, memory_id);
    CREATE INDEX queued_writes_stored_stored_at_idx ON queued_writes (stored_at) WHERE state = 'stored';
    CREATE INDEX queued_writes_pending_application_id_idx ON queued_writes (application_id) WHERE state = 'pending';
";

/// The ids of the memories that are there, out of their JSON.
fn fill(backend: DbBackend) -> String {
    let id = if backend == DbBackend::Postgres {
        "CAST(COALESCE(stored_memory, memory) AS json) ->> 'id'"
    } else {
        "json_extract(COALESCE(stored_memory, memory), '$.id')"
    };
    format!("UPDATE queued_writes SET memory_id = {id}, failed_at = accepted_at")
}

/// The new columns, in the order in which they are added.
fn columns() -> [ColumnDef; 6] {
    [
        // The id of the stored memory; before that, the one that the write proposes.
        ColumnDef::new("memory_id").text().take(),
        ColumnDef::new("stored_at").big_integer().take(),
        // How often the bank failed at it; how often of these it had stored another since the failure before.
        ColumnDef::new("failures").big_integer().not_null().default(0).take(),
        ColumnDef::new("outvoted").big_integer().not_null().default(0).take(),
        ColumnDef::new("failed_at").big_integer().not_null().default(0).take(),
        // The later writes of its tenant do not wait for it.
        ColumnDef::new("set_aside").boolean().not_null().default(false).take(),
    ]
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // SQLite adds one column at a time.
        for mut column in columns() {
            manager.alter_table(Table::alter().table("queued_writes").add_column(&mut column).take()).await?;
        }
        let connection = manager.get_connection();
        connection.execute_unprepared(&fill(connection.get_database_backend())).await?;
        connection.execute_unprepared(INDEXES).await.map(drop)
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // A release without these columns does not know these kinds, and would refuse to read the audit log.
        let kinds = ["queued_write_retried", "queued_write_dropped"];
        let unknown = Query::delete().from_table("audit_events").and_where(Expr::col("kind").is_in(kinds)).take();
        manager.execute(unknown).await?;
        for index in [
            "queued_writes_pending_application_id_idx",
            "queued_writes_stored_stored_at_idx",
            "queued_writes_tenant_memory_id_idx",
        ] {
            manager.get_connection().execute_unprepared(&format!("DROP INDEX {index}")).await?;
        }
        for column in columns().iter().rev() {
            let table = Table::alter().table("queued_writes").drop_column(column.get_column_name()).take();
            manager.alter_table(table).await?;
        }
        Ok(())
    }
}
