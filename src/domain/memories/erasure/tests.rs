use super::*;
use crate::applications::{Application, ApplicationRepository as _, GrantType};
use crate::memories::{
    Admitted, Capabilities, DeliveryOrder, Lease, ListQuery, Memory, MemoryBankError, MemoryScope, MockMemoryBank,
    NewMemory, QueuedWrite, Undelivered,
};
use crate::oauth::{AuthorizationPorts, AuthorizationService, Resources, TokenPolicy};
use crate::people::{PeoplePorts, Person, PersonRepository as _};
use crate::testing::{
    FakePasswordHasher, FakeSecretHasher, FixedClock, InMemoryApplicationRepository, InMemoryAuditLog,
    InMemoryAuthorizationStore, InMemoryGrantStore, InMemoryMemoryBank, InMemoryPasswordLinkStore,
    InMemoryPersonRepository, InMemorySessionStore, InMemoryTenantRegistry, InMemoryWriteQueue, SeededEntropy,
    application, new_memory, now, person, queued_write, space, unique,
};

struct Harness {
    clock: FixedClock,
    people: Arc<InMemoryPersonRepository>,
    applications: Arc<InMemoryApplicationRepository>,
    bank: Arc<InMemoryMemoryBank>,
    queue: Arc<InMemoryWriteQueue>,
    tenants: Arc<InMemoryTenantRegistry>,
    eraser: OwnerEraser,
    person: Person,
    application: Application,
}

impl Harness {
    fn new() -> Self {
        Self::before(InMemoryMemoryBank::default())
    }

    fn before(bank: InMemoryMemoryBank) -> Self {
        let grants = [GrantType::ClientCredentials].into();
        let (clock, person, application) = (FixedClock::default(), person(), Application { grants, ..application() });
        let people = Arc::new(InMemoryPersonRepository::holding([person.clone()]));
        let applications = Arc::new(InMemoryApplicationRepository::holding([application.clone()]));
        let (bank, queue) = (Arc::new(bank), Arc::new(InMemoryWriteQueue::default()));
        let tenants = Arc::new(InMemoryTenantRegistry::of(people.clone(), applications.clone()));
        let audit = Arc::new(InMemoryAuditLog::default());
        let (shared_clock, entropy) = (Arc::new(clock.clone()), Arc::new(SeededEntropy::default()));
        let day = Duration::from_hours(24);
        let policy = TokenPolicy {
            resources: Resources {
                issuer: "https://memory.example".to_owned(),
                api: "https://memory.example".to_owned(),
            },
            access_token_ttl: day,
            refresh_token_ttl: day,
            grant_ttl: day,
            retry_window: Duration::ZERO,
            public_retry_window: Duration::ZERO,
            leeway: Duration::ZERO,
        };
        let authorization_ports = AuthorizationPorts {
            documents: None,
            applications: applications.clone(),
            authorizations: Arc::new(InMemoryAuthorizationStore::of(people.clone(), applications.clone())),
            grants: Arc::new(InMemoryGrantStore::default()),
            audit: audit.clone(),
            clock: shared_clock.clone(),
            entropy: entropy.clone(),
        };
        let people_service = PeopleService::new(PeoplePorts {
            people: people.clone(),
            links: Arc::new(InMemoryPasswordLinkStore::of(&people)),
            sessions: Arc::new(InMemorySessionStore::of(&people)),
            hasher: Arc::new(FakePasswordHasher::default()),
            authorizations: Arc::new(AuthorizationService::new(authorization_ports, Arc::new(policy))),
            audit: audit.clone(),
            clock: shared_clock.clone(),
            entropy: entropy.clone(),
        });
        let application_service = ApplicationService::new(
            applications.clone(),
            Arc::new(FakeSecretHasher::default()),
            audit,
            shared_clock.clone(),
            entropy,
        );
        let erasure = Erasure::new(bank.clone(), queue.clone(), tenants.clone(), shared_clock);
        Self {
            eraser: OwnerEraser::new(people_service, application_service, erasure),
            clock,
            people,
            applications,
            bank,
            queue,
            tenants,
            person,
            application,
        }
    }

