//! Every tenant of which memories were ever stored, so that nothing is left behind when its owner goes.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{ConnectionTrait, DbBackend};

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20261126_000021_create_memory_tenants"
    }
}

/// What is known of existing databases: memories of the embedded bank, writes on their way, and, for banks elsewhere,
/// everybody in the space of every application. `{hyphenated}` is the id of a person as text, `{person_of_tenant}` the id at
/// the end of a tenant.
const FILL: [&str; 4] = [
    "INSERT INTO memory_tenants (tenant, space, person_id) \
     SELECT DISTINCT space || '/app', space, {null} FROM applications WHERE true ON CONFLICT DO NOTHING",
    "INSERT INTO memory_tenants (tenant, space, person_id) \
     SELECT DISTINCT a.space || '/user/' || {hyphenated}, a.space, p.id FROM applications a CROSS JOIN people p \
     WHERE true ON CONFLICT DO NOTHING",
    "INSERT INTO memory_tenants (tenant, space, person_id) \
     SELECT DISTINCT tenant, space, person_id FROM queued_writes WHERE true ON CONFLICT DO NOTHING",
    "INSERT INTO memory_tenants (tenant, space, person_id) \
     SELECT tenant, {space_of_tenant}, {person_of_tenant} FROM memory_scopes WHERE true ON CONFLICT DO NOTHING",
];

const SQLITE: [(&str, &str); 4] = [
    ("{null}", "NULL"),
    (
        "{hyphenated}",
        "lower(substr(hex(p.id), 1, 8) || '-' || substr(hex(p.id), 9, 4) || '-' || substr(hex(p.id), 13, 4) || '-' || \
         substr(hex(p.id), 17, 4) || '-' || substr(hex(p.id), 21))",
    ),
    ("{space_of_tenant}", "substr(tenant, 1, instr(tenant, '/') - 1)"),
    (
        "{person_of_tenant}",
        "CASE WHEN instr(tenant, '/user/') > 0 \
         THEN unhex(replace(substr(tenant, instr(tenant, '/user/') + 6), '-', '')) END",
    ),
];

const POSTGRES: [(&str, &str); 4] = [
    ("{null}", "CAST(NULL AS uuid)"),
    ("{hyphenated}", "CAST(p.id AS text)"),
    ("{space_of_tenant}", "split_part(tenant, '/', 1)"),
    (
        "{person_of_tenant}",
        "CASE WHEN split_part(tenant, '/', 2) = 'user' THEN CAST(split_part(tenant, '/', 3) AS uuid) END",
    ),
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("memory_tenants")
            // Space and person in one text, as banks know them.
            .col(ColumnDef::new("tenant").text().not_null().primary_key())
            .col(ColumnDef::new("space").text().not_null())
            .col(ColumnDef::new("person_id").uuid())
            // When everything of it was deleted; NULL while it is open.
            .col(ColumnDef::new("closed_at").big_integer())
            // When it is to be looked at whether anything came after that.
            .col(ColumnDef::new("check_at").big_integer())
            .take();
        manager.create_table(table).await?;
        for column in ["space", "person_id", "check_at"] {
            let index =
                Index::create().name(format!("memory_tenants_{column}_idx")).table("memory_tenants").col(column).take();
            manager.create_index(index).await?;
        }
        let words = if manager.get_database_backend() == DbBackend::Sqlite { SQLITE } else { POSTGRES };
        for statement in FILL {
            let statement =
                words.iter().fold(statement.to_owned(), |statement, (name, sql)| statement.replace(name, sql));
            manager.get_connection().execute_unprepared(&statement).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("memory_tenants").take()).await
    }
}
