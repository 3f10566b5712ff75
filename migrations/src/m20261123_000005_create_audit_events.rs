//! Audit events that have to outlive the log.

use sea_orm_migration::prelude::*;

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20261123_000005_create_audit_events"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // No foreign key: an event stays when its application goes.
        let table = Table::create()
            .table("audit_events")
            .col(ColumnDef::new("id").big_integer().not_null().auto_increment().primary_key())
            .col(ColumnDef::new("kind").text().not_null())
            .col(ColumnDef::new("happened_at").big_integer().not_null())
            .col(ColumnDef::new("application_id").uuid())
            .col(ColumnDef::new("grant_id").uuid())
            .col(ColumnDef::new("request_id").uuid())
            .take();
        manager.create_table(table).await?;

        let by_time = Index::create()
            .name("audit_events_happened_at_id_idx")
            .table("audit_events")
            .col("happened_at")
            .col("id")
            .take();
        manager.create_index(by_time).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("audit_events").take()).await
    }
}
