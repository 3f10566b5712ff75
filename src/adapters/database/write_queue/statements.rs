//! The statements on the queue that are to cost what waits, and not what was delivered.

use sea_orm::sea_query::{Expr, ExprTrait as _, Query, SelectStatement};
use sea_orm::{
    ColumnTrait as _, DbBackend, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _, Select,
};

use super::rows::{FAILED, STORED};
use crate::adapters::database::entities::queued_write::{self, Column};
use crate::domain::memories::MAX_SET_ASIDE;
use crate::domain::system::Timestamp;

/// That a write is pending, as a constant of the statement: for a parameter SQLite does not take the indexes of pending writes.
pub(super) fn is_pending() -> Expr {
    Expr::cust("state = 'pending'")
}

/// Tells SQLite which index to use, behind the name of a table. It has no statistics, and would rather take any index that
/// begins with an equal column, such as those of writes that were delivered long ago.
fn indexed_by(backend: DbBackend, index: &str) -> String {
    if backend == DbBackend::Sqlite { format!("INDEXED BY {index}") } else { String::new() }
}

/// When the first pending write of the tenant is due.
pub(super) fn head_of_line(tenant: &str) -> Select<queued_write::Entity> {
    queued_write::Entity::find()
        .filter(Column::Tenant.eq(tenant))
        .filter(is_pending())
        .filter(Column::SetAside.eq(false))
        .select_only()
        .column(Column::NextAttemptAt)
        .order_by_asc(Column::Position)
        .order_by_asc(Column::RequestId)
        .limit(1)
}

/// The position of the last pending write of the tenant.
pub(super) fn last_of_line(tenant: &str) -> Select<queued_write::Entity> {
    queued_write::Entity::find()
        .filter(Column::Tenant.eq(tenant))
        .filter(is_pending())
        .select_only()
        .column_as(Column::Position.max(), "last")
}

/// The newest pending writes of a tenant.
pub(super) fn newest_of_line(tenant: &str, limit: u32) -> Select<queued_write::Entity> {
    queued_write::Entity::find()
        .filter(Column::Tenant.eq(tenant))
        .filter(is_pending())
        .order_by_desc(Column::Position)
        .order_by_desc(Column::RequestId)
        .limit(u64::from(limit))
}

/// A number that the pending writes of which `condition` holds have.
pub(super) fn select_pending(expression: &'static str, condition: Expr) -> SelectStatement {
    Query::select()
        .expr_as(Expr::cust(expression), "number")
        .from(queued_write::Entity)
        .and_where(is_pending())
        .and_where(condition)
        .take()
}

/// What is swept: delivered and failed writes whose time is over.
pub(super) fn is_over(now: Timestamp) -> Expr {
    Column::State.is_in([STORED, FAILED]).and(Column::KeepUntil.lt(now.unix_millis()))
}

/// Claims the due writes that may be delivered. The subquery is materialized, so that it runs once and its limit holds.
pub(super) fn claim(backend: DbBackend) -> String {
    let lock = if backend == DbBackend::Postgres { "FOR UPDATE OF due SKIP LOCKED" } else { "" };
    let by_time = indexed_by(backend, "queued_writes_pending_next_attempt_at_idx");
    let by_tenant = indexed_by(backend, "queued_writes_pending_tenant_position_idx");
    format!(
        "WITH claimed AS MATERIALIZED (
            SELECT due.request_id FROM queued_writes AS due {by_time}
            WHERE due.state = 'pending' AND due.next_attempt_at <= $3 AND due.lease_until <= $3
                AND (due.set_aside OR NOT EXISTS (
                    SELECT 1 FROM queued_writes AS earlier {by_tenant}
                    WHERE earlier.tenant = due.tenant AND earlier.state = 'pending' AND NOT earlier.set_aside
                        AND earlier.position <= due.position
                        AND (earlier.position < due.position OR earlier.request_id < due.request_id)
                ))
            ORDER BY due.next_attempt_at, due.position
            LIMIT $4 {lock}
        )
        UPDATE queued_writes SET lease_id = $1, lease_until = $2, attempts = attempts + 1
        WHERE request_id IN (SELECT request_id FROM claimed)
        RETURNING *"
    )
}

