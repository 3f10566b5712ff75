//! Accepts writes into the queue: in order, bounded, exactly once.

use sea_orm::sea_query::{Expr, ExprTrait as _, OnConflict, Query, SelectStatement};
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, DbBackend, DbErr, EntityTrait, QueryFilter, Statement};

use super::rows::new_row;
use super::statements::{head_of_line, is_pending, last_of_line, select_pending};
use crate::adapters::database::entities::queued_write;
use crate::adapters::database::entities::queued_write::Column;
use crate::adapters::database::handle::Database;
use crate::domain::memories::{DeliveryOrder, Dispatch, Lease, QueuedWrite};

/// The advisory lock on PostgreSQL for counting and inserting when the queue is nearly full.
const NEARLY_FULL_LOCK: i64 = 0x6d65_6d67_6174_6511;
/// The seed of the per-tenant locks, so that they do not collide with others.
const TENANT_LOCK_SEED: i64 = 0x6d65_6d67_6174_6512;
/// With more free places than this, writers need not be serialized: fewer transactions are open at a time.
const AMPLE_ROOM: u32 = 1_024;

/// The outcome of one attempt.
pub(super) enum AcceptAttempt {
    Inserted(Dispatch),
    /// A write with the same key exists.
    Known(Box<queued_write::Model>),
    /// It existed when this one was to be inserted, and was gone a moment later.
    Gone,
    Full,
}

/// Tries once to accept a write.
pub(super) async fn try_accept(
    database: &Database,
    write: &QueuedWrite,
    order: DeliveryOrder,
    lease: Lease,
) -> Result<AcceptAttempt, DbErr> {
    match order {
        DeliveryOrder::Unordered => {
            let writer = database.writer();
            if insert(writer, write, 0, Some(lease)).await? {
                return Ok(AcceptAttempt::Inserted(Dispatch::Claimed));
            }
            Ok(find_same(writer, write)
                .await?
                .map_or(AcceptAttempt::Gone, |known| AcceptAttempt::Known(Box::new(known))))
        }
        DeliveryOrder::Fifo { capacity } => try_enqueue(database, write, capacity, lease).await,
    }
}

/// Accepts a write behind those of its tenant.
async fn try_enqueue(
    database: &Database,
    write: &QueuedWrite,
    capacity: u32,
    lease: Lease,
) -> Result<AcceptAttempt, DbErr> {
    let transaction = database.begin().await?;
    lock_tenant(&transaction, write).await?;
    // Before the capacity is checked: a duplicate needs none.
    if write.idempotency_key.is_some()
        && let Some(known) = find_same(&transaction, write).await?
    {
        return Ok(AcceptAttempt::Known(Box::new(known)));
    }
    if !has_room(&transaction, capacity, write).await? {
        return Ok(AcceptAttempt::Full);
    }
    let head: Option<i64> = head_of_line(&write.scope.tenant()).into_tuple().one(&transaction).await?;
    let dispatch = match head {
        None => Dispatch::Claimed,
        Some(next_attempt_at) if next_attempt_at > write.accepted_at.unix_millis() => Dispatch::Deferred,
        Some(_) => Dispatch::Queued,
    };
    let position = end_of_line(&transaction, &write.scope.tenant()).await?;
    if !insert(&transaction, write, position, (dispatch == Dispatch::Claimed).then_some(lease)).await? {
        let known = find_same(&transaction, write).await?;
        return Ok(known.map_or(AcceptAttempt::Gone, |known| AcceptAttempt::Known(Box::new(known))));
    }
    transaction.commit().await?;
    Ok(AcceptAttempt::Inserted(dispatch))
}

/// The position behind all pending writes of the tenant.
pub(super) async fn end_of_line<C: ConnectionTrait>(connection: &C, tenant: &str) -> Result<i64, DbErr> {
    let last: Option<Option<i64>> = last_of_line(tenant).into_tuple().one(connection).await?;
    Ok(last.flatten().unwrap_or(0) + 1)
}

/// Serializes changes to the order of a tenant's writes. SQLite serializes all writers anyway.
pub(super) async fn lock_tenant_named<C: ConnectionTrait>(connection: &C, tenant: &str) -> Result<(), DbErr> {
    if connection.get_database_backend() != DbBackend::Postgres {
        return Ok(());
    }
    let sql = "SELECT pg_advisory_xact_lock(hashtextextended($1, $2))";
    let values = [tenant.to_owned().into(), TENANT_LOCK_SEED.into()];
    connection.execute_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, values)).await.map(drop)
}

async fn lock_tenant<C: ConnectionTrait>(connection: &C, write: &QueuedWrite) -> Result<(), DbErr> {
    lock_tenant_named(connection, &write.scope.tenant()).await
}

