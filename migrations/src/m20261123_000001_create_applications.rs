//! Applications and their secrets.
//!
//! What only ever is read and written together with its application (permissions, grants, URIs, categories) is a JSON
//! array in it; secrets have a life of their own and a table of their own.

use sea_orm_migration::prelude::*;

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20261123_000001_create_applications"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let applications = Table::create()
            .table("applications")
            .col(ColumnDef::new("id").uuid().not_null().primary_key())
            .col(ColumnDef::new("client_id").text().not_null().unique_key())
            .col(ColumnDef::new("name").text().not_null())
            .col(ColumnDef::new("kind").text().not_null())
            .col(ColumnDef::new("permissions").text().not_null())
            .col(ColumnDef::new("grants").text().not_null())
            .col(ColumnDef::new("redirect_uris").text().not_null())
            .col(ColumnDef::new("space").text().not_null())
            // NULL: every category.
            .col(ColumnDef::new("categories").text())
            .col(ColumnDef::new("rate_limit").big_integer())
            .col(ColumnDef::new("access_token_ttl").big_integer())
            .col(ColumnDef::new("refresh_token_ttl").big_integer())
            .col(ColumnDef::new("enabled").boolean().not_null())
            .col(ColumnDef::new("created_at").big_integer().not_null())
            .col(ColumnDef::new("updated_at").big_integer().not_null())
            .take();
        manager.create_table(applications).await?;

        let secrets = Table::create()
            .table("application_secrets")
            .col(ColumnDef::new("id").uuid().not_null().primary_key())
            .col(ColumnDef::new("application_id").uuid().not_null())
            // Tells which of two secrets of one moment is older.
            .col(ColumnDef::new("position").big_integer().not_null())
            .col(ColumnDef::new("hint").text().not_null())
            .col(ColumnDef::new("hash").text().not_null())
            .col(ColumnDef::new("created_at").big_integer().not_null())
            .col(ColumnDef::new("expires_at").big_integer())
            .col(ColumnDef::new("last_used_at").big_integer())
            .foreign_key(
                ForeignKey::create()
                    .name("application_secrets_application_id_fkey")
                    .from("application_secrets", "application_id")
                    .to("applications", "id")
                    .on_delete(ForeignKeyAction::Cascade),
            )
            .take();
        manager.create_table(secrets).await?;

        let by_application = Index::create()
            .name("application_secrets_application_id_position_idx")
            .table("application_secrets")
            .col("application_id")
            .col("position")
            .unique()
            .take();
        manager.create_index(by_application).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("application_secrets").take()).await?;
        manager.drop_table(Table::drop().table("applications").take()).await
    }
}
