//! Whose revocations there are, and when all tokens of an application were ended because there were too many.

use sea_orm_migration::prelude::*;

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20261126_000022_bound_revocations"
    }
}

const INDEX: &str = "revocations_application_id_idx";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let ended = ColumnDef::new("tokens_ended_at").big_integer().take();
        manager.alter_table(Table::alter().table("applications").add_column(ended).take()).await?;
        // NULL: recorded for a person, or before there was the column.
        let application = ColumnDef::new("application_id").uuid().take();
        manager.alter_table(Table::alter().table("revocations").add_column(application).take()).await?;
        manager.create_index(Index::create().name(INDEX).table("revocations").col("application_id").take()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared(&format!("DROP INDEX {INDEX}")).await?;
        manager.alter_table(Table::alter().table("revocations").drop_column("application_id").take()).await?;
        manager.alter_table(Table::alter().table("applications").drop_column("tokens_ended_at").take()).await
    }
}
