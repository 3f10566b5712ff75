//! How a memory is represented in a bank: its text is the bank's, everything else is metadata prefixed with `memgate_`.
//!
//! Every value is a string or a number, since some backing stores support nothing else. The caller's own metadata is one
//! string of JSON: no key in it can collide with one of the bank's, and every number is returned unchanged.

use serde_json::{Map, Value, json};

use crate::domain::applications::Category;
use crate::domain::ids::UserId;
use crate::domain::memories::{Memory, MemoryScope, Metadata, NewMemory, Priority};
use crate::domain::system::Timestamp;

const PREFIX: &str = "memgate_";
const TENANT: &str = "memgate_tenant";
const WRITE_ID: &str = "memgate_write_id";
const CATEGORIES: &str = "memgate_categories";
const METADATA: &str = "memgate_metadata";
const PRIORITY: &str = "memgate_priority";
const CREATED_AT: &str = "memgate_created_at";
const OCCURRED_AT: &str = "memgate_occurred_at";
const UPDATED_AT: &str = "memgate_updated_at";
const EXPIRES_AT: &str = "memgate_expires_at";
const CREATED_BY: &str = "memgate_created_by";

/// The metadata key of the write ID, for banks that filter by metadata.
pub const WRITE_ID_MEMBER: &str = WRITE_ID;

/// The tenant whose memories are requested. Only a scope has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BankTenant {
    name: String,
    space: String,
    person: Option<UserId>,
}

impl BankTenant {
    /// The tenant of a scope.
    #[must_use]
    pub fn of(scope: &MemoryScope) -> Self {
        Self { name: scope.tenant(), space: scope.space().as_str().to_owned(), person: scope.person() }
    }

    /// A tenant that does not exist: no space name can start like this.
    #[must_use]
    pub fn nobody() -> Self {
        Self { name: "-memgate-health/app".to_owned(), space: "-memgate-health".to_owned(), person: None }
    }

    /// The tenant as a string.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// The space that it is in.
    #[must_use]
    pub fn space(&self) -> &str {
        &self.space
    }

    /// The person, if it is not an application itself.
    #[must_use]
    pub fn person(&self) -> Option<UserId> {
        self.person
    }
}

/// An item as a bank returned it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Item {
    /// The bank's ID for it.
    pub id: String,
    /// Its text.
    pub content: String,
    /// The tenant that the bank reports, if it does.
    pub owner: Option<String>,
    /// Its metadata.
    pub metadata: Map<String, Value>,
    /// When the bank stored it.
    pub created_at: Option<Timestamp>,
    /// When the bank last changed it.
    pub updated_at: Option<Timestamp>,
    /// The score, on the bank's own scale.
    pub score: Option<f64>,
}

/// Why an item is not a memory of the scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotAMemory {
    /// It belongs to another tenant, or its tenant is unknown.
    Foreign,
    /// It was not written by any version of memgate, or is damaged; the reason.
    Unreadable(&'static str),
}

impl Item {
    /// The ID of the write that created it.
    #[must_use]
    pub fn write_id(&self) -> Option<&str> {
        self.metadata.get(WRITE_ID)?.as_str()
    }

    /// The tenant that memgate recorded.
    #[must_use]
    pub fn written_tenant(&self) -> Option<&str> {
        self.metadata.get(TENANT)?.as_str()
    }

    /// Whether it belongs to the tenant. At least one of the bank's and memgate's own record must exist, and those that exist
    /// must agree.
    #[must_use]
    pub fn is_of(&self, tenant: &BankTenant) -> bool {
        let written = self.metadata.get(TENANT).map(|value| value.as_str().unwrap_or_default());
        let claims = [self.owner.as_deref(), written];
        claims.iter().flatten().count() > 0 && claims.iter().flatten().all(|claim| *claim == tenant.as_str())
    }