/// Whether there is room for the write. When room is scarce, callers are serialized.
async fn has_room<C: ConnectionTrait>(connection: &C, capacity: u32, write: &QueuedWrite) -> Result<bool, DbErr> {
    let mut pending = count_pending(connection, capacity).await?;
    let half = half_of(i64::from(capacity));
    // Those of a person are in the same tenant, so nobody else is counting or adding them.
    if pending >= half && write.scope.person().is_some() && count_of_person(connection, write).await? >= half {
        return Ok(false);
    }
    if pending.saturating_add(i64::from(AMPLE_ROOM)) < i64::from(capacity) {
        return Ok(true);
    }
    if connection.get_database_backend() == DbBackend::Postgres {
        let lock = Statement::from_sql_and_values(
            DbBackend::Postgres,
            "SELECT pg_advisory_xact_lock($1)",
            [NEARLY_FULL_LOCK.into()],
        );
        connection.execute_raw(lock).await?;
        pending = count_pending(connection, capacity).await?;
    }
    Ok(pending < i64::from(capacity) || has_share(connection, capacity, write).await?)
}

/// Half of a number of places, rounded up: of a single one a person can have all.
fn half_of(places: i64) -> i64 {
    places - places / 2
}

/// Whether the application has less than its share of the capacity, and the person less than half of it. What another person
/// has beyond that half is left out.
async fn has_share<C: ConnectionTrait>(connection: &C, capacity: u32, write: &QueuedWrite) -> Result<bool, DbErr> {
    let application = write.application_id;
    let of_others = select_pending("COUNT(DISTINCT application_id)", Column::ApplicationId.ne(application.as_uuid()));
    let share = i64::from(capacity) / (number(connection, of_others).await? + 1);
    let half = half_of(share);
    if write.scope.person().is_some() && count_of_person(connection, write).await? >= half {
        return Ok(false);
    }
    let is_own = Column::ApplicationId.eq(application.as_uuid());
    let own = number(connection, select_pending("COUNT(*)", is_own.clone())).await?;
    if own < share {
        return Ok(true);
    }
    let mut of_people = select_pending("COUNT(*)", is_own.and(Column::PersonId.is_not_null()));
    of_people.group_by_col(Column::PersonId).and_having(Expr::cust("COUNT(*)").gt(half));
    let mut beyond = 0;
    for row in connection.query_all(&of_people).await? {
        beyond += row.try_get::<i64>("", "number")? - half;
    }
    Ok(own - beyond < share)
}

/// Number of pending writes of the application for the person.
async fn count_of_person<C: ConnectionTrait>(connection: &C, write: &QueuedWrite) -> Result<i64, DbErr> {
    let of_person =
        Column::Tenant.eq(write.scope.tenant()).and(Column::ApplicationId.eq(write.application_id.as_uuid()));
    number(connection, select_pending("COUNT(*)", of_person)).await
}

async fn number<C: ConnectionTrait>(connection: &C, select: SelectStatement) -> Result<i64, DbErr> {
    let row = connection.query_one(&select).await?;
    row.map_or(Ok(0_i64), |row| row.try_get("", "number"))
}

/// Number of pending writes; those beyond `limit` are not counted.
async fn count_pending<C: ConnectionTrait>(connection: &C, limit: u32) -> Result<i64, DbErr> {
    let some = Query::select()
        .expr(Expr::value(1))
        .from(queued_write::Entity)
        .and_where(is_pending())
        .limit(u64::from(limit))
        .take();
    let count = Query::select().expr_as(Expr::cust("COUNT(*)"), "pending").from_subquery(some, "some").take();
    let row = connection.query_one(&count).await?;
    row.map_or(Ok(0), |row| row.try_get("", "pending"))
}

/// Inserts the write, unless one with the same key exists.
async fn insert<C: ConnectionTrait>(
    connection: &C,
    write: &QueuedWrite,
    position: i64,
    lease: Option<Lease>,
) -> Result<bool, DbErr> {
    let inserted = queued_write::Entity::insert(new_row(write, position, lease))
        .on_conflict(OnConflict::new().do_nothing().to_owned())
        .exec_without_returning(connection)
        .await?;
    Ok(inserted > 0)
}

/// The write with the same request ID, or with the same key, application and scope. Read from the writer connection, where
/// the conflict was seen.
async fn find_same<C: ConnectionTrait>(
    connection: &C,
    write: &QueuedWrite,
) -> Result<Option<queued_write::Model>, DbErr> {
    let of_key = write.idempotency_key.as_ref().map(|key| {
        Condition::all()
            .add(Column::ApplicationId.eq(write.application_id.as_uuid()))
            .add(Column::Tenant.eq(write.scope.tenant()))
            .add(Column::IdempotencyKey.eq(key.as_str()))
    });
    let same = Condition::any().add(Column::RequestId.eq(write.request_id.as_uuid())).add_option(of_key);
    queued_write::Entity::find().filter(same).one(connection).await
}
