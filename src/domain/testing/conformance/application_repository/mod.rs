//! The contract of [`ApplicationRepository`].

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::Fixture;
use crate::applications::{
    Application, ApplicationChanges, ApplicationRepository, CategoryAccess, ChangeApplicationError, ClientKind,
    CreateApplicationError, GrantType, GrantTypes, Permission, Permissions, PkceRule, RegisteredBy, RequestsPerMinute,
    Resource, StoredSecret, TokenLifetime,
};
use crate::ids::{ApplicationId, SecretId};
use crate::system::Timestamp;
use crate::testing::{application, categories, now, space, stored_secret, unique};

mod secrets;

pub use secrets::*;

/// Generates a test per case of this suite.
#[doc(hidden)]
#[macro_export]
macro_rules! application_repository_cases {
    ($fixture:expr) => {
        $crate::conformance_cases!(
            application_repository,
            dyn $crate::applications::ApplicationRepository,
            $fixture,
            [
                an_application_comes_back_with_every_member,
                a_plain_application_comes_back_as_plain_as_it_was,
                a_client_id_need_not_be_the_id,
                an_unknown_application_is_none,
                an_id_is_taken_once,
                a_client_id_is_taken_once,
                of_a_hundred_concurrent_callers_exactly_one_creates_an_application,
                applications_are_counted_by_who_registered_them,
                applications_are_listed_in_pages_in_the_order_of_their_ids,
                each_change_alone_leaves_everything_else_as_it_was,
                what_was_set_can_be_taken_away_again,
                an_unknown_application_cannot_be_changed,
                concurrent_changes_of_different_members_are_all_kept,
                of_concurrent_changes_that_exclude_each_other_one_kind_is_refused,
                an_instance_sees_its_own_changes_at_once,
                a_deleted_application_is_gone_and_so_are_its_secrets,
                secrets_come_back_with_every_member_oldest_first,
                there_are_never_more_secrets_than_allowed,
                of_many_concurrent_callers_no_more_add_a_secret_than_there_is_room_for,
                a_removed_secret_is_gone_and_the_others_stay,
                a_secret_of_another_application_is_not_removed,
                a_secret_replaces_as_many_as_there_may_be_and_nothing_else,
                of_a_hundred_concurrent_replacements_one_secret_is_left,
                the_latest_end_of_tokens_is_kept,
                the_latest_use_of_a_secret_is_kept,
                the_use_of_an_unknown_secret_is_passed_over,
                a_renewed_hash_replaces_the_one_that_was_verified_and_no_other,
            ]
        );
    };
}

fn later(seconds: u64) -> Timestamp {
    now().plus(Duration::from_secs(seconds))
}

fn lifetime(seconds: u64) -> TokenLifetime {
    Duration::from_secs(seconds).try_into().unwrap()
}

fn limited(names: &[&str]) -> CategoryAccess {
    CategoryAccess::Only(BTreeSet::from_iter(categories(names)))
}

fn rate(number: u32) -> RequestsPerMinute {
    number.try_into().unwrap()
}

fn secret_made_at(created_at: Timestamp) -> StoredSecret {
    StoredSecret { created_at, ..stored_secret().0 }
}

/// An application with unusual values in every member.
fn full_application() -> Application {
    Application {
        registered_by: RegisteredBy::Document { confirmed_at: now().minus(Duration::from_millis(77)) },
        name: "Reise-Planer „Zürich“ 🦊 ' \" \\ %".parse().unwrap(),
        permissions: [Permission::MemoryRead, Permission::MemoryDelete].into_iter().collect(),
        grants: GrantTypes::from([GrantType::AuthorizationCode, GrantType::RefreshToken]),
        redirect_uris: [
            "https://chatgpt.com/aip/g-1/oauth/callback?a=1,2&b=%20",
            "com.example.app:/callback",
            "gpt-callback",
        ]
        .map(|uri| uri.parse().unwrap())
        .into(),
        pkce: PkceRule::Optional,
        default_resource: Resource::Mcp,
        space: space("Shared_space-1.x"),
        categories: limited(&["travel", "with, comma", "naïve \"quotes\"", "日本"]),
        rate_limit: Some(rate(1_000_000)),
        access_token_ttl: Some(lifetime(86_400)),
        refresh_token_ttl: Some(lifetime(31_622_400)),
        enabled: false,
        tokens_ended_at: Some(now().minus(Duration::from_millis(7))),
        secrets: vec![
            StoredSecret {
                expires_at: Some(now().plus(Duration::from_millis(1))),
                last_used_at: Some(now().minus(Duration::from_millis(1))),
                ..secret_made_at(now().minus(Duration::from_secs(9)))
            },
            secret_made_at(now()),
        ],
        created_at: now().minus(Duration::from_millis(12_345)),
        updated_at: now().plus(Duration::from_millis(1)),
        ..application()
    }
}

