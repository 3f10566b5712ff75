//! Which proofs of a person still count.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{ConnectionTrait, DbBackend};

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20261126_000020_version_sign_ins"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let version = ColumnDef::new("sign_in_version").big_integer().not_null().default(0).take();
        manager.alter_table(Table::alter().table("people").add_column(version).take()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.alter_table(Table::alter().table("people").drop_column("sign_in_version").take()).await?;
        // A release without this migration cannot open signing keys that are sealed in the format 2, and would not start.
        // Without them it makes new ones; the tokens that they signed are refused.
        let format = match manager.get_database_backend() {
            DbBackend::Postgres => "get_byte(sealed, 0) = 2",
            _ => "substr(sealed, 1, 1) = x'02'",
        };
        let delete = format!("DELETE FROM signing_keys WHERE {format}");
        manager.get_connection().execute_unprepared(&delete).await.map(drop)
    }
}