    /// Converts it to a memory.
    ///
    /// # Errors
    /// [`NotAMemory`].
    pub fn to_memory(&self, tenant: &BankTenant) -> Result<Memory, NotAMemory> {
        if !self.is_of(tenant) {
            return Err(NotAMemory::Foreign);
        }
        let unreadable = |what| move |_| NotAMemory::Unreadable(what);
        let created_at = self.moment(CREATED_AT)?.or(self.created_at);
        let created_at = created_at.ok_or(NotAMemory::Unreadable("it has no creation date"))?;
        Ok(Memory {
            id: self.id.parse().map_err(unreadable("its ID is invalid"))?,
            content: self.content.clone().try_into().map_err(unreadable("its text is empty or too long"))?,
            categories: self.categories()?,
            metadata: self.own_metadata()?,
            priority: match self.metadata.get(PRIORITY) {
                None => Priority::default(),
                Some(value) => {
                    let text = value.as_str().unwrap_or_default();
                    text.parse().map_err(unreadable("its priority is invalid"))?
                }
            },
            created_at,
            updated_at: self.moment(UPDATED_AT)?.or(self.updated_at).unwrap_or(created_at),
            occurred_at: self.occurred_at()?,
            // Zero means never: banks that merge metadata would keep a key that is left out.
            expires_at: self.moment(EXPIRES_AT)?.filter(|at| at.unix_millis() != 0),
            created_by: match self.metadata.get(CREATED_BY) {
                None => None,
                Some(value) => {
                    let text = value.as_str().unwrap_or_default();
                    Some(text.parse().map_err(unreadable("who created it is invalid"))?)
                }
            },
        })
    }

    fn moment(&self, name: &str) -> Result<Option<Timestamp>, NotAMemory> {
        let Some(value) = self.metadata.get(name) else { return Ok(None) };
        #[expect(clippy::cast_possible_truncation, reason = "a store that keeps floats alone still holds milliseconds")]
        let millis = value.as_i64().or_else(|| value.as_f64().map(|number| number as i64));
        let millis = millis.ok_or(NotAMemory::Unreadable("one of its dates is invalid"))?;
        Ok(Some(Timestamp::from_unix_millis(millis)))
    }

    /// As text, so that an empty one can take the place of an earlier date in banks that merge metadata.
    fn occurred_at(&self) -> Result<Option<Timestamp>, NotAMemory> {
        match self.metadata.get(OCCURRED_AT).map(|value| value.as_str().unwrap_or("?")) {
            None | Some("") => Ok(None),
            Some(text) => Timestamp::parse(OCCURRED_AT, text)
                .map(Some)
                .map_err(|_| NotAMemory::Unreadable("one of its dates is invalid")),
        }
    }

    fn categories(&self) -> Result<Vec<Category>, NotAMemory> {
        let Some(value) = self.metadata.get(CATEGORIES) else { return Ok(Vec::new()) };
        let names: Option<Vec<String>> = value.as_str().and_then(|text| serde_json::from_str(text).ok());
        names
            .and_then(|names| Category::parse_list(CATEGORIES, &names).ok())
            .ok_or(NotAMemory::Unreadable("its categories are invalid"))
    }

    /// The caller's metadata; for a memory that somebody else put into the bank, all of its metadata.
    fn own_metadata(&self) -> Result<Metadata, NotAMemory> {
        if let Some(value) = self.metadata.get(METADATA) {
            let object = value.as_str().and_then(|text| serde_json::from_str(text).ok());
            return object
                .and_then(|object| Metadata::from_stored(object).ok())
                .ok_or(NotAMemory::Unreadable("its metadata is invalid"));
        }
        let members = self.metadata.iter().filter(|(name, _)| !name.starts_with(PREFIX));
        let object = members.map(|(name, value)| (name.clone(), value.clone())).collect();
        Ok(Metadata::from_stored(object).unwrap_or_default())
    }

    /// The metadata with which `memory` replaces this item. What others added is preserved.
    #[must_use]
    pub fn metadata_for(&self, tenant: &BankTenant, memory: &Memory) -> Map<String, Value> {
        let mut members = self.metadata.clone();
        if let Some(earlier) = members.get_mut(OCCURRED_AT) {
            *earlier = json!("");
        }
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
    .chain(memory.occurred_at.map(|at| (OCCURRED_AT, json!(at.to_string()))))
    .chain(memory.created_by.map(|actor| (CREATED_BY, json!(actor.to_string()))))
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}