    /// The memories of the person in the space of the application.
    fn scope(&self) -> MemoryScope {
        MemoryScope::from_stored(self.application.space.clone(), Some(self.person.id))
    }

    fn own(&self) -> MemoryScope {
        MemoryScope::from_stored(self.application.space.clone(), None)
    }

    async fn create(&self, scope: &MemoryScope, memory: &NewMemory) -> Result<Memory, MemoryBankError> {
        self.bank.create(&Admitted::by(&*self.tenants, scope).await?, memory).await
    }

    async fn store(&self, scope: &MemoryScope, text: &str) {
        self.create(scope, &new_memory(text)).await.unwrap();
    }

    async fn count(&self, scope: &MemoryScope) -> usize {
        let now = Timestamp::from_unix_millis(i64::MIN);
        let query = ListQuery::new(Limit::LARGEST, now);
        self.bank.list(scope, &query).await.unwrap().memories.len()
    }

    async fn accept(&self, scope: &MemoryScope) {
        let write = QueuedWrite { scope: scope.clone(), ..queued_write() };
        let lease = Lease { id: unique(), until: now().plus(Duration::from_mins(1)) };
        self.queue.accept(&write, DeliveryOrder::Fifo { capacity: 10 }, lease).await.unwrap();
    }

    async fn erase_person(&self) -> Result<u64, ErasureError> {
        self.eraser.erase_person(self.person.id, MemoriesOfDeleted::Delete).await
    }

    async fn erase_application(&self, memories: MemoriesOfDeleted) -> Result<ErasedApplication, ErasureError> {
        self.eraser.erase_application(self.application.id, memories).await
    }
}

#[tokio::test]
async fn everything_of_the_person_goes_and_nobody_elses() {
    let harness = Harness::new();
    let bystander = person();
    harness.people.create(&bystander).await.unwrap();
    let other = MemoryScope::from_stored(harness.application.space.clone(), Some(bystander.id));
    for number in 0..250 {
        harness.store(&harness.scope(), &format!("Fact {number}")).await;
    }
    let expired = NewMemory { expires_at: Some(now().minus(Duration::from_hours(1))), ..new_memory("Old") };
    harness.create(&harness.scope(), &expired).await.unwrap();
    for kept in [&other, &harness.own()] {
        harness.store(kept, "Kept").await;
        harness.accept(kept).await;
    }
    harness.accept(&harness.scope()).await;
    assert_eq!(harness.erase_person().await.unwrap(), 251);
    assert_eq!(harness.count(&harness.scope()).await, 0);
    assert_eq!((harness.count(&other).await, harness.count(&harness.own()).await), (1, 1));
    assert_eq!(harness.queue.list(Undelivered::Pending, 10).await.unwrap().len(), 2);
    assert_eq!(harness.people.find(harness.person.id).await.unwrap(), None);
}

#[tokio::test]
async fn memories_that_an_application_left_behind_go_with_the_person() {
    let harness = Harness::new();
    for text in ["one", "two"] {
        harness.store(&harness.scope(), text).await;
    }
    let left = harness.erase_application(MemoriesOfDeleted::Keep).await.unwrap();
    assert_eq!((left.memories, left.left.len()), (0, 1));
    assert_eq!(harness.erase_person().await.unwrap(), 2);
    assert_eq!(harness.count(&harness.scope()).await, 0);
}

#[tokio::test]
async fn somebody_who_was_deleted_without_the_memories_can_be_erased_later() {
    let harness = Harness::new();
    harness.store(&harness.scope(), "x").await;
    assert_eq!(harness.eraser.erase_person(harness.person.id, MemoriesOfDeleted::Keep).await.unwrap(), 0);
    assert_eq!(harness.count(&harness.scope()).await, 1);
    assert_eq!(harness.erase_person().await.unwrap(), 1);
    let nobody = harness.eraser.erase_person(UserId::from_uuid(unique()), MemoriesOfDeleted::Delete).await;
    assert!(matches!(nobody, Err(ErasureError::Person(PeopleError::NotFound))), "{nobody:?}");
}