/// Counts a failure, and whether the memory bank has stored another write since the one before.
pub(super) fn note_failure(backend: DbBackend) -> String {
    let by_time = indexed_by(backend, "queued_writes_stored_stored_at_idx");
    format!(
        "UPDATE queued_writes SET failures = failures + 1, failed_at = $1,
            outvoted = outvoted + CASE WHEN EXISTS (
                SELECT 1 FROM queued_writes AS other {by_time}
                WHERE other.state = 'stored' AND other.stored_at >= queued_writes.failed_at
            ) THEN 1 ELSE 0 END
        WHERE request_id = $2 AND state = 'pending' AND lease_id = $3
        RETURNING failures, outvoted"
    )
}

/// Whether a write that should be set aside is: not if too many of its tenant are already. SQLite has no alias for the table
/// that it updates.
pub(super) fn set_aside_if_few(backend: DbBackend) -> String {
    let by_tenant = indexed_by(backend, "queued_writes_pending_tenant_position_idx");
    format!(
        "queued_writes.set_aside OR (SELECT COUNT(*) FROM queued_writes AS other {by_tenant} WHERE other.tenant = queued_writes.tenant \
            AND other.state = 'pending' AND other.set_aside) < {MAX_SET_ASIDE}"
    )
}

#[cfg(test)]
mod tests {
    use sea_orm::{QueryTrait as _, Statement, Value};
    use uuid::Uuid;

    use super::super::rows::WRITES;
    use super::*;
    use crate::adapters::database::plan::Planner;

    #[tokio::test]
    async fn what_was_delivered_long_ago_costs_nothing() {
        const OF_TENANT: &str = "queued_writes_pending_tenant_position_idx (tenant=?)";
        let planner = Planner::new().await;
        let raw = |sql: String, values| {
            let values = std::iter::repeat_n(Value::from(0_i64), values);
            Statement::from_sql_and_values(DbBackend::Sqlite, sql, values)
        };
        let now = Timestamp::from_unix_millis(0);
        let of_application = select_pending("COUNT(*)", Column::ApplicationId.eq(Uuid::nil()));
        let over = Query::select().column("request_id").from(WRITES).and_where(is_over(now)).take();
        let aside = format!("UPDATE queued_writes SET set_aside = ({})", set_aside_if_few(DbBackend::Sqlite));
        for (statement, table, index) in [
            (head_of_line("t").build(DbBackend::Sqlite), WRITES, OF_TENANT),
            (last_of_line("t").build(DbBackend::Sqlite), WRITES, OF_TENANT),
            (newest_of_line("t", 10).build(DbBackend::Sqlite), WRITES, OF_TENANT),
            (
                DbBackend::Sqlite.build(&of_application),
                WRITES,
                "queued_writes_pending_application_id_idx (application_id=?)",
            ),
            (DbBackend::Sqlite.build(&over), WRITES, "queued_writes_state_keep_until_idx (state=? AND keep_until<?)"),
            (raw(claim(DbBackend::Sqlite), 4), "due", "queued_writes_pending_next_attempt_at_idx (next_attempt_at<?)"),
            (
                raw(claim(DbBackend::Sqlite), 4),
                "earlier",
                "queued_writes_pending_tenant_position_idx (tenant=? AND position<?)",
            ),
            (raw(note_failure(DbBackend::Sqlite), 3), "other", "queued_writes_stored_stored_at_idx (stored_at>?)"),
            (raw(aside, 0), "other", OF_TENANT),
        ] {
            assert_eq!(planner.reads(&statement, table).await, [format!("SEARCH {table} USING INDEX {index}")]);
        }
    }
}
