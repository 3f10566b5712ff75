//! What people do with their own memories, whichever application stored them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::actor::Actor;
use super::bank::{Capability, MemoryBankError};
use super::erasure::{Erasure, ErasureError};
use super::export::Export;
use super::loading::{Import, ImportReport, ImportStopped};
use super::model::{Memory, MemoryChanges};
use super::new_memory::{NewMemory, OwnMemory, OwnMemoryId};
use super::query::{DateRange, Limit, ListOrder, ListQuery, MemoryFilter, MemoryQuery, Position, QueryText};
use super::requests::MemoryError;
use super::search::Finding;
use super::service::MemoryService;
use super::statistics::MemoryStatistics;
use super::tenants::{Tenant, TenantGroup, TenantRegistry};
use crate::applications::{ApplicationName, ApplicationRepository, Category, SpaceName};
use crate::audit::{AuditEvent, AuditKind};
use crate::ids::{ApplicationId, MemoryId, UserId};
use crate::system::{StorageError, Timestamp};

/// How often a memory is read at most to be deleted as it was read.
const READINGS: u32 = 4;
/// How many pages of a list are read at most to find one that is not empty.
const EMPTY_PAGES: u32 = 10;

/// One of the spaces in which a person has memories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The space.
    pub space: SpaceName,
    /// The application whose own space it is, if there is one and it is still registered.
    pub application: Option<ApplicationName>,
}

/// Which of their memories a person wants to see.
#[derive(Clone, Debug, Default)]
pub struct OwnQuery {
    /// What to search for; without it the memories are listed, newest first.
    pub text: Option<QueryText>,
    /// Only memories in this space.
    pub space: Option<SpaceName>,
    /// Only memories of this category.
    pub category: Option<Category>,
    /// Which date counts: it is that of [`dates`](Self::dates), and a list is newest first by it.
    pub order: ListOrder,
    /// Only memories with a date in this range.
    pub dates: DateRange,
    /// Where the page before ended; of a list alone.
    pub after: Option<Position>,
    /// How many of what is found came before; of a search alone, and less than [`MAX_FOUND`](Self::MAX_FOUND).
    pub skip: u32,
    /// How many at most, beside further copies of the last one in other spaces.
    pub limit: Limit,
}

impl OwnQuery {
    /// How many memories a search finds at most, over all of its pages.
    pub const MAX_FOUND: u32 = 200;

    fn filter(&self) -> MemoryFilter {
        let (created, occurred) = match self.order {
            ListOrder::Created => (self.dates, DateRange::default()),
            ListOrder::Occurred => (DateRange::default(), self.dates),
        };
        let categories = self.category.iter().cloned().collect();
        MemoryFilter { categories, created, occurred, ..MemoryFilter::default() }
    }
}

/// Some memories of a person.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OwnPage {
    /// The memories: of a search the best fits first, of a list the newest first.
    pub memories: Vec<OwnMemory>,
    /// Where the next page begins; `None` if this is the last.
    pub next: Option<OwnNext>,
}

/// Where a page of a person's memories begins.
#[derive(Clone, Debug, PartialEq)]
pub enum OwnNext {
    /// Of a list: after this position.
    After(Position),
    /// Of a search: after so many. [`OwnQuery::MAX_FOUND`] says that more match, and are not shown.
    Skip(u32),
}

/// A memory that its person has corrected.
#[derive(Clone, Debug, PartialEq)]
pub struct Correction {
    /// The memory, as it is now.
    pub saved: OwnMemory,
    /// What it was until then; `None` if something else changed it at the same time, so that nobody knows.
    pub before: Option<Memory>,
}

/// Lets people see, correct and delete what is stored of them.
#[derive(Clone)]
pub struct PersonalMemories {
    memories: MemoryService,
    tenants: Arc<dyn TenantRegistry>,
    applications: Arc<dyn ApplicationRepository>,
    erasure: Erasure,
}

