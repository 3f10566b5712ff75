//! Whether the authorization requests of an application must use PKCE.

use sea_orm_migration::prelude::*;

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20261125_000015_add_pkce_to_applications"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // `required` or `optional`
        let pkce = ColumnDef::new("pkce").text().not_null().default("required").take();
        manager.alter_table(Table::alter().table("applications").add_column(pkce).take()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // A release without it knows neither this grant nor this kind of redirect URI, and refuses rows that hold them.
        for (column, item) in [("grants", "authorization_code"), ("redirect_uris", "gpt-callback")] {
            for part in [format!(r#""{item}","#), format!(r#","{item}""#), format!(r#""{item}""#)] {
                let statement = format!("UPDATE applications SET {column} = REPLACE({column}, '{part}', '')");
                manager.get_connection().execute_unprepared(&statement).await?;
            }
        }
        manager.alter_table(Table::alter().table("applications").drop_column("pkce").take()).await
    }
}
