//! Sessions of browsers, by the digest of their tokens.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20261125_000013_create_sessions"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut table = Table::create()
            .table("sessions")
            .col(ColumnDef::new("id").blob().not_null().primary_key())
            .col(ColumnDef::new("person_id").uuid().not_null())
            .col(ColumnDef::new("signed_in_at").big_integer().not_null())
            .col(ColumnDef::new("expires_at").big_integer().not_null())
            .foreign_key(
                ForeignKey::create()
                    .name("sessions_person_id_fkey")
                    .from("sessions", "person_id")
                    .to("people", "id")
                    .on_delete(ForeignKeyAction::Cascade),
            )
            .take();
        if manager.get_database_backend() == DbBackend::Sqlite {
            // The row lives in the index of its key: one tree to write instead of two.
            table.extra("WITHOUT ROWID");
        }
        manager.create_table(table).await?;

        for column in ["person_id", "expires_at"] {
            let index = Index::create().name(format!("sessions_{column}_idx")).table("sessions").col(column).take();
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("sessions").take()).await
    }
}
