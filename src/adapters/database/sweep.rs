//! Deletes expired rows in small batches.

use sea_orm::sea_query::{Expr, ExprTrait, LockBehavior, LockType, Query, SimpleExpr};
use sea_orm::{ConnectionTrait, DbErr};

/// Deletes at most `limit` rows that are `due`. Returns how many. Rows locked by another sweep are skipped (SKIP LOCKED), so
/// that instances that sweep at the same time do not wait for each other.
pub(super) async fn sweep<C: ConnectionTrait>(
    connection: &C,
    table: &'static str,
    key: &[&'static str],
    due: SimpleExpr,
    limit: u32,
) -> Result<u64, DbErr> {
    let some = Query::select()
        .columns(key.iter().copied())
        .from(table)
        .and_where(due)
        .limit(u64::from(limit))
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
        .take();
    let columns = Expr::tuple(key.iter().map(|column| Expr::col(*column)));
    let delete = Query::delete().from_table(table).and_where(columns.in_subquery(some)).take();
    Ok(connection.execute(&delete).await?.rows_affected())
}