#[tokio::test]
async fn nothing_is_stored_of_somebody_who_was_erased_and_what_was_on_its_way_is_deleted() {
    let harness = Harness::new();
    harness.store(&harness.scope(), "x").await;
    harness.erase_person().await.unwrap();
    let refused = harness.create(&harness.scope(), &new_memory("y")).await;
    assert!(matches!(refused, Err(MemoryBankError::Rejected(_))), "{refused:?}");
    // A request that was admitted before, and was slow.
    harness.bank.create(&Admitted::unchecked(harness.scope()), &new_memory("late")).await.unwrap();
    harness.accept(&harness.scope()).await;
    let erasure = &harness.eraser.erasure;
    assert_eq!(erasure.check_closed(10).await.unwrap(), 0, "it is not time yet");
    harness.clock.advance(CHECK_AFTER);
    assert_eq!(erasure.check_closed(10).await.unwrap(), 1);
    assert_eq!(harness.count(&harness.scope()).await, 0);
    assert_eq!(harness.queue.list(Undelivered::Pending, 10).await.unwrap(), []);
    let group = TenantGroup::OfPerson(harness.person.id);
    assert_eq!(harness.tenants.list(&group).await.unwrap().len(), 1);
    harness.clock.advance(CHECKED_FOR);
    assert_eq!(erasure.check_closed(10).await.unwrap(), 0);
    assert_eq!(harness.tenants.list(&group).await.unwrap(), [], "and then it is forgotten");
}

#[tokio::test]
async fn a_tenant_that_fails_keeps_no_other_from_being_checked() {
    for failing in [true, false] {
        let harness = Harness::new();
        harness.store(&harness.scope(), "x").await;
        harness.store(&harness.own(), "y").await;
        harness.erase_application(MemoriesOfDeleted::Delete).await.unwrap();
        harness.clock.advance(CHECKED_FOR);
        let mut bank = MockMemoryBank::new();
        bank.expect_sample().returning(move |scope, _| {
            let fails = scope.person().is_some() == failing;
            if fails { Err(MemoryBankError::Inconsistent("damaged".into())) } else { Ok(Vec::new()) }
        });
        let clock = Arc::new(harness.clock.clone());
        let erasure = Erasure::new(Arc::new(bank), harness.queue.clone(), harness.tenants.clone(), clock);
        let checked = erasure.check_closed(10).await;
        assert!(matches!(checked, Err(ErasureError::Bank(_))), "{checked:?}");
        let space = TenantGroup::InSpace(harness.application.space.clone());
        let left = harness.tenants.list(&space).await.unwrap();
        assert!(left.len() == 1 && left[0].person.is_some() == failing, "{left:?}");
    }
}

#[tokio::test]
async fn an_application_takes_its_space_along_if_nobody_else_has_it() {
    let harness = Harness::new();
    harness.store(&harness.own(), "own").await;
    harness.store(&harness.scope(), "of a person").await;
    let other = Application { space: harness.application.space.clone(), ..application() };
    harness.applications.create(&other).await.unwrap();
    let refused = harness.erase_application(MemoriesOfDeleted::Delete).await;
    assert!(matches!(refused, Err(ErasureError::SharedSpace(1, _))), "{refused:?}");
    assert!(harness.applications.find(harness.application.id).await.unwrap().unwrap().enabled);
    harness.applications.delete(other.id).await.unwrap();
    let erased = harness.erase_application(MemoriesOfDeleted::Delete).await.unwrap();
    assert_eq!((erased.memories, erased.left), (2, vec![]));
    assert_eq!(harness.count(&harness.own()).await + harness.count(&harness.scope()).await, 0);
    assert_eq!(harness.applications.find(harness.application.id).await.unwrap(), None);
    assert!(harness.people.find(harness.person.id).await.unwrap().is_some());
}

