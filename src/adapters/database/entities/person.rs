use std::fmt;

use sea_orm::entity::prelude::*;

#[derive(Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "people")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub kind: String,
    pub login: Option<String>,
    pub password_hash: Option<String>,
    pub issuer: Option<String>,
    pub subject: Option<String>,
    pub label: Option<String>,
    pub enabled: bool,
    pub sign_in_version: i64,
    pub created_at: i64,
    pub updated_at: i64,
}

/// Without the hash, and without what tells who it is.
impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("people").field("id", &self.id).finish_non_exhaustive()
    }
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