async fn created(repository: &dyn ApplicationRepository, application: Application) -> Application {
    repository.create(&application).await.unwrap();
    application
}

async fn found(repository: &dyn ApplicationRepository, id: ApplicationId) -> Application {
    Application::clone(&*repository.find(id).await.unwrap().expect("the application is there"))
}

pub async fn an_application_comes_back_with_every_member(fixture: Fixture<dyn ApplicationRepository>) {
    let full = created(fixture.port(), full_application()).await;
    assert_eq!(found(fixture.other_instance(), full.id).await, full);
    let by_client_id = fixture.port().find_by_client_id(&full.client_id).await.unwrap();
    assert_eq!(by_client_id.as_deref(), Some(&full));
    assert_eq!(fixture.port().list(None, 10).await.unwrap(), [Arc::new(full)]);
}

pub async fn a_plain_application_comes_back_as_plain_as_it_was(fixture: Fixture<dyn ApplicationRepository>) {
    let plain = Application {
        kind: ClientKind::Public,
        permissions: Permissions::default(),
        grants: GrantTypes::new(),
        categories: limited(&[]),
        ..application()
    };
    let plain = created(fixture.port(), plain).await;
    assert_eq!(found(fixture.port(), plain.id).await, plain);
}

pub async fn a_client_id_need_not_be_the_id(fixture: Fixture<dyn ApplicationRepository>) {
    let client_id = "https://client.example/metadata.json?a=%27".parse().unwrap();
    let application = created(fixture.port(), Application { client_id, ..application() }).await;
    let found = fixture.port().find_by_client_id(&application.client_id).await.unwrap();
    assert_eq!(found.as_deref(), Some(&application));
    assert_eq!(fixture.port().find_by_client_id(&application.id.into()).await.unwrap(), None);
}

pub async fn an_unknown_application_is_none(fixture: Fixture<dyn ApplicationRepository>) {
    let id = ApplicationId::from_uuid(unique());
    assert_eq!(fixture.port().find(id).await.unwrap(), None);
    assert_eq!(fixture.port().find_by_client_id(&id.into()).await.unwrap(), None);
    let similar = Application { client_id: "Client".parse().unwrap(), ..application() };
    created(fixture.port(), similar).await;
    for other in ["client", "Client%", "Clien_"] {
        assert_eq!(fixture.port().find_by_client_id(&other.parse().unwrap()).await.unwrap(), None, "{other}");
    }
}

pub async fn applications_are_counted_by_who_registered_them(fixture: Fixture<dyn ApplicationRepository>) {
    let at = |millis| RegisteredBy::Document { confirmed_at: now().plus(Duration::from_millis(millis)) };
    for by in [RegisteredBy::Operator, RegisteredBy::Itself, RegisteredBy::Itself, at(1), at(2), at(3)] {
        created(fixture.port(), Application { registered_by: by, ..application() }).await;
    }
    for (by, expected) in [(RegisteredBy::Operator, 1), (RegisteredBy::Itself, 2), (at(9), 3)] {
        assert_eq!(fixture.other_instance().count_registered_by(by).await.unwrap(), expected, "{by:?}");
    }
}

pub async fn an_id_is_taken_once(fixture: Fixture<dyn ApplicationRepository>) {
    let first = created(fixture.port(), full_application()).await;
    let second = Application { id: first.id, ..full_application() };
    let refused = fixture.port().create(&second).await;
    assert!(matches!(refused, Err(CreateApplicationError::Exists)), "{refused:?}");
    assert_eq!(found(fixture.port(), first.id).await, first);
    assert_eq!(fixture.port().find_by_client_id(&second.client_id).await.unwrap(), None);
}

pub async fn a_client_id_is_taken_once(fixture: Fixture<dyn ApplicationRepository>) {
    let first = created(fixture.port(), full_application()).await;
    let second = Application { client_id: first.client_id.clone(), ..full_application() };
    let refused = fixture.port().create(&second).await;
    assert!(matches!(refused, Err(CreateApplicationError::Exists)), "{refused:?}");
    assert_eq!(found(fixture.port(), first.id).await, first);
    assert_eq!(fixture.port().find(second.id).await.unwrap(), None);
}

