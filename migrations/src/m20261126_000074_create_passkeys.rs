//! Passkeys with which people sign in, and the challenges that were used.

use sea_orm_migration::prelude::*;

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20261126_000074_create_passkeys"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let passkeys = Table::create()
            .table("passkeys")
            .col(ColumnDef::new("id").uuid().not_null().primary_key())
            .col(ColumnDef::new("person_id").uuid().not_null())
            .col(ColumnDef::new("credential_id").blob().not_null())
            .col(ColumnDef::new("name").text().not_null())
            .col(ColumnDef::new("credential").text().not_null())
            .col(ColumnDef::new("created_at").big_integer().not_null())
            .col(ColumnDef::new("last_used_at").big_integer())
            .foreign_key(
                ForeignKey::create()
                    .name("passkeys_person_id_fkey")
                    .from("passkeys", "person_id")
                    .to("people", "id")
                    .on_delete(ForeignKeyAction::Cascade),
            )
            .take();
        manager.create_table(passkeys).await?;
        let of_person = Index::create().name("passkeys_person_id_idx").table("passkeys").col("person_id").take();
        manager.create_index(of_person).await?;
        let credential =
            Index::create().name("passkeys_credential_id_key").table("passkeys").col("credential_id").unique().take();
        manager.create_index(credential).await?;
        let spent = Table::create()
            .table("spent_passkey_challenges")
            .col(ColumnDef::new("digest").blob().not_null().primary_key())
            .col(ColumnDef::new("expires_at").big_integer().not_null())
            .take();
        manager.create_table(spent).await?;
        let expired = Index::create()
            .name("spent_passkey_challenges_expires_at_idx")
            .table("spent_passkey_challenges")
            .col("expires_at")
            .take();
        manager.create_index(expired).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("spent_passkey_challenges").take()).await?;
        manager.drop_table(Table::drop().table("passkeys").take()).await?;
        // An older release knows no such events, and would not read the audit log.
        let kinds = ["passkey_added", "passkey_removed", "person_signed_in_with_passkey"];
        let events = Query::delete().from_table("audit_events").and_where(Expr::col("kind").is_in(kinds)).take();
        manager.execute(events).await
    }
}
