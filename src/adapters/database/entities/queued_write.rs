use std::fmt;

use sea_orm::entity::prelude::*;

#[derive(Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "queued_writes")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub request_id: Uuid,
    pub application_id: Uuid,
    pub space: String,
    pub person_id: Option<Uuid>,
    pub tenant: String,
    pub idempotency_key: Option<String>,
    pub fingerprint: Vec<u8>,
    pub memory: String,
    pub accepted_at: i64,
    pub keep_until: i64,
    pub state: String,
    pub stored_memory: Option<String>,
    pub failure: Option<String>,
    pub position: i64,
    pub attempts: i64,
    pub next_attempt_at: i64,
    pub lease_id: Option<Uuid>,
    pub lease_until: i64,
    pub last_error: Option<String>,
    pub memory_id: Option<String>,
    pub stored_at: Option<i64>,
    pub failures: i64,
    pub outvoted: i64,
    pub failed_at: i64,
    pub set_aside: bool,
}

/// Without the memory.
impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("queued_writes").field("request_id", &self.request_id).finish_non_exhaustive()
    }
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
