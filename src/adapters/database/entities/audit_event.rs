use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "audit_events")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub kind: String,
    pub happened_at: i64,
    pub application_id: Option<Uuid>,
    pub grant_id: Option<Uuid>,
    pub request_id: Option<Uuid>,
    pub person_id: Option<Uuid>,
    pub times: i64,
    /// Of a daily count, the day; nothing else has one.
    pub day: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
