//! Tenants of memories.

use async_trait::async_trait;
use sea_orm::sea_query::{Expr, ExprTrait, LockType, OnConflict, Query, SimpleExpr};
use sea_orm::{
    ActiveValue, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, FromQueryResult, QueryFilter, QueryOrder,
};

use super::entities::memory_tenant::{self, Column};
use super::entities::{application, person};
use super::error::storage_error;
use super::handle::Database;
use super::row::Row;
use crate::domain::ids::UserId;
use crate::domain::memories::{Tenant, TenantGroup, TenantRegistry};
use crate::domain::system::{StorageError, Timestamp};

const TENANTS: &str = "memory_tenants";

/// Stores tenants in SQLite or PostgreSQL.
pub struct SeaOrmTenantRegistry {
    database: Database,
}

impl SeaOrmTenantRegistry {
    /// Uses `database`, whose migrations are applied.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    async fn look_up(&self, tenant: &Tenant) -> Result<bool, DbErr> {
        let known = memory_tenant::Entity::find_by_id(tenant.key()).one(self.database.reader()).await?;
        if known.is_some_and(|known| known.closed_at.is_none()) {
            return Ok(true);
        }
        self.open(tenant).await
    }

    /// Opens a tenant whose owners are enabled. Their rows are locked, so that whoever disables one of them and then lists
    /// tenants finds this one, or prevents it from being opened.
    async fn open(&self, tenant: &Tenant) -> Result<bool, DbErr> {
        let mut owners = Query::select();
        if let Some(id) = tenant.person {
            owners
                .from(person::Entity)
                .and_where(person::Column::Id.eq(id.as_uuid()))
                .and_where(person::Column::Enabled.eq(true));
        }
        let owners = owners
            .exprs([Expr::value(tenant.key()), Expr::value(tenant.space.as_str().to_owned())])
            .expr(Expr::value(tenant.person.map(UserId::as_uuid)))
            .from(application::Entity)
            .and_where(application::Column::Space.eq(tenant.space.as_str()))
            .and_where(application::Column::Enabled.eq(true))
            .limit(1)
            .lock(LockType::Share)
            .take();
        let reopened = OnConflict::column(Column::Tenant)
            .value(Column::ClosedAt, Expr::value(None::<i64>))
            .value(Column::CheckAt, Expr::value(None::<i64>))
            .to_owned();
        let insert = Query::insert()
            .into_table(memory_tenant::Entity)
            .columns([Column::Tenant, Column::Space, Column::PersonId])
            .select_from(owners)
            .map_err(|error| DbErr::Custom(error.to_string()))?
            .on_conflict(reopened)
            .take();
        Ok(self.database.writer().execute(&insert).await?.rows_affected() > 0)
    }
}

fn is_in(group: &TenantGroup) -> SimpleExpr {
    match group {
        TenantGroup::OfPerson(person) => Column::PersonId.eq(person.as_uuid()),
        TenantGroup::InSpace(space) => Column::Space.eq(space.as_str()),
        TenantGroup::One(tenant) => Column::Tenant.eq(tenant.key()),
    }
}

#[async_trait]
impl TenantRegistry for SeaOrmTenantRegistry {
    async fn admit(&self, tenant: &Tenant) -> Result<bool, StorageError> {
        self.look_up(tenant).await.map_err(storage_error(TENANTS))
    }

    async fn list(&self, group: &TenantGroup) -> Result<Vec<Tenant>, StorageError> {
        let found = memory_tenant::Entity::find()
            .filter(is_in(group))
            .order_by_asc(Column::Tenant)
            .all(self.database.reader())
            .await
            .map_err(storage_error(TENANTS))?;
        let mut tenants = found.iter().map(read_tenant).collect::<Result<Vec<_>, _>>()?;
        // Databases sort texts by their own collations.
        tenants.sort_by_key(Tenant::key);
        Ok(tenants)
    }

    async fn close(&self, tenant: &Tenant, at: Timestamp, check_at: Timestamp) -> Result<(), StorageError> {
        let row = memory_tenant::ActiveModel {
            tenant: ActiveValue::Set(tenant.key()),
            space: ActiveValue::Set(tenant.space.to_string()),
            person_id: ActiveValue::Set(tenant.person.map(UserId::as_uuid)),
            closed_at: ActiveValue::Set(Some(at.unix_millis())),
            check_at: ActiveValue::Set(Some(check_at.unix_millis())),
        };
        let known = OnConflict::column(Column::Tenant).update_columns([Column::ClosedAt, Column::CheckAt]).to_owned();
        let closed =
            memory_tenant::Entity::insert(row).on_conflict(known).exec_without_returning(self.database.writer()).await;
        closed.map(drop).map_err(storage_error(TENANTS))
    }

    async fn take_due(
        &self,
        now: Timestamp,
        again_at: Timestamp,
        limit: u32,
    ) -> Result<Vec<(Tenant, Timestamp)>, StorageError> {
        let failed = storage_error(TENANTS);
        let due = Column::CheckAt.lte(now.unix_millis()).and(Column::ClosedAt.is_not_null());
        let some = Query::select()
            .column(Column::Tenant)
            .from(memory_tenant::Entity)
            .and_where(due.clone())
            .order_by(Column::CheckAt, sea_orm::Order::Asc)
            .limit(u64::from(limit))
            .take();
        let update = Query::update()
            .table(memory_tenant::Entity)
            .value(Column::CheckAt, again_at.unix_millis())
            .and_where(Column::Tenant.in_subquery(some))
            // Checked again once the row is locked: another sweep may have taken it since.
            .and_where(due)
            .returning(Query::returning().all())
            .take();
        // All rows of the result are read, because SQLite commits with the last one.
        let rows = self.database.writer().query_all(&update).await.map_err(failed)?;
        rows.iter()
            .map(|row| {
                let model = memory_tenant::Model::from_query_result(row, "").map_err(failed)?;
                let row = Row::new(TENANTS, &model.tenant);
                let closed_at = row.optional_timestamp("closed_at", model.closed_at)?;
                let closed_at = closed_at.ok_or_else(|| row.inconsistent("column closed_at is empty"))?;
                Ok((read_tenant(&model)?, closed_at))
            })
            .collect()
    }

    async fn forget(&self, tenant: &Tenant) -> Result<(), StorageError> {
        let deleted = memory_tenant::Entity::delete_by_id(tenant.key())
            .filter(Column::ClosedAt.is_not_null())
            .exec(self.database.writer())
            .await;
        deleted.map(drop).map_err(storage_error(TENANTS))
    }
}

fn read_tenant(model: &memory_tenant::Model) -> Result<Tenant, StorageError> {
    let row = Row::new(TENANTS, &model.tenant);
    let tenant = Tenant { space: row.parse("space", &model.space)?, person: model.person_id.map(UserId::from_uuid) };
    if tenant.key() == model.tenant { Ok(tenant) } else { Err(row.inconsistent("the columns do not match").into()) }
}
