//! Tokens are for the REST API, for MCP, or for both. What was granted before is for the REST API.

use sea_orm_migration::prelude::*;

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20261126_000060_add_audiences_to_authorizations"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let column = ColumnDef::new(Authorizations::Audience).text().not_null().default("api").take();
        manager.alter_table(Table::alter().table(Authorizations::Table).add_column(column).take()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::alter().table(Authorizations::Table).drop_column(Authorizations::Audience).take();
        manager.alter_table(table).await
    }
}

#[derive(DeriveIden)]
enum Authorizations {
    Table,
    Audience,
}
