//! Whether the authorization requests of an application must use PKCE.

use sea_orm_migration::prelude::*;

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20261125_000015_add_pkce_to_applications"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // `required` or `optional`
        let pkce = ColumnDef::new("pkce").text().not_null().default("required").take();
        manager.alter_table(Table::alter().table("applications").add_column(pkce).take()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.alter_table(Table::alter().table("applications").drop_column("pkce").take()).await
    }
}