pub async fn of_a_hundred_concurrent_callers_exactly_one_creates_an_application(
    fixture: Fixture<dyn ApplicationRepository>,
) {
    let first = full_application();
    let client_id = first.client_id;
    let applications: Vec<Application> =
        (0..100).map(|_| Application { client_id: client_id.clone(), ..full_application() }).collect();
    let answers = fixture
        .together(applications.len(), |number, repository| {
            let application = applications[number].clone();
            async move {
                match repository.create(&application).await {
                    Ok(()) => true,
                    Err(CreateApplicationError::Exists) => false,
                    Err(error) => panic!("{error:?}"),
                }
            }
        })
        .await;
    assert_eq!(answers.iter().filter(|created| **created).count(), 1);
    let winner = &applications[answers.iter().position(|created| *created).unwrap()];
    assert_eq!(fixture.port().list(None, 100).await.unwrap(), [Arc::new(winner.clone())]);
}

pub async fn applications_are_listed_in_pages_in_the_order_of_their_ids(fixture: Fixture<dyn ApplicationRepository>) {
    let repository = fixture.port();
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(created(repository, full_application()).await.id);
    }
    ids.sort();
    let page = async |after, limit| -> Vec<ApplicationId> {
        repository.list(after, limit).await.unwrap().iter().map(|application| application.id).collect()
    };
    assert_eq!(page(None, 100).await, ids);
    assert_eq!(page(None, 2).await, ids[..2]);
    assert_eq!(page(Some(ids[1]), 2).await, ids[2..4]);
    assert_eq!(page(Some(ids[3]), 2).await, ids[4..]);
    assert_eq!(page(Some(ids[4]), 2).await, []);
    repository.delete(ids[1]).await.unwrap();
    assert_eq!(page(Some(ids[1]), 2).await, ids[2..4], "the list goes on where an application was deleted");
}

/// A change of each member by itself.
fn single_changes() -> [ApplicationChanges; 12] {
    let none = ApplicationChanges::default;
    [
        ApplicationChanges { name: Some("Another name".parse().unwrap()), ..none() },
        ApplicationChanges { permissions: Some([Permission::MemoryWrite].into_iter().collect()), ..none() },
        ApplicationChanges { grants: Some([GrantType::ClientCredentials].into()), ..none() },
        ApplicationChanges { redirect_uris: Some(vec!["https://a.example/b".parse().unwrap()]), ..none() },
        ApplicationChanges { pkce: Some(PkceRule::Required), ..none() },
        ApplicationChanges { default_resource: Some(Resource::Api), ..none() },
        ApplicationChanges { space: Some(space("another")), ..none() },
        ApplicationChanges { categories: Some(limited(&["work"])), ..none() },
        ApplicationChanges { rate_limit: Some(Some(rate(1))), ..none() },
        ApplicationChanges { access_token_ttl: Some(Some(lifetime(1))), ..none() },
        ApplicationChanges { refresh_token_ttl: Some(Some(lifetime(2))), ..none() },
        ApplicationChanges { enabled: Some(false), ..none() },
    ]
}

pub async fn each_change_alone_leaves_everything_else_as_it_was(fixture: Fixture<dyn ApplicationRepository>) {
    let repository = fixture.port();
    let full = Application { enabled: true, ..full_application() };
    let mut expected = created(repository, full).await;
    let other = created(repository, full_application()).await;
    for (number, changes) in (1..).zip(single_changes()) {
        let before = expected.clone();
        changes.apply_to(&mut expected, later(number));
        assert_ne!(Application { updated_at: before.updated_at, ..expected.clone() }, before, "{changes:?}");
        let answer = repository.update(expected.id, &changes, later(number)).await.unwrap();
        assert_eq!(*answer, expected, "{changes:?}");
        assert_eq!(found(fixture.other_instance(), expected.id).await, expected, "{changes:?}");
    }
    assert_eq!(found(repository, other.id).await, other, "another application is not concerned");
}

pub async fn what_was_set_can_be_taken_away_again(fixture: Fixture<dyn ApplicationRepository>) {
    let mut expected = created(fixture.port(), full_application()).await;
    let changes = ApplicationChanges {
        grants: Some([GrantType::ClientCredentials].into()),
        redirect_uris: Some(Vec::new()),
        categories: Some(CategoryAccess::All),
        rate_limit: Some(None),
        access_token_ttl: Some(None),
        refresh_token_ttl: Some(None),
        enabled: Some(true),
        ..ApplicationChanges::default()
    };
    changes.apply_to(&mut expected, later(1));
    assert_eq!(*fixture.port().update(expected.id, &changes, later(1)).await.unwrap(), expected);
    assert_eq!(found(fixture.port(), expected.id).await, expected);
}