impl PersonalMemories {
    /// Puts the service together, over the same bank, queue and caches as `memories`.
    pub fn new(
        memories: MemoryService,
        tenants: Arc<dyn TenantRegistry>,
        applications: Arc<dyn ApplicationRepository>,
        erasure: Erasure,
    ) -> Self {
        Self { memories, tenants, applications, erasure }
    }

    /// Where the person has memories, or had some.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn sources(&self, person: UserId) -> Result<Vec<Source>, StorageError> {
        let mut sources = Vec::new();
        for tenant in self.tenants.list(&TenantGroup::OfPerson(person)).await? {
            let application = match tenant.space.owner() {
                Some(owner) => self.applications.find(owner).await?,
                None => None,
            };
            let application = application.map(|application| application.name.clone());
            sources.push(Source { space: tenant.space, application });
        }
        Ok(sources)
    }

    /// The name of an application, if it is still registered.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn application_name(&self, id: ApplicationId) -> Result<Option<ApplicationName>, StorageError> {
        Ok(self.applications.find(id).await?.map(|application| application.name.clone()))
    }

    /// Finds or lists the person's memories.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub async fn find(&self, person: UserId, query: &OwnQuery) -> Result<OwnPage, MemoryError> {
        let mut tenants = self.tenants.list(&TenantGroup::OfPerson(person)).await?;
        tenants.retain(|tenant| query.space.as_ref().is_none_or(|space| tenant.space == *space));
        match &query.text {
            Some(text) => self.search(&tenants, query, text).await,
            None => self.list_some(&tenants, query).await,
        }
    }

    async fn search(&self, tenants: &[Tenant], own: &OwnQuery, text: &QueryText) -> Result<OwnPage, MemoryError> {
        let end = own.skip.saturating_add(own.limit.get()).min(OwnQuery::MAX_FOUND);
        let query = MemoryQuery {
            text: text.clone(),
            // One more says whether there is another page.
            limit: Limit::try_from(i64::from(end) + 1)?,
            threshold: None,
            filter: own.filter(),
            now: self.memories.clock.now(),
        };
        // Also where there is nothing to search.
        self.memories.bank().capabilities().require_filter(&query.filter)?;
        let mut found = Vec::new();
        for tenant in tenants {
            for Finding { hit, pending } in self.memories.search_in(&tenant.scope(), &query, None).await?.hits {
                let own = OwnMemory { pending, ..OwnMemory::stored(hit.memory, tenant.space.clone()) };
                found.push((hit.relevance, own));
            }
        }
        found.sort_by(|(a, _), (b, _)| b.get().total_cmp(&a.get()));
        let next = (found.len() > end as usize).then_some(OwnNext::Skip(end));
        found.truncate(end as usize);
        let page = found.into_iter().skip(own.skip as usize).map(|(_, memory)| memory);
        Ok(OwnPage { memories: page.collect(), next })
    }

    /// The next page that has memories, unless many have none: where few pass a filter, that is for the caller to wait for.
    async fn list_some(&self, tenants: &[Tenant], own: &OwnQuery) -> Result<OwnPage, MemoryError> {
        let mut page = self.list(tenants, own).await?;
        for _ in 1..EMPTY_PAGES {
            let Some(OwnNext::After(next)) = page.next.as_ref().filter(|_| page.memories.is_empty()) else { break };
            page = self.list(tenants, &OwnQuery { after: Some(next.clone()), ..own.clone() }).await?;
        }
        Ok(page)
    }

    /// One page over all tenants: each lists the same number of memories after the same position, and the newest of all of
    /// them are the page.
    async fn list(&self, tenants: &[Tenant], own: &OwnQuery) -> Result<OwnPage, MemoryError> {
        if !self.memories.bank().capabilities().list {
            return Err(MemoryBankError::Unsupported(Capability::List).into());
        }
        let query = ListQuery {
            after: own.after.clone(),
            order: own.order,
            filter: own.filter(),
            ..ListQuery::new(own.limit, self.memories.clock.now())
        };
        self.memories.bank().capabilities().require_filter(&query.filter)?;
        let mut listed = Vec::new();
        // What is older than the end of a page that is not the last is not known yet.
        let mut known_until: Option<Position> = None;
        for tenant in tenants {
            let page = self.memories.bank().list(&tenant.scope(), &query).await?;
            if let Some(next) = page.next
                && known_until.as_ref().is_none_or(|known| next.is_newer_than(known))
            {
                known_until = Some(next);
            }
            let own = |memory| OwnMemory::stored(memory, tenant.space.clone());
            listed.extend(page.memories.into_iter().map(own));
        }
        let date = |own: &OwnMemory| query.order.date_of(&own.memory);
        listed.sort_by(|a, b| (date(b), &b.memory.id).cmp(&(date(a), &a.memory.id)));
        let mut next = known_until;
        if let Some(end) = &next {
            listed.retain(|own| {
                let position = Position::after(&own.memory, query.order);
                position == *end || position.is_newer_than(end)
            });
        }
        // Copies in several spaces have the same position: a page that ended between them would hide the others.
        let mut end = own.limit.get() as usize;
        while let Some([last, more]) = listed.get(end - 1..=end)
            && Position::after(&last.memory, query.order) == Position::after(&more.memory, query.order)
        {
            end += 1;
        }
        if listed.len() > end {
            listed.truncate(end);
            next = listed.last().map(|own| Position::after(&own.memory, query.order));
        }
        Ok(OwnPage { memories: listed, next: next.map(OwnNext::After) })
    }

    /// The statistics of the person's memories in each of the places where there are or were any.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub async fn statistics(&self, person: UserId) -> Result<Vec<(Source, MemoryStatistics)>, MemoryError> {
        let now = self.memories.clock.now();
        let mut all = Vec::new();
        for source in self.sources(person).await? {
            let tenant = Tenant { space: source.space.clone(), person: Some(person) };
            let statistics = self.memories.bank().statistics(&tenant.scope(), now).await?;
            all.push((source, statistics));
        }
        Ok(all)
    }

    /// How many memories there are per category, among all that can be listed.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub async fn categories(&self, person: UserId) -> Result<BTreeMap<Category, u64>, MemoryError> {
        let mut all = MemoryStatistics::default();
        for (_, statistics) in self.statistics(person).await? {
            all.merge(&statistics);
        }
        Ok(all.by_category)
    }

    /// All memories of the person, a page at a time.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub async fn export(&self, person: UserId) -> Result<Export, MemoryError> {
        let tenants = self.tenants.list(&TenantGroup::OfPerson(person)).await?;
        let scopes = tenants.iter().map(Tenant::scope);
        let export = Export::begin(self.memories.delivery.shared_bank(), scopes, Arc::clone(&self.memories.clock))?;
        self.record(AuditKind::MemoryRead, person).await;
        Ok(export)
    }

    /// One memory of the person, with its history if the bank keeps one. One that the bank has not stored yet is among them, and
    /// one that it has stored since under an ID of its own is found by the ID that it had until then.
    ///
    /// # Errors
    /// [`MemoryError::NotFound`], also for somebody else's.
    pub async fn get(&self, person: UserId, id: &OwnMemoryId) -> Result<OwnMemory, MemoryError> {
        let now = self.memories.clock.now();
        let mut own = self.locate(person, id, now).await?;
        own.history = self.memories.history_of(&own.scope_of(person), &own.memory.id, now).await?;
        Ok(own)
    }

    /// The other spaces of the person that have a memory with the ID of this one.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub async fn other_spaces_of(&self, person: UserId, own: &OwnMemory) -> Result<Vec<SpaceName>, MemoryError> {
        let (mut spaces, now) = (Vec::new(), self.memories.clock.now());
        for tenant in self.tenants.list(&TenantGroup::OfPerson(person)).await? {
            let is_there = tenant.space != own.space
                && self.memories.bank().get(&tenant.scope(), &own.memory.id, now).await?.is_some();
            if is_there {
                spaces.push(tenant.space);
            }
        }
        Ok(spaces)
    }

    /// One memory of the person, without its history.
    async fn locate(&self, person: UserId, id: &OwnMemoryId, now: Timestamp) -> Result<OwnMemory, MemoryError> {
        for tenant in self.tenants.list(&TenantGroup::OfPerson(person)).await? {
            if id.space.as_ref().is_none_or(|space| tenant.space == *space)
                && let Some(own) = self.locate_in(&tenant, &id.id, now).await?
            {
                return Ok(own);
            }
        }
        Err(MemoryError::NotFound)
    }

    async fn locate_in(
        &self,
        tenant: &Tenant,
        id: &MemoryId,
        now: Timestamp,
    ) -> Result<Option<OwnMemory>, MemoryError> {
        let (bank, scope) = (self.memories.bank(), tenant.scope());
        // Before the bank is asked: a write that is delivered in between is found there.
        let write = self.memories.write_proposing(&scope, id).await?;
        if let Some(memory) = bank.get(&scope, id, now).await? {
            return Ok(Some(OwnMemory::stored(memory, tenant.space.clone())));
        }
        let Some(write) = write else { return Ok(None) };
        if let Some(id) = write.delivered_as() {
            let memory = bank.get(&scope, id, now).await?;
            return Ok(memory.map(|memory| OwnMemory::stored(memory, tenant.space.clone())));
        }
        let own = OwnMemory::stored(write.write.memory.into_memory(), tenant.space.clone());
        Ok((!own.memory.has_expired_at(now)).then_some(OwnMemory { pending: true, ..own }))
    }

    /// Changes a memory of the person, and every copy of it, whatever else changes it.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub async fn correct(
        &self,
        person: UserId,
        id: &OwnMemoryId,
        changes: &MemoryChanges,
    ) -> Result<Correction, MemoryError> {
        let found = self.locate(person, id, self.memories.clock.now()).await?;
        let (scope, before) = (found.scope_of(person), found.memory);
        let (id, read_at) = (&before.id, Some(before.updated_at));
        let replaced = self.memories.update_in(&scope, id, changes, Actor::Person, read_at).await?;
        let (memory, is_known) = if let Some(memory) = replaced {
            (memory, true)
        } else {
            let updated = self.memories.update_in(&scope, id, changes, Actor::Person, None).await?;
            (updated.ok_or(MemoryError::NotFound)?, false)
        };
        self.record(AuditKind::MemoryUpdated, person).await;
        let history = self.memories.history_of(&scope, id, self.memories.clock.now()).await?;
        let saved = OwnMemory { history, ..OwnMemory::stored(memory, found.space) };
        Ok(Correction { saved, before: is_known.then_some(before) })
    }

    /// Takes back a [correction](Self::correct): the memory gets the text, the categories and the date again that it had `before`.
    /// Returns whether it did; `false` if something else has changed the memory since `corrected_at`, which the bank checks when it
    /// changes it: see [`MemoryBank::update`](super::MemoryBank::update).
    ///
    /// # Errors
    /// [`MemoryError`].
    pub async fn undo_correction(
        &self,
        person: UserId,
        before: OwnMemory,
        corrected_at: Timestamp,
    ) -> Result<bool, MemoryError> {
        let found = self.locate(person, &before.id(), self.memories.clock.now()).await?;
        let scope = found.scope_of(person);
        let Memory { id, content, categories, occurred_at, .. } = before.memory;
        let changes = MemoryChanges {
            content: Some(content),
            categories: Some(categories),
            occurred_at: (found.memory.occurred_at != occurred_at).then_some(occurred_at),
            ..MemoryChanges::default()
        };
        let undone = self.memories.update_in(&scope, &id, &changes, Actor::Person, Some(corrected_at)).await?;
        if undone.is_some() {
            self.record(AuditKind::MemoryUpdated, person).await;
        }
        Ok(undone.is_some())
    }

    /// Forgets what happened to a memory of the person, and what it superseded.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub async fn forget_history(&self, person: UserId, id: &OwnMemoryId) -> Result<(), MemoryError> {
        let own = self.locate(person, id, self.memories.clock.now()).await?;
        self.memories.forget_history_in(&own.scope_of(person), &own.memory.id).await?;
        self.record(AuditKind::MemoryUpdated, person).await;
        Ok(())
    }

    /// Deletes a memory of the person, and every copy of it. Returns what it was, so that it can be
    /// [restored](Self::restore).
    ///
    /// # Errors
    /// [`MemoryError`].
    pub async fn delete(&self, person: UserId, id: &OwnMemoryId) -> Result<OwnMemory, MemoryError> {
        let found = self.get(person, id).await?;
        self.remove(person, found).await
    }

    /// As [`delete`](Self::delete), for a memory that was [read](Self::get) before. If something has changed it since, it is read
    /// again.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub async fn remove(&self, person: UserId, mut found: OwnMemory) -> Result<OwnMemory, MemoryError> {
        let (name, scope) = (found.id(), found.scope_of(person));
        let mut readings = 1;
        // What changes faster than it can be read goes all the same.
        while !self
            .memories
            .delete_in(&scope, &name.id, (readings < READINGS).then_some(found.memory.updated_at))
            .await?
        {
            found = self.get(person, &name).await?;
            readings += 1;
        }
        self.record(AuditKind::MemoryDeleted, person).await;
        Ok(found)
    }

    /// Stores a memory again that was deleted, under its old id where the bank lets memories have ids of ours.
    ///
    /// # Errors
    /// [`MemoryError::NotFound`] if the person never had memories in its space; [`MemoryError`].
    pub async fn restore(&self, person: UserId, own: OwnMemory) -> Result<OwnMemory, MemoryError> {
        let tenants = self.tenants.list(&TenantGroup::OfPerson(person)).await?;
        let tenant = tenants.into_iter().find(|tenant| tenant.space == own.space).ok_or(MemoryError::NotFound)?;
        let memory = NewMemory { history: own.history, ..NewMemory::from(own.memory) };
        let scope = self.memories.delivery.admit(&tenant.scope()).await?;
        let stored = self.memories.bank().create(&scope, &memory).await?;
        self.record(AuditKind::MemoryCreated, person).await;
        Ok(OwnMemory { history: memory.history, ..OwnMemory::stored(stored, tenant.space) })
    }

    /// Begins an import into the person's memories in `space`, which [`end_import`](Self::end_import) ends.
    #[must_use]
    pub fn begin_import(&self, person: UserId, space: SpaceName) -> Import {
        self.memories.import_into(Tenant { space, person: Some(person) }.scope(), Actor::Person)
    }

    /// Finds out what an import into the person's memories in `space` would do.
    #[must_use]
    pub fn preview_import(&self, person: UserId, space: SpaceName) -> Import {
        self.begin_import(person, space).only_looking()
    }

    /// Stores what is left of an import, and says what became of all of it.
    ///
    /// # Errors
    /// [`ImportStopped`].
    pub async fn end_import(&self, person: UserId, import: Import) -> Result<ImportReport, ImportStopped> {
        let finished = import.finish().await;
        self.record(AuditKind::MemoryCreated, person).await;
        finished
    }

    /// Deletes all memories of the person, those on their way to the bank included. Returns how many the bank had.
    ///
    /// # Errors
    /// [`ErasureError`]; the call can be repeated.
    pub async fn delete_all(&self, person: UserId) -> Result<u64, ErasureError> {
        let erased = self.erasure.erase(&TenantGroup::OfPerson(person)).await?;
        self.record(AuditKind::MemoryDeleted, person).await;
        Ok(erased)
    }

    async fn record(&self, kind: AuditKind, person: UserId) {
        self.memories.audit.record(&AuditEvent::new(kind, self.memories.clock.now()).person(person)).await;
    }
}

#[cfg(test)]
mod tests;
