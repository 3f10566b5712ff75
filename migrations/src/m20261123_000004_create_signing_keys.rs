//! Signing keys, sealed with the master key.

use sea_orm_migration::prelude::*;

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20261123_000004_create_signing_keys"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("signing_keys")
            .col(ColumnDef::new("id").text().not_null().primary_key())
            .col(ColumnDef::new("purpose").text().not_null())
            .col(ColumnDef::new("algorithm").text().not_null())
            .col(ColumnDef::new("generation").big_integer().not_null())
            .col(ColumnDef::new("sealed").blob().not_null())
            .col(ColumnDef::new("created_at").big_integer().not_null())
            .col(ColumnDef::new("activates_at").big_integer().not_null())
            .col(ColumnDef::new("retired_at").big_integer())
            .take();
        manager.create_table(table).await?;

        // Of two instances that make the next key at the same time, one succeeds.
        let one_of_a_generation = Index::create()
            .name("signing_keys_purpose_generation_idx")
            .table("signing_keys")
            .col("purpose")
            .col("generation")
            .unique()
            .take();
        manager.create_index(one_of_a_generation).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("signing_keys").take()).await
    }
}
