//! Writes that were accepted for a memory bank, and what became of them.

use sea_orm_migration::prelude::*;

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20261123_000006_create_queued_writes"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("queued_writes")
            .col(ColumnDef::new("request_id").uuid().not_null().primary_key())
            .col(ColumnDef::new("application_id").uuid().not_null())
            .col(ColumnDef::new("space").text().not_null())
            .col(ColumnDef::new("person_id").uuid())
            // Space and person in one text: a NULL person would be different from itself in the index below.
            .col(ColumnDef::new("tenant").text().not_null())
            .col(ColumnDef::new("idempotency_key").text())
            .col(ColumnDef::new("fingerprint").blob().not_null())
            .col(ColumnDef::new("memory").text().not_null())
            .col(ColumnDef::new("accepted_at").big_integer().not_null())
            .col(ColumnDef::new("keep_until").big_integer().not_null())
            // `pending`, `stored` or `failed`
            .col(ColumnDef::new("state").text().not_null())
            .col(ColumnDef::new("stored_memory").text())
            .col(ColumnDef::new("failure").text())
            .take();
        manager.create_table(table).await?;

        // Writes without a key never meet: NULL is not equal to NULL.
        let one_of_a_key = Index::create()
            .name("queued_writes_application_id_tenant_idempotency_key_idx")
            .table("queued_writes")
            .col("application_id")
            .col("tenant")
            .col("idempotency_key")
            .unique()
            .take();
        manager.create_index(one_of_a_key).await?;

        let by_state = Index::create()
            .name("queued_writes_state_keep_until_idx")
            .table("queued_writes")
            .col("state")
            .col("keep_until")
            .take();
        manager.create_index(by_state).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("queued_writes").take()).await
    }
}
