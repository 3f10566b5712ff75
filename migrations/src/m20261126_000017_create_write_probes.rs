//! A row that is written to learn whether the database can write.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20261126_000017_create_write_probes"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("write_probes")
            .col(ColumnDef::new("id").integer().not_null().primary_key())
            .col(ColumnDef::new("filler").text().not_null())
            .take();
        manager.create_table(table).await?;
        if manager.get_database_backend() == DbBackend::Postgres {
            // As long on disk as it is: not compressed.
            let plain = "ALTER TABLE write_probes ALTER COLUMN filler SET STORAGE EXTERNAL";
            manager.get_connection().execute_unprepared(plain).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("write_probes").take()).await
    }
}
