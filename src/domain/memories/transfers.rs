//! What an operator takes out and brings in, which the people concerned are told.

use std::sync::Arc;

use super::actor::Actor;
use super::bank::{MemoryBank, MemoryBankError};
use super::export::Export;
use super::import::ImportReader;
use super::loading::{Import, ImportReport, ImportStopped, Place};
use super::model::MemoryScope;
use super::tenants::{Tenant, TenantGroup, TenantRegistry};
use crate::applications::Application;
use crate::audit::{AuditEvent, AuditKind, AuditLog};
use crate::ids::{ApplicationId, UserId};
use crate::system::{Clock, StorageError};

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

/// Why an operator cannot take memories out.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The bank cannot do it, or failed.
    #[error(transparent)]
    Bank(#[from] MemoryBankError),
    /// The tenants cannot be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
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
    /// [`TransferError`].
    pub async fn export(&self, whose: Exported<'_>) -> Result<Export, TransferError> {
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
        self.record(AuditKind::MemoriesExported, application, person, 1).await;
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

    /// Begins an import of `rows` rows by a [`reader`](Self::reader) for this application.
    #[must_use]
    pub fn import(&self, reader: ImportReader, application: ApplicationId, rows: u64) -> Transfer<'_> {
        let import = Import::new(Arc::clone(&self.bank), Arc::clone(&self.tenants), reader);
        Transfer { transfers: self, application, import: import.expecting(rows).in_large_parts() }
    }

    async fn record(&self, kind: AuditKind, application: Option<ApplicationId>, person: Option<UserId>, times: u64) {
        let event = AuditEvent::new(kind, self.clock.now()).times(times);
        self.audit.record(&AuditEvent { application_id: application, person_id: person, ..event }).await;
    }
}

/// An import by an operator.
pub struct Transfer<'a> {
    transfers: &'a MemoryTransfers,
    application: ApplicationId,
    import: Import,
}

impl Transfer<'_> {
    /// Takes the next row: see [`Import::add`].
    ///
    /// # Errors
    /// [`ImportStopped`].
    pub async fn add(&mut self, place: Place, row: &str) -> Result<(), ImportStopped> {
        let added = self.import.add(place, row).await;
        if let Err(stopped) = &added {
            self.record(&stopped.report).await;
        }
        added
    }

    /// See [`Import::settled`].
    #[must_use]
    pub fn settled(&self) -> u64 {
        self.import.settled()
    }

    /// Stores the rest: see [`Import::finish`].
    ///
    /// # Errors
    /// [`ImportStopped`].
    pub async fn finish(self) -> Result<ImportReport, ImportStopped> {
        let Self { transfers, application, import } = self;
        let person = import.scope().person();
        let finished = import.finish().await;
        let report = finished.as_ref().unwrap_or_else(|stopped| &*stopped.report);
        transfers.record_import(report, application, person).await;
        finished
    }

    async fn record(&self, report: &ImportReport) {
        self.transfers.record_import(report, self.application, self.import.scope().person()).await;
    }
}

impl MemoryTransfers {
    /// Records how many memories an import has created, if there are any.
    async fn record_import(&self, report: &ImportReport, application: ApplicationId, person: Option<UserId>) {
        if report.created > 0 {
            self.record(AuditKind::MemoriesImported, Some(application), person, report.created).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memories::{Admitted, MAX_AT_ONCE};
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

        /// What is recorded: the kind, whether it names the first application and the person, and how often it happened.
        async fn events(&self) -> Vec<(AuditKind, bool, bool, u64)> {
            let events = self.audit.recent(10).await.unwrap();
            let is_first = |id| id == Some(self.applications[0].id);
            let told = |event: &AuditEvent| event.person_id == Some(self.person.id);
            events.iter().map(|event| (event.kind, is_first(event.application_id), told(event), event.times)).collect()
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
        assert_eq!(harness.events().await, [(AuditKind::MemoriesExported, true, false, 1)]);
        assert_eq!(harness.exported(Exported::OfPersonIn(person, first)).await, ["b"]);
        assert_eq!(harness.events().await[0], (AuditKind::MemoriesExported, true, true, 1));
        assert_eq!(harness.exported(Exported::OfPerson(person)).await, ["b", "d"]);
        assert_eq!(harness.events().await[0], (AuditKind::MemoriesExported, false, true, 1));
        assert_eq!(harness.audit.recent_of_person(person, 0, 10).await.unwrap().len(), 2);
    }

    #[tokio::test]
    async fn what_an_import_created_is_recorded_though_it_stopped() {
        let harness = Harness::new();
        let (person, application) = (harness.person.id, &harness.applications[0]);
        let row = |n: u64| format!(r#"{{"content": "{n}"}}"#);
        for (times, expected) in [(3, 3), (3, 0), (5, 2)] {
            let reader = harness.transfers.reader(application, Some(person));
            let mut import = harness.transfers.import(reader, application.id, times);
            for n in 1..=times {
                import.add(Place::line(n), &row(n)).await.unwrap();
            }
            assert_eq!(import.finish().await.unwrap().created, expected);
        }
        let imported = |times| (AuditKind::MemoriesImported, true, true, times);
        assert_eq!(harness.events().await, [imported(2), imported(3)], "the second created nothing");
        assert_eq!(harness.exported(Exported::OfPerson(person)).await.len(), 5);

        let reader = harness.transfers.reader(application, None);
        let part = MAX_AT_ONCE as u64;
        let mut import = harness.transfers.import(reader, application.id, 9 * part);
        let mut stopped = None;
        for n in 1..=9 * part {
            if n == 4 * part {
                harness.bank.outage().begin();
            }
            if let Err(error) = import.add(Place::line(n), &row(n)).await {
                stopped = Some(error);
                break;
            }
        }
        harness.bank.outage().end();
        let stopped = stopped.unwrap();
        assert!(matches!(stopped.reason, MemoryBankError::Unavailable { .. }), "{stopped:?}");
        assert!(stopped.report.created > 0, "{stopped:?}");
        let imported = (AuditKind::MemoriesImported, true, false, stopped.report.created);
        assert!(harness.events().await.contains(&imported), "{:?}", harness.events().await);
    }
}
