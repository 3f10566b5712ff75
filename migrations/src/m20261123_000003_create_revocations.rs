//! Revocations of grants and of single access tokens.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20261123_000003_create_revocations"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut table = Table::create()
            .table("revocations")
            // `grant` or `token`
            .col(ColumnDef::new("kind").text().not_null())
            .col(ColumnDef::new("subject_id").uuid().not_null())
            .col(ColumnDef::new("revoked_at").big_integer().not_null())
            .col(ColumnDef::new("keep_until").big_integer().not_null())
            .primary_key(Index::create().col("subject_id").col("kind"))
            .take();
        if manager.get_database_backend() == DbBackend::Sqlite {
            table.extra("WITHOUT ROWID");
        }
        manager.create_table(table).await?;

        for column in ["revoked_at", "keep_until"] {
            let index =
                Index::create().name(format!("revocations_{column}_idx")).table("revocations").col(column).take();
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("revocations").take()).await
    }
}
