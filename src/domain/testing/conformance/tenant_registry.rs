//! The contract of [`TenantRegistry`], together with the people and the applications that own the tenants.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::Fixture;
use crate::applications::{Application, ApplicationChanges, ApplicationRepository};
use crate::memories::{Tenant, TenantGroup, TenantRegistry};
use crate::people::{Person, PersonRepository};
use crate::system::Timestamp;
use crate::testing::{application, now, person};

/// The tenants, and who owns them.
pub struct Owners {
    /// The people.
    pub people: Arc<dyn PersonRepository>,
    /// The applications.
    pub applications: Arc<dyn ApplicationRepository>,
    /// The tenants.
    pub tenants: Arc<dyn TenantRegistry>,
}

/// Generates a test per case of this suite.
#[doc(hidden)]
#[macro_export]
macro_rules! tenant_registry_cases {
    ($fixture:expr) => {
        $crate::conformance_cases!(
            tenant_registry,
            $crate::testing::conformance::tenant_registry::Owners,
            $fixture,
            [
                a_tenant_is_admitted_while_its_owners_are_enabled_and_known_afterwards,
                tenants_are_listed_by_person_by_space_and_one_by_one,
                a_tenant_that_is_known_and_open_outlives_its_owners,
                a_closed_tenant_is_opened_for_owners_who_are_there_and_for_nobody_else,
                of_a_hundred_callers_none_opens_a_tenant_whose_person_has_been_disabled,
                a_closed_tenant_is_due_once_and_again_later,
                of_a_hundred_concurrent_callers_one_takes_what_is_due,
                only_a_closed_tenant_is_forgotten,
            ]
        );
    };
}

fn later(seconds: u64) -> Timestamp {
    now().plus(Duration::from_secs(seconds))
}

async fn owners(owners: &Owners) -> (Application, Person) {
    let (application, person) = (application(), person());
    owners.applications.create(&application).await.unwrap();
    owners.people.create(&person).await.unwrap();
    (application, person)
}

fn own(application: &Application) -> Tenant {
    Tenant { space: application.space.clone(), person: None }
}

fn of(application: &Application, person: &Person) -> Tenant {
    Tenant { space: application.space.clone(), person: Some(person.id) }
}

async fn is_admitted(owners: &Owners, tenant: &Tenant) -> bool {
    let admitted = owners.tenants.admit(tenant).await.unwrap();
    let listed = owners.tenants.list(&TenantGroup::One(tenant.clone())).await.unwrap();
    assert!(!admitted || listed == std::slice::from_ref(tenant), "what is admitted is known");
    admitted
}

async fn disable(owners: &Owners, application: &Application) {
    let changes = ApplicationChanges { enabled: Some(false), ..ApplicationChanges::default() };
    owners.applications.update(application.id, &changes, now()).await.unwrap();
}

pub async fn a_tenant_is_admitted_while_its_owners_are_enabled_and_known_afterwards(fixture: Fixture<Owners>) {
    let port = fixture.port();
    let ((one, marta), (other, anna)) = (owners(port).await, owners(port).await);
    for tenant in [own(&one), of(&one, &marta), of(&one, &anna)] {
        assert!(is_admitted(port, &tenant).await);
        assert!(is_admitted(fixture.other_instance(), &tenant).await);
    }
    assert!(!is_admitted(port, &of(&one, &person())).await, "nobody knows this person");
    assert!(!is_admitted(port, &own(&application())).await, "nobody has this space");
    port.people.set_enabled(anna.id, false, now()).await.unwrap();
    assert!(!is_admitted(port, &of(&other, &anna)).await);
    disable(port, &other).await;
    assert!(!is_admitted(port, &own(&other)).await);
    assert!(!is_admitted(port, &of(&other, &marta)).await);
    assert_eq!(port.tenants.list(&TenantGroup::InSpace(other.space)).await.unwrap(), []);
}

pub async fn tenants_are_listed_by_person_by_space_and_one_by_one(fixture: Fixture<Owners>) {
    let port = fixture.port();
    let ((one, marta), (other, anna)) = (owners(port).await, owners(port).await);
    let all = [own(&one), of(&one, &marta), of(&one, &anna), own(&other), of(&other, &marta)];
    for tenant in &all {
        assert!(is_admitted(port, tenant).await);
    }
    for (group, expected) in [
        (TenantGroup::OfPerson(marta.id), vec![all[1].clone(), all[4].clone()]),
        (TenantGroup::OfPerson(anna.id), vec![all[2].clone()]),
        (TenantGroup::InSpace(one.space.clone()), all[..3].to_vec()),
        (TenantGroup::One(all[3].clone()), vec![all[3].clone()]),
        (TenantGroup::OfPerson(person().id), vec![]),
    ] {
        let listed = fixture.other_instance().tenants.list(&group).await.unwrap();
        assert!(listed.is_sorted_by_key(Tenant::key));
        assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), expected.into_iter().collect(), "{group:?}");
    }
}

