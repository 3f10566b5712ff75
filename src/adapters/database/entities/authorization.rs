use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "authorizations")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub grant_id: Uuid,
    pub application_id: Uuid,
    pub person_id: Uuid,
    pub scope: String,
    pub audience: String,
    pub redirect_uri: String,
    pub code_challenge: Option<String>,
    pub code_digest: Vec<u8>,
    pub created_at: i64,
    pub code_expires_at: i64,
    pub redeemed_at: Option<i64>,
    pub keep_until: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
