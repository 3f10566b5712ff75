//! What applications change in people's memories is counted by day, so that people can be told.

use sea_orm_migration::prelude::*;

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20261127_000100_count_what_applications_do"
    }
}

const TABLE: &str = "audit_events";
const INDEX: &str = "audit_events_daily_counts_idx";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let times = ColumnDef::new("times").big_integer().not_null().default(1).take();
        manager.alter_table(Table::alter().table(TABLE).add_column(times).take()).await?;
        let day = ColumnDef::new("day").big_integer().take();
        manager.alter_table(Table::alter().table(TABLE).add_column(day).take()).await?;
        // A row without a day, or without an application, conflicts with none.
        let index = Index::create()
            .name(INDEX)
            .table(TABLE)
            .col("person_id")
            .col("application_id")
            .col("kind")
            .col("day")
            .unique()
            .take();
        manager.create_index(index).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_index(Index::drop().name(INDEX).table(TABLE).to_owned()).await?;
        // An older release would show them as events.
        let counts = Query::delete().from_table(TABLE).and_where(Expr::col("day").is_not_null()).take();
        manager.execute(counts).await?;
        for column in ["day", "times"] {
            manager.alter_table(Table::alter().table(TABLE).drop_column(column).take()).await?;
        }
        Ok(())
    }
}