pub async fn a_tenant_that_is_known_and_open_outlives_its_owners(fixture: Fixture<Owners>) {
    let port = fixture.port();
    let (application, person) = owners(port).await;
    let tenant = of(&application, &person);
    assert!(is_admitted(port, &tenant).await);
    port.applications.delete(application.id).await.unwrap();
    port.people.delete(person.id).await.unwrap();
    assert_eq!(fixture.other_instance().tenants.list(&TenantGroup::OfPerson(person.id)).await.unwrap(), [tenant]);
}

pub async fn a_closed_tenant_is_opened_for_owners_who_are_there_and_for_nobody_else(fixture: Fixture<Owners>) {
    let port = fixture.port();
    let (application, person) = owners(port).await;
    let tenants = [own(&application), of(&application, &person)];
    for tenant in &tenants {
        port.tenants.close(tenant, now(), later(1)).await.unwrap();
    }
    for tenant in &tenants {
        assert!(is_admitted(fixture.other_instance(), tenant).await);
        port.tenants.close(tenant, now(), later(1)).await.unwrap();
    }
    disable(port, &application).await;
    for tenant in &tenants {
        assert!(!is_admitted(fixture.other_instance(), tenant).await);
    }
}

pub async fn of_a_hundred_callers_none_opens_a_tenant_whose_person_has_been_disabled(fixture: Fixture<Owners>) {
    let (application, person) = owners(fixture.port()).await;
    let tenant = of(&application, &person);
    let answers = fixture
        .together(101, |number, port| {
            let (tenant, id) = (tenant.clone(), person.id);
            async move {
                if number != 50 {
                    port.tenants.admit(&tenant).await.unwrap();
                    return None;
                }
                port.people.set_enabled(id, false, now()).await.unwrap();
                Some(port.tenants.list(&TenantGroup::OfPerson(id)).await.unwrap())
            }
        })
        .await;
    let listed = answers.into_iter().flatten().next().unwrap();
    let left = fixture.port().tenants.list(&TenantGroup::OfPerson(person.id)).await.unwrap();
    assert_eq!(left, listed, "what was not there when the person had been disabled did not come");
}

pub async fn a_closed_tenant_is_due_once_and_again_later(fixture: Fixture<Owners>) {
    let tenants = &fixture.port().tenants;
    let (application, _) = owners(fixture.port()).await;
    let tenant = own(&application);
    tenants.close(&tenant, now(), later(10)).await.unwrap();
    assert_eq!(tenants.take_due(later(9), later(20), 10).await.unwrap(), []);
    assert_eq!(tenants.take_due(later(10), later(20), 0).await.unwrap(), []);
    assert_eq!(tenants.take_due(later(10), later(20), 10).await.unwrap(), [(tenant.clone(), now())]);
    let other = &fixture.other_instance().tenants;
    assert_eq!(other.take_due(later(19), later(30), 10).await.unwrap(), []);
    assert_eq!(other.take_due(later(20), later(30), 10).await.unwrap(), [(tenant.clone(), now())]);
    assert!(is_admitted(fixture.port(), &tenant).await);
    assert_eq!(other.take_due(later(40), later(50), 10).await.unwrap(), [], "it is open again");
}

pub async fn of_a_hundred_concurrent_callers_one_takes_what_is_due(fixture: Fixture<Owners>) {
    let (application, _) = owners(fixture.port()).await;
    fixture.port().tenants.close(&own(&application), now(), now()).await.unwrap();
    let taken = fixture
        .together(100, |_, port| async move { port.tenants.take_due(now(), later(60), 10).await.unwrap().len() })
        .await;
    assert_eq!(taken.iter().sum::<usize>(), 1);
}

pub async fn only_a_closed_tenant_is_forgotten(fixture: Fixture<Owners>) {
    let port = fixture.port();
    let (application, person) = owners(port).await;
    let (open, closed) = (own(&application), of(&application, &person));
    assert!(is_admitted(port, &open).await);
    port.tenants.close(&closed, now(), now()).await.unwrap();
    for tenant in [&open, &closed] {
        fixture.other_instance().tenants.forget(tenant).await.unwrap();
    }
    assert_eq!(port.tenants.list(&TenantGroup::InSpace(application.space)).await.unwrap(), [open]);
}
