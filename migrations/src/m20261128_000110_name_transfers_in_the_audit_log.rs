//! Kinds of audit events for memories that an operator exports and imports. Nothing changes in the schema: the migration is
//! there to be undone.

use sea_orm_migration::prelude::*;

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20261128_000110_name_transfers_in_the_audit_log"
    }
}

/// The kinds of events that are new.
const KINDS: [&str; 2] = ["memories_exported", "memories_imported"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // The release before does not know these kinds, and would refuse to read the log.
        let new = Query::delete().from_table("audit_events").and_where(Expr::col("kind").is_in(KINDS)).take();
        manager.execute(new).await
    }
}
