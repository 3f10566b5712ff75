//! One-time links with which people choose a password, one a person.

use sea_orm_migration::prelude::*;

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20261126_000080_create_password_links"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("password_links")
            .col(ColumnDef::new("person_id").uuid().not_null().primary_key())
            .col(ColumnDef::new("digest").blob().not_null())
            .col(ColumnDef::new("purpose").text().not_null())
            .col(ColumnDef::new("sign_in_version").big_integer().not_null())
            .col(ColumnDef::new("created_at").big_integer().not_null())
            .col(ColumnDef::new("expires_at").big_integer().not_null())
            .foreign_key(
                ForeignKey::create()
                    .name("password_links_person_id_fkey")
                    .from("password_links", "person_id")
                    .to("people", "id")
                    .on_delete(ForeignKeyAction::Cascade),
            )
            .take();
        manager.create_table(table).await?;
        let index =
            Index::create().name("password_links_expires_at_idx").table("password_links").col("expires_at").take();
        manager.create_index(index).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("password_links").take()).await?;
        // An older release knows no such event, and would not read the audit log.
        let events =
            Query::delete().from_table("audit_events").and_where(Expr::col("kind").eq("password_link_created")).take();
        manager.execute(events).await
    }
}
