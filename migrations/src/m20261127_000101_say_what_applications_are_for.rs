//! What the tokens of an application are for if it does not say: the REST API, as before, or MCP.

use sea_orm_migration::prelude::*;

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20261127_000101_say_what_applications_are_for"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let default_resource = ColumnDef::new("default_resource").text().not_null().default("api").take();
        manager.alter_table(Table::alter().table("applications").add_column(default_resource).take()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.alter_table(Table::alter().table("applications").drop_column("default_resource").take()).await
    }
}