#[tokio::test]
async fn what_an_application_left_in_its_own_space_can_be_deleted_later() {
    let harness = Harness::new();
    harness.store(&harness.own(), "own").await;
    harness.erase_application(MemoriesOfDeleted::Keep).await.unwrap();
    let again = harness.erase_application(MemoriesOfDeleted::Keep).await;
    assert!(matches!(again, Err(ErasureError::Application(ApplicationError::NotFound))), "{again:?}");
    assert_eq!(harness.erase_application(MemoriesOfDeleted::Delete).await.unwrap().memories, 1);
    assert_eq!(harness.count(&harness.own()).await, 0);
}

#[tokio::test]
async fn a_space_that_was_erased_can_be_used_again() {
    let harness = Harness::new();
    harness.store(&harness.own(), "x").await;
    harness.erase_application(MemoriesOfDeleted::Delete).await.unwrap();
    let next = Application { space: harness.application.space.clone(), ..application() };
    harness.applications.create(&next).await.unwrap();
    harness.store(&harness.own(), "y").await;
    harness.clock.advance(CHECKED_FOR);
    assert_eq!(harness.eraser.erasure.check_closed(10).await.unwrap(), 0);
    assert_eq!(harness.count(&harness.own()).await, 1);
    let unknown = MemoryScope::from_stored(space("nobody-has-it"), None);
    assert!(harness.create(&unknown, &new_memory("z")).await.is_err());
}

#[tokio::test]
async fn a_bank_that_is_unavailable_leaves_the_person_disabled_and_the_call_can_be_repeated() {
    let harness = Harness::new();
    harness.store(&harness.scope(), "x").await;
    harness.bank.outage().begin();
    assert!(matches!(harness.erase_person().await, Err(ErasureError::Bank(_))));
    assert!(!harness.people.find(harness.person.id).await.unwrap().unwrap().enabled);
    harness.bank.outage().end();
    assert_eq!(harness.erase_person().await.unwrap(), 1);
}

#[tokio::test]
async fn an_account_is_closed_whether_the_bank_is_available_or_not() {
    let harness = Harness::new();
    let space = space("another");
    harness.applications.create(&Application { space: space.clone(), ..application() }).await.unwrap();
    let scopes = [harness.scope(), MemoryScope::from_stored(space, Some(harness.person.id))];
    for scope in &scopes {
        harness.store(scope, "x").await;
        harness.accept(scope).await;
    }
    harness.bank.outage().begin();
    let closure = harness.eraser.close_account(harness.person.id).await.unwrap();
    assert!(matches!(closure, AccountClosure::GoesOn(_)), "{closure:?}");
    assert_eq!(harness.people.find(harness.person.id).await.unwrap(), None);
    assert_eq!(harness.queue.list(Undelivered::Pending, 10).await.unwrap(), []);
    harness.bank.outage().end();
    harness.clock.advance(CHECK_AFTER);
    assert_eq!(harness.eraser.erasure.check_closed(10).await.unwrap(), 2, "in every space");
    let again = harness.eraser.close_account(harness.person.id).await;
    assert!(matches!(again, Err(ErasureError::Person(PeopleError::NotFound))), "{again:?}");
}

#[tokio::test]
async fn before_a_bank_that_cannot_list_nothing_is_done_half() {
    let capabilities = Capabilities { list: false, ..InMemoryMemoryBank::CAPABILITIES };
    let harness = Harness::before(InMemoryMemoryBank::with_capabilities(capabilities));
    harness.store(&harness.scope(), "x").await;
    for refused in [
        harness.erase_person().await.err(),
        harness.eraser.close_account(harness.person.id).await.err(),
        harness.erase_application(MemoriesOfDeleted::Delete).await.err(),
    ] {
        assert!(matches!(refused, Some(ErasureError::Bank(MemoryBankError::Unsupported(_)))), "{refused:?}");
    }
    assert!(harness.people.find(harness.person.id).await.unwrap().unwrap().enabled);
    assert!(harness.applications.find(harness.application.id).await.unwrap().unwrap().enabled);
    harness.store(&harness.scope(), "nothing is closed").await;
}
