//! Rows of a file that become memories.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::Backend;
use crate::domain::applications::Application;
use crate::domain::ids::{MemoryId, RequestId};
use crate::domain::memories::{
    Category, Content, Context, ContextId, MemoryBank, MemoryScope, Metadata, NewMemory, Priority,
};
use crate::domain::system::Timestamp;
use crate::domain::validation::InvalidValue;

/// Reads rows for one application.
///
/// A row's id is derived from the scope, the row and how often the same row came before, so that a second import of the
/// same file, or of one that has grown, adds only what is new.
#[derive(Clone)]
pub struct Importer {
    bank: Arc<dyn MemoryBank>,
    scope: MemoryScope,
    /// When the next row was created that does not say so itself.
    next: Timestamp,
    seen: HashMap<[u8; 32], u64>,
}

/// A row that can be loaded.
#[derive(Clone, Debug)]
pub struct ImportRow {
    /// Where it goes.
    pub scope: MemoryScope,
    /// The memory.
    pub memory: NewMemory,
}

/// Why a row cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum RowError {
    /// It is not a JSON object with the known members.
    #[error("is not a row: {0}")]
    Json(String),
    /// A member cannot be.
    #[error(transparent)]
    Invalid(#[from] InvalidValue),
    /// The application may not write in these categories.
    #[error("its categories are not all among the ones that the application may write")]
    CategoryNotAllowed,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    content: String,
    #[serde(default)]
    categories: Vec<String>,
    #[serde(default)]
    metadata: Map<String, Value>,
    #[serde(default)]
    context: RowContext,
    priority: Option<String>,
    created_at: Option<String>,
    expires_at: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RowContext {
    custom_gpt_id: Option<String>,
    conversation_id: Option<String>,
}

impl Importer {
    /// An importer into the space of `application`.
    #[must_use]
    pub fn new(backend: &Backend, application: &Application) -> Self {
        Self {
            bank: backend.bank(),
            scope: MemoryScope::of_application(application),
            next: backend.now(),
            seen: HashMap::new(),
        }
    }

    /// Says how many rows will come, so that those that do not say when they were created get moments up to the present
    /// in their order: they are loaded side by side, and the turns of a conversation have to stay in theirs.
    #[must_use]
    pub fn expecting(mut self, rows: u64) -> Self {
        self.next = self.next.minus(Duration::from_millis(rows));
        self
    }

    /// Where the rows go.
    #[must_use]
    pub fn bank(&self) -> Arc<dyn MemoryBank> {
        Arc::clone(&self.bank)
    }

    /// Reads the next row of the file.
    ///
    /// # Errors
    /// [`RowError`].
    pub fn parse(&mut self, text: &str) -> Result<ImportRow, RowError> {
        let row: Row = serde_json::from_str(text).map_err(|error| RowError::Json(error.to_string()))?;
        let moment = |field: &str, text: Option<&str>| text.map(|text| Timestamp::parse(field, text)).transpose();
        let id = |field: &str, text: Option<&str>| text.map(|text| ContextId::parse(field, text)).transpose();
        let context = Context {
            custom_gpt_id: id("context.custom_gpt_id", row.context.custom_gpt_id.as_deref())?,
            conversation_id: id("context.conversation_id", row.context.conversation_id.as_deref())?,
        };
        let categories = Category::parse_list("categories", &row.categories)?;
        if !self.scope.categories().allows(&categories) {
            return Err(RowError::CategoryNotAllowed);
        }
        self.next = self.next.plus(Duration::from_millis(1));
        let memory = NewMemory {
            id: self.next_id(text),
            content: Content::try_from(row.content)?,
            categories,
            metadata: Metadata::from_caller(row.metadata)?.with_context(&context),
            priority: row.priority.map_or(Ok(Priority::default()), |text| text.parse())?,
            created_at: moment("created_at", row.created_at.as_deref())?.unwrap_or(self.next),
            expires_at: moment("expires_at", row.expires_at.as_deref())?,
        };
        Ok(ImportRow { scope: self.scope.clone(), memory })
    }

    fn next_id(&mut self, text: &str) -> MemoryId {
        let digest = Sha256::new().chain_update("memgate import\0").chain_update(self.scope.tenant());
        let row: [u8; 32] = digest.chain_update("\0").chain_update(text.trim()).finalize().into();
        let occurrence = self.seen.entry(row).or_default();
        *occurrence += 1;
        let digest = Sha256::new().chain_update(row).chain_update(occurrence.to_be_bytes()).finalize();
        // A UUID of version 8 (RFC 9562 §5.8), which is for ids that are derived as one likes.
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        MemoryId::for_request(RequestId::from_uuid(uuid::Builder::from_custom_bytes(bytes).into_uuid()))
    }
}
