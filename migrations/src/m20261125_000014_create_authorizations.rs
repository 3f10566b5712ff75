//! What people have allowed applications to do, by the grant whose id their tokens carry.

use sea_orm_migration::prelude::*;

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20261125_000014_create_authorizations"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // No foreign keys: a code that is presented again is known as such, and its grant still listed, also when the
        // application has gone.
        let table = Table::create()
            .table("authorizations")
            .col(ColumnDef::new("grant_id").uuid().not_null().primary_key())
            .col(ColumnDef::new("application_id").uuid().not_null())
            .col(ColumnDef::new("person_id").uuid().not_null())
            .col(ColumnDef::new("scope").text().not_null())
            .col(ColumnDef::new("redirect_uri").text().not_null())
            .col(ColumnDef::new("code_challenge").text())
            .col(ColumnDef::new("code_digest").blob().not_null().unique_key())
            .col(ColumnDef::new("created_at").big_integer().not_null())
            .col(ColumnDef::new("code_expires_at").big_integer().not_null())
            .col(ColumnDef::new("redeemed_at").big_integer())
            .col(ColumnDef::new("keep_until").big_integer().not_null())
            .take();
        manager.create_table(table).await?;

        for column in ["person_id", "keep_until"] {
            let index =
                Index::create().name(format!("authorizations_{column}_idx")).table("authorizations").col(column).take();
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("authorizations").take()).await
    }
}
