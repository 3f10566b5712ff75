//! Uses of refresh tokens: a row is born when a token is used, and dies with the token.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20261123_000002_create_consumed_refresh_tokens"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut table = Table::create()
            .table("consumed_refresh_tokens")
            .col(ColumnDef::new("token_id").uuid().not_null().primary_key())
            .col(ColumnDef::new("grant_id").uuid().not_null())
            .col(ColumnDef::new("successor_id").uuid().not_null())
            .col(ColumnDef::new("consumed_at").big_integer().not_null())
            .col(ColumnDef::new("keep_until").big_integer().not_null())
            .take();
        if manager.get_database_backend() == DbBackend::Sqlite {
            // The row lives in the index of its key: one tree to write instead of two.
            table.extra("WITHOUT ROWID");
        }
        manager.create_table(table).await?;

        let by_keep_until = Index::create()
            .name("consumed_refresh_tokens_keep_until_idx")
            .table("consumed_refresh_tokens")
            .col("keep_until")
            .take();
        manager.create_index(by_keep_until).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("consumed_refresh_tokens").take()).await
    }
}
