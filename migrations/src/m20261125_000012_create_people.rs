//! People who sign in: with a login and a password, or through an identity provider.

use sea_orm_migration::prelude::*;

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20261125_000012_create_people"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("people")
            .col(ColumnDef::new("id").uuid().not_null().primary_key())
            // `local`, which has the next two columns, or `external`, which has the three after those.
            .col(ColumnDef::new("kind").text().not_null())
            .col(ColumnDef::new("login").text().unique_key())
            .col(ColumnDef::new("password_hash").text())
            .col(ColumnDef::new("issuer").text())
            .col(ColumnDef::new("subject").text())
            .col(ColumnDef::new("label").text())
            .col(ColumnDef::new("enabled").boolean().not_null())
            .col(ColumnDef::new("created_at").big_integer().not_null())
            .col(ColumnDef::new("updated_at").big_integer().not_null())
            .take();
        manager.create_table(table).await?;

        // Of two first visits at the same time, one makes the account.
        let one_of_an_identity = Index::create()
            .name("people_issuer_subject_idx")
            .table("people")
            .col("issuer")
            .col("subject")
            .unique()
            .take();
        manager.create_index(one_of_an_identity).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("people").take()).await
    }
}
