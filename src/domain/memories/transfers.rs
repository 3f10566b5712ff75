//! What an operator takes out and brings in, which the people concerned are told.

use std::sync::Arc;

use super::actor::Actor;
use super::bank::MemoryBank;
use super::export::Export;
use super::import::ImportReader;
use super::loading::Import;
use super::model::MemoryScope;
use super::requests::MemoryError;
use super::tenants::{Tenant, TenantGroup, TenantRegistry};
use crate::applications::Application;
use crate::audit::{AuditEvent, AuditKind, AuditLog};
use crate::ids::{ApplicationId, UserId};
use crate::system::Clock;

/// Whose memories an operator takes out.
#[derive(Clone, Copy, Debug)]
pub enum Exported<'a> {
    /// Those of the application itself.
    OfApplication(&'a Application),
    /// All those of a person.
    OfPerson(UserId),
    /// Those of a person in the space of the application.
    OfPersonIn(UserId, &'a Application),
}

/// Exports and imports memories for an operator. Each time it leaves an audit event.
#[derive(Clone)]
pub struct MemoryTransfers {
    bank: Arc<dyn MemoryBank>,
    tenants: Arc<dyn TenantRegistry>,
    audit: Arc<dyn AuditLog>,
    clock: Arc<dyn Clock>,
}

impl MemoryTransfers {
    /// Assembles it.
    #[must_use]
    pub fn new(
        bank: Arc<dyn MemoryBank>,
        tenants: Arc<dyn TenantRegistry>,
        audit: Arc<dyn AuditLog>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { bank, tenants, audit, clock }
    }

    /// Begins an export.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub async fn export(&self, whose: Exported<'_>) -> Result<Export, MemoryError> {
        let (application, person) = match whose {
            Exported::OfApplication(application) => (Some(application), None),
            Exported::OfPerson(person) => (None, Some(person)),
            Exported::OfPersonIn(person, application) => (Some(application), Some(person)),
        };
        let scopes = match person {
            None => application.map(MemoryScope::of_application).into_iter().collect(),
            Some(person) => {
                let mut tenants = self.tenants.list(&TenantGroup::OfPerson(person)).await?;
                tenants.retain(|tenant| application.is_none_or(|application| tenant.space == application.space));
                tenants.iter().map(Tenant::scope).collect::<Vec<_>>()
            }
        };
        let export = Export::begin(Arc::clone(&self.bank), scopes, Arc::clone(&self.clock))?;
        let application = application.map(|application| application.id);
        self.record(AuditKind::MemoriesExported, application, person).await;
        Ok(export)
    }

    /// What reads the rows of an import into the memories of the application, or into those of a person in its space.
    #[must_use]
    pub fn reader(&self, application: &Application, person: Option<UserId>) -> ImportReader {
        let scope = match person {
            Some(person) => MemoryScope::from_stored(application.space.clone(), Some(person)),
            None => MemoryScope::of_application(application),
        };
        ImportReader::new(scope, self.clock.now()).by(Actor::Application(application.id))
    }

    /// Begins an import of `rows` rows by a [`reader`](Self::reader).
    pub async fn import(&self, reader: ImportReader, rows: u64) -> Import {
        let application = match reader.actor() {
            Some(Actor::Application(id)) => Some(id),
            Some(Actor::Person) | None => None,
        };
        // Before anything is stored: an import may be stopped at any moment.
        self.record(AuditKind::MemoriesImported, application, reader.scope().person()).await;
        Import::new(Arc::clone(&self.bank), Arc::clone(&self.tenants), reader).expecting(rows).in_large_parts()
    }

    async fn record(&self, kind: AuditKind, application: Option<ApplicationId>, person: Option<UserId>) {
        let event = AuditEvent::new(kind, self.clock.now());
        self.audit.record(&AuditEvent { application_id: application, person_id: person, ..event }).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memories::{Admitted, Place};
    use crate::people::Person;
    use crate::testing::{
        FixedClock, InMemoryApplicationRepository, InMemoryAuditLog, InMemoryMemoryBank, InMemoryPersonRepository,
        InMemoryTenantRegistry, application, new_memory, person,
    };

    struct Harness {
        person: Person,
        applications: [Application; 2],
        bank: Arc<InMemoryMemoryBank>,
        tenants: Arc<InMemoryTenantRegistry>,
        audit: Arc<InMemoryAuditLog>,
        transfers: MemoryTransfers,
    }

    impl Harness {
        fn new() -> Self {
            let (person, applications) = (person(), [application(), application()]);
            let people = Arc::new(InMemoryPersonRepository::holding([person.clone()]));
            let repository = Arc::new(InMemoryApplicationRepository::holding(applications.clone()));
            let tenants = Arc::new(InMemoryTenantRegistry::of(people, repository));
            let (bank, audit) = (Arc::new(InMemoryMemoryBank::default()), Arc::new(InMemoryAuditLog::default()));
            let clock = Arc::new(FixedClock::default());
            let transfers = MemoryTransfers::new(bank.clone(), tenants.clone(), audit.clone(), clock);
            Self { person, applications, bank, tenants, audit, transfers }
        }

        async fn exported(&self, whose: Exported<'_>) -> Vec<String> {
            let mut export = self.transfers.export(whose).await.unwrap();
            let mut texts = Vec::new();
            while let Some(page) = export.next().await.unwrap() {
                texts.extend(page.into_iter().map(|own| own.memory.content.into_string()));
            }
            texts.sort();
            texts
        }

        /// What is recorded, the newest first: the kind, and whether it names the first application and the person.
        async fn events(&self) -> Vec<(AuditKind, bool, bool)> {
            let events = self.audit.recent(10).await.unwrap();
            let is_first = |id| id == Some(self.applications[0].id);
            let told = |event: &AuditEvent| event.person_id == Some(self.person.id);
            events.iter().map(|event| (event.kind, is_first(event.application_id), told(event))).collect()
        }
    }

    #[tokio::test]
    async fn what_is_exported_is_what_was_asked_for_and_is_recorded() {
        let harness = Harness::new();
        let (person, [first, second]) = (harness.person.id, &harness.applications);
        for (text, application, person) in
            [("a", first, None), ("b", first, Some(person)), ("c", second, None), ("d", second, Some(person))]
        {
            let scope = MemoryScope::from_stored(application.space.clone(), person);
            let scope = Admitted::by(&*harness.tenants, &scope).await.unwrap();
            harness.bank.create(&scope, &new_memory(text)).await.unwrap();
        }
        assert_eq!(harness.exported(Exported::OfApplication(first)).await, ["a"]);
        assert_eq!(harness.events().await, [(AuditKind::MemoriesExported, true, false)]);
        assert_eq!(harness.exported(Exported::OfPersonIn(person, first)).await, ["b"]);
        assert_eq!(harness.events().await[0], (AuditKind::MemoriesExported, true, true));
        assert_eq!(harness.exported(Exported::OfPerson(person)).await, ["b", "d"]);
        assert_eq!(harness.events().await[0], (AuditKind::MemoriesExported, false, true));
        assert_eq!(harness.audit.recent_of_person(person, 0, 10).await.unwrap().len(), 2);
    }

    #[tokio::test]
    async fn an_import_is_recorded_before_it_stores_anything() {
        let harness = Harness::new();
        let (person, application) = (harness.person.id, &harness.applications[0]);
        let imported = |told| (AuditKind::MemoriesImported, true, told);
        for (person, expected) in [(Some(person), vec![imported(true)]), (None, vec![imported(false), imported(true)])]
        {
            let before = harness.bank.len();
            let mut import = harness.transfers.import(harness.transfers.reader(application, person), 2).await;
            assert_eq!((harness.events().await, harness.bank.len()), (expected, before));
            for n in 1..=2 {
                import.add(Place::line(n), &format!(r#"{{"content": "{n}"}}"#)).await.unwrap();
            }
            assert_eq!(import.finish().await.unwrap().created, 2);
        }
        assert_eq!(harness.exported(Exported::OfPerson(person)).await, ["1", "2"]);
        assert_eq!(harness.exported(Exported::OfApplication(application)).await, ["1", "2"]);
    }
}
