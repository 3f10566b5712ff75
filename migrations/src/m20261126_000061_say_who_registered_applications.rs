//! Applications that nobody registered: described by a document, or registered by themselves. All that were there are the
//! operator's.

use sea_orm_migration::prelude::*;

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20261126_000061_say_who_registered_applications"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // SQLite adds one column at a time.
        let registered_by = ColumnDef::new("registered_by").text().not_null().default("operator").take();
        let confirmed_at = ColumnDef::new("document_confirmed_at").big_integer().take();
        for column in [registered_by, confirmed_at] {
            manager.alter_table(Table::alter().table("applications").add_column(column).take()).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in ["document_confirmed_at", "registered_by"] {
            manager.alter_table(Table::alter().table("applications").drop_column(column).take()).await?;
        }
        Ok(())
    }
}