pub async fn an_unknown_application_cannot_be_changed(fixture: Fixture<dyn ApplicationRepository>) {
    let (repository, id) = (fixture.port(), ApplicationId::from_uuid(unique()));
    let [changes, ..] = single_changes();
    let answer = repository.update(id, &changes, now()).await;
    assert!(matches!(answer, Err(ChangeApplicationError::NotFound)), "{answer:?}");
    let answer = repository.add_secret(id, &stored_secret().0, now()).await;
    assert!(matches!(answer, Err(ChangeApplicationError::NotFound)), "{answer:?}");
    assert!(!repository.remove_secret(id, SecretId::from_uuid(unique()), now()).await.unwrap());
    assert!(!repository.delete(id).await.unwrap());
}

pub async fn concurrent_changes_of_different_members_are_all_kept(fixture: Fixture<dyn ApplicationRepository>) {
    let mut expected = created(fixture.port(), application()).await;
    let (id, changes) = (expected.id, single_changes());
    fixture
        .together(changes.len(), |number, repository| {
            let change = changes[number].clone();
            async move { repository.update(id, &change, later(1)).await.unwrap() }
        })
        .await;
    for change in &changes {
        change.apply_to(&mut expected, later(1));
    }
    assert_eq!(found(fixture.port(), id).await, expected);
}

pub async fn of_concurrent_changes_that_exclude_each_other_one_kind_is_refused(
    fixture: Fixture<dyn ApplicationRepository>,
) {
    let application = Application {
        grants: [GrantType::ClientCredentials].into(),
        redirect_uris: vec!["https://a.example/b".parse().unwrap()],
        ..application()
    };
    let id = created(fixture.port(), application).await.id;
    // Each is consistent with what is there. An application that asks people needs a redirect URI.
    let changes = [
        ApplicationChanges { grants: Some([GrantType::AuthorizationCode].into()), ..ApplicationChanges::default() },
        ApplicationChanges { redirect_uris: Some(Vec::new()), ..ApplicationChanges::default() },
    ];
    let answers = fixture
        .together(20, |number, repository| {
            let change = changes[number % 2].clone();
            async move {
                match repository.update(id, &change, later(1)).await {
                    Ok(updated) => updated.check_consistency().is_ok(),
                    Err(ChangeApplicationError::Inconsistent(invalid)) => {
                        assert_eq!(invalid.field(), "redirect_uris");
                        false
                    }
                    Err(error) => panic!("{error:?}"),
                }
            }
        })
        .await;
    assert!(answers.chunks(2).all(|pair| pair == [true, false]) || answers.chunks(2).all(|pair| pair == [false, true]));
    found(fixture.other_instance(), id).await.check_consistency().unwrap();
}

pub async fn an_instance_sees_its_own_changes_at_once(fixture: Fixture<dyn ApplicationRepository>) {
    let repository = fixture.port();
    let application = application();
    assert_eq!(repository.find_by_client_id(&application.client_id).await.unwrap(), None);
    repository.create(&application).await.unwrap();
    let seen = async || repository.find_by_client_id(&application.client_id).await.unwrap();
    assert!(seen().await.is_some(), "created");
    let [.., disabled] = single_changes();
    repository.update(application.id, &disabled, later(1)).await.unwrap();
    assert!(seen().await.is_some_and(|application| !application.enabled), "disabled");
    let (secret, _) = stored_secret();
    repository.add_secret(application.id, &secret, later(2)).await.unwrap();
    assert!(seen().await.is_some_and(|application| application.secrets.len() == 1), "secret added");
    repository.remove_secret(application.id, secret.id, later(3)).await.unwrap();
    assert!(seen().await.is_some_and(|application| application.secrets.is_empty()), "secret removed");
    repository.delete(application.id).await.unwrap();
    assert!(seen().await.is_none(), "deleted");
}

pub async fn a_deleted_application_is_gone_and_so_are_its_secrets(fixture: Fixture<dyn ApplicationRepository>) {
    let repository = fixture.port();
    let (gone, other) = (full_application(), full_application());
    repository.create(&gone).await.unwrap();
    repository.create(&other).await.unwrap();
    assert!(repository.delete(gone.id).await.unwrap());
    assert!(!repository.delete(gone.id).await.unwrap());
    assert_eq!(fixture.other_instance().find(gone.id).await.unwrap(), None);
    assert_eq!(repository.list(None, 10).await.unwrap(), [Arc::new(other)]);
    let reborn = created(repository, Application { secrets: Vec::new(), ..gone }).await;
    assert_eq!(found(repository, reborn.id).await, reborn, "its old secrets do not come back");
}
