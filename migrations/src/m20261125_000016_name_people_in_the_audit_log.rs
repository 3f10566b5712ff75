//! Which person an audit event is about, for the kinds of events that are about people.

use sea_orm_migration::prelude::*;

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20261125_000016_name_people_in_the_audit_log"
    }
}

/// The kinds of events that came with the column.
const KINDS: [&str; 9] = [
    "person_created",
    "person_enabled",
    "person_disabled",
    "person_deleted",
    "password_changed",
    "person_signed_in",
    "authorization_granted",
    "authorization_ended",
    "authorization_code_reused",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // No foreign key: an event stays when its person goes.
        let column = ColumnDef::new("person_id").uuid().take();
        manager.alter_table(Table::alter().table("audit_events").add_column(column).take()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // A release that cannot name people does not know these kinds, and would refuse to read the log.
        let of_people = Query::delete().from_table("audit_events").and_where(Expr::col("kind").is_in(KINDS)).take();
        manager.execute(of_people).await?;
        manager.alter_table(Table::alter().table("audit_events").drop_column("person_id").take()).await
    }
}
