//! What delivering queued writes in the background needs: an order, leases and attempts.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::ConnectionTrait;

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20261123_000011_make_the_queue_durable"
    }
}

const INDEXES: &str = "
    CREATE INDEX queued_writes_pending_tenant_position_idx ON queued_writes (tenant, position) WHERE state = 'pending';
    CREATE INDEX queued_writes_pending_next_attempt_at_idx ON queued_writes (next_attempt_at) WHERE state = 'pending';
    CREATE INDEX queued_writes_failed_accepted_at_idx ON queued_writes (accepted_at) WHERE state = 'failed';
";

/// The new columns, in the order in which they are added.
fn columns() -> [ColumnDef; 6] {
    [
        // Grows in the order in which the pending writes of a tenant were accepted.
        ColumnDef::new("position").big_integer().not_null().default(0).take(),
        // Whatever is there already may have been sent once.
        ColumnDef::new("attempts").big_integer().not_null().default(1).take(),
        ColumnDef::new("next_attempt_at").big_integer().not_null().default(0).take(),
        ColumnDef::new("lease_id").uuid().take(),
        ColumnDef::new("lease_until").big_integer().not_null().default(0).take(),
        ColumnDef::new("last_error").text().take(),
    ]
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // SQLite adds one column at a time.
        for mut column in columns() {
            manager.alter_table(Table::alter().table("queued_writes").add_column(&mut column).take()).await?;
        }
        manager.get_connection().execute_unprepared(INDEXES).await.map(drop)
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for index in [
            "queued_writes_failed_accepted_at_idx",
            "queued_writes_pending_next_attempt_at_idx",
            "queued_writes_pending_tenant_position_idx",
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
