//! How a memory is kept in a bank: its text is the bank's, all else is metadata under names that begin with `memgate_`.
//!
//! Every value is text or a number, since some of the stores beneath keep nothing else. The caller's own metadata is one
//! text of JSON: no name in it can ever be taken by a bank for one of its own, and every number comes back as it was.

use serde_json::{Map, Value, json};

use crate::domain::memories::{Category, Memory, MemoryScope, Metadata, NewMemory, Priority};
use crate::domain::system::Timestamp;

const PREFIX: &str = "memgate_";
const TENANT: &str = "memgate_tenant";
const WRITE_ID: &str = "memgate_write_id";
const CATEGORIES: &str = "memgate_categories";
const METADATA: &str = "memgate_metadata";
const PRIORITY: &str = "memgate_priority";
const CREATED_AT: &str = "memgate_created_at";
const UPDATED_AT: &str = "memgate_updated_at";
const EXPIRES_AT: &str = "memgate_expires_at";

/// The name of the member that holds the id of the write, for banks that filter by metadata.
pub const WRITE_ID_MEMBER: &str = WRITE_ID;

/// Whose memories a bank is asked for. Only a scope has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BankTenant(String);

impl BankTenant {
    /// The tenant of a scope.
    #[must_use]
    pub fn of(scope: &MemoryScope) -> Self {
        Self(scope.tenant())
    }

    /// A tenant that no scope has: the name of a space cannot begin like this.
    #[must_use]
    pub fn nobody() -> Self {
        Self("-memgate-health/app".to_owned())
    }

    /// The tenant as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A memory as a bank returned it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Item {
    /// The bank's name for it.
    pub id: String,
    /// Its text.
    pub content: String,
    /// Whose the bank says it is, if it does.
    pub owner: Option<String>,
    /// Its metadata.
    pub metadata: Map<String, Value>,
    /// When the bank stored it.
    pub created_at: Option<Timestamp>,
    /// When the bank last changed it.
    pub updated_at: Option<Timestamp>,
    /// How well it fits a search, as the bank counts.
    pub score: Option<f64>,
}

/// Why an item is no memory of the scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotAMemory {
    /// It is another tenant's, or nobody can tell whose it is.
    Foreign,
    /// No version of this program can have stored it; what is wrong with it.
    Unreadable(&'static str),
}

impl Item {
    /// The id of the write that created it.
    #[must_use]
    pub fn write_id(&self) -> Option<&str> {
        self.metadata.get(WRITE_ID)?.as_str()
    }

    /// Whose it is, as memgate wrote.
    #[must_use]
    pub fn written_tenant(&self) -> Option<&str> {
        self.metadata.get(TENANT)?.as_str()
    }

    /// Whether it is the tenant's. What the bank says and what memgate wrote must both say so, as far as they are there, and
    /// one of them must be.
    #[must_use]
    pub fn is_of(&self, tenant: &BankTenant) -> bool {
        let written = self.metadata.get(TENANT).map(|value| value.as_str().unwrap_or_default());
        let claims = [self.owner.as_deref(), written];
        claims.iter().flatten().count() > 0 && claims.iter().flatten().all(|claim| *claim == tenant.as_str())
    }

    /// The memory that it is.
    ///
    /// # Errors
    /// [`NotAMemory`].
    pub fn to_memory(&self, tenant: &BankTenant) -> Result<Memory, NotAMemory> {
        if !self.is_of(tenant) {
            return Err(NotAMemory::Foreign);
        }
        let unreadable = |what| move |_| NotAMemory::Unreadable(what);
        let created_at = self.moment(CREATED_AT)?.or(self.created_at);
        let created_at = created_at.ok_or(NotAMemory::Unreadable("it has no date"))?;
        Ok(Memory {
            id: self.id.parse().map_err(unreadable("its id is not one"))?,
            content: self.content.clone().try_into().map_err(unreadable("its text is empty or too long"))?,
            categories: self.categories()?,
            metadata: self.own_metadata()?,
            priority: match self.metadata.get(PRIORITY) {
                None => Priority::default(),
                Some(value) => {
                    let text = value.as_str().unwrap_or_default();
                    text.parse().map_err(unreadable("its priority is not one"))?
                }
            },
            created_at,
            updated_at: self.moment(UPDATED_AT)?.or(self.updated_at).unwrap_or(created_at),
            // Zero stands for never: banks that merge metadata would keep a member that is left out.
            expires_at: self.moment(EXPIRES_AT)?.filter(|at| at.unix_millis() != 0),
        })
    }

    fn moment(&self, name: &str) -> Result<Option<Timestamp>, NotAMemory> {
        let Some(value) = self.metadata.get(name) else { return Ok(None) };
        #[expect(clippy::cast_possible_truncation, reason = "a store that keeps floats alone still holds milliseconds")]
        let millis = value.as_i64().or_else(|| value.as_f64().map(|number| number as i64));
        let millis = millis.ok_or(NotAMemory::Unreadable("one of its dates is not one"))?;
        Ok(Some(Timestamp::from_unix_millis(millis)))
    }

    fn categories(&self) -> Result<Vec<Category>, NotAMemory> {
        let Some(value) = self.metadata.get(CATEGORIES) else { return Ok(Vec::new()) };
        let names: Option<Vec<String>> = value.as_str().and_then(|text| serde_json::from_str(text).ok());
        names
            .and_then(|names| Category::parse_list(CATEGORIES, &names).ok())
            .ok_or(NotAMemory::Unreadable("its categories are none"))
    }

    /// What the caller gave it; of a memory that somebody else put into the bank, what it has.
    fn own_metadata(&self) -> Result<Metadata, NotAMemory> {
        if let Some(value) = self.metadata.get(METADATA) {
            let object = value.as_str().and_then(|text| serde_json::from_str(text).ok());
            return object
                .and_then(|object| Metadata::from_stored(object).ok())
                .ok_or(NotAMemory::Unreadable("its metadata is none"));
        }
        let members = self.metadata.iter().filter(|(name, _)| !name.starts_with(PREFIX));
        let object = members.map(|(name, value)| (name.clone(), value.clone())).collect();
        Ok(Metadata::from_stored(object).unwrap_or_default())
    }

    /// The metadata with which `memory` takes the place of this item. What others have written beside it stays.
    #[must_use]
    pub fn metadata_for(&self, tenant: &BankTenant, memory: &Memory) -> Map<String, Value> {
        let mut members = self.metadata.clone();
        members.extend(metadata_of(tenant, memory));
        members
    }
}

/// The metadata with which a write is created.
#[must_use]
pub fn metadata_of_write(tenant: &BankTenant, write: &NewMemory) -> Map<String, Value> {
    let mut members = metadata_of(tenant, &write.clone().into_memory());
    members.insert(WRITE_ID.to_owned(), json!(write.id.as_str()));
    members
}

fn metadata_of(tenant: &BankTenant, memory: &Memory) -> Map<String, Value> {
    let categories: Vec<&str> = memory.categories.iter().map(Category::as_str).collect();
    [
        (TENANT, json!(tenant.as_str())),
        (CATEGORIES, json!(json!(categories).to_string())),
        (METADATA, json!(Value::Object(memory.metadata.as_object().clone()).to_string())),
        (PRIORITY, json!(memory.priority.as_str())),
        (CREATED_AT, json!(memory.created_at.unix_millis())),
        (UPDATED_AT, json!(memory.updated_at.unix_millis())),
        (EXPIRES_AT, json!(memory.expires_at.map_or(0, Timestamp::unix_millis))),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}
