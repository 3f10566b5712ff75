use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "applications")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub client_id: String,
    pub name: String,
    pub registered_by: String,
    pub document_confirmed_at: Option<i64>,
    pub kind: String,
    pub permissions: String,
    pub grants: String,
    pub redirect_uris: String,
    pub pkce: String,
    pub default_resource: String,
    pub space: String,
    pub categories: Option<String>,
    pub rate_limit: Option<i64>,
    pub access_token_ttl: Option<i64>,
    pub refresh_token_ttl: Option<i64>,
    pub enabled: bool,
    pub tokens_ended_at: Option<i64>,
    pub created_at: i64,
    pub updated_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

/// Secrets know nothing of their application's entity, so the relation is built from this side.
impl Related<super::application_secret::Entity> for Entity {
    fn to() -> RelationDef {
        let owner: RelationDef = super::application_secret::Entity::belongs_to(Self)
            .from(super::application_secret::Column::ApplicationId)
            .to(Column::Id)
            .into();
        owner.rev()
    }
}

impl ActiveModelBehavior for ActiveModel {}
