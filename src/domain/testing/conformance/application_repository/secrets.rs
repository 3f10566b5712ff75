//! The secrets of applications.

use super::{created, found, full_application, later, secret_made_at};
use crate::applications::{Application, ApplicationRepository, ChangeApplicationError, SecretHash, StoredSecret};
use crate::ids::{ApplicationId, SecretId};
use crate::testing::conformance::Fixture;
use crate::testing::{application, now, stored_secret, unique};

pub async fn secrets_come_back_with_every_member_oldest_first(fixture: Fixture<dyn ApplicationRepository>) {
    let repository = fixture.port();
    let id = created(repository, application()).await.id;
    let secrets = [
        StoredSecret { expires_at: Some(later(100)), ..secret_made_at(later(1)) },
        StoredSecret { last_used_at: Some(later(5)), ..secret_made_at(later(2)) },
        secret_made_at(later(3)),
    ];
    for number in [1, 0, 2] {
        repository.add_secret(id, &secrets[number], later(10 + number as u64)).await.unwrap();
    }
    let application = found(fixture.other_instance(), id).await;
    assert_eq!(application.secrets, secrets);
    assert_eq!(application.updated_at, later(12));
}

pub async fn there_are_never_more_secrets_than_allowed(fixture: Fixture<dyn ApplicationRepository>) {
    let repository = fixture.port();
    let id = created(repository, application()).await.id;
    for number in 0..Application::MAX_SECRETS {
        repository.add_secret(id, &secret_made_at(later(number as u64)), now()).await.unwrap();
    }
    let before = found(repository, id).await;
    let refused = repository.add_secret(id, &secret_made_at(later(9)), later(9)).await;
    assert!(matches!(refused, Err(ChangeApplicationError::TooManySecrets)), "{refused:?}");
    assert_eq!(found(repository, id).await, before);
    assert!(repository.remove_secret(id, before.secrets[0].id, later(10)).await.unwrap());
    repository.add_secret(id, &secret_made_at(later(11)), later(11)).await.unwrap();
}

pub async fn of_many_concurrent_callers_no_more_add_a_secret_than_there_is_room_for(
    fixture: Fixture<dyn ApplicationRepository>,
) {
    let application = created(fixture.port(), Application { secrets: vec![stored_secret().0], ..application() }).await;
    let id = application.id;
    let answers = fixture
        .together(20, |_, repository| async move {
            match repository.add_secret(id, &stored_secret().0, later(1)).await {
                Ok(()) => true,
                Err(ChangeApplicationError::TooManySecrets) => false,
                Err(error) => panic!("{error:?}"),
            }
        })
        .await;
    assert_eq!(answers.iter().filter(|added| **added).count(), Application::MAX_SECRETS - 1);
    assert_eq!(found(fixture.port(), id).await.secrets.len(), Application::MAX_SECRETS);
}

pub async fn a_removed_secret_is_gone_and_the_others_stay(fixture: Fixture<dyn ApplicationRepository>) {
    let repository = fixture.port();
    let mut expected = created(repository, full_application()).await;
    let removed = expected.secrets.remove(0);
    assert!(repository.remove_secret(expected.id, removed.id, later(7)).await.unwrap());
    assert!(!repository.remove_secret(expected.id, removed.id, later(8)).await.unwrap());
    expected.updated_at = later(7);
    assert_eq!(found(fixture.other_instance(), expected.id).await, expected);
}

pub async fn a_secret_of_another_application_is_not_removed(fixture: Fixture<dyn ApplicationRepository>) {
    let repository = fixture.port();
    let (one, other) = (created(repository, full_application()).await, created(repository, full_application()).await);
    assert!(!repository.remove_secret(one.id, other.secrets[0].id, now()).await.unwrap());
    assert_eq!(found(repository, other.id).await, other);
}

pub async fn the_latest_use_of_a_secret_is_kept(fixture: Fixture<dyn ApplicationRepository>) {
    let repository = fixture.port();
    let application = Application { secrets: vec![stored_secret().0, stored_secret().0], ..application() };
    let application = created(repository, application).await;
    let used = application.secrets[0].id;
    for (at, expected) in [(later(5), later(5)), (later(3), later(5)), (later(8), later(8))] {
        repository.record_secret_use(application.id, used, at).await;
        let found = found(repository, application.id).await;
        let last_uses: Vec<_> = found.secrets.iter().map(|secret| (secret.id == used, secret.last_used_at)).collect();
        assert!(last_uses.contains(&(true, Some(expected))), "{last_uses:?}");
        assert!(last_uses.contains(&(false, None)), "{last_uses:?}");
    }
}

pub async fn the_use_of_an_unknown_secret_is_passed_over(fixture: Fixture<dyn ApplicationRepository>) {
    let repository = fixture.port();
    let application = created(repository, full_application()).await;
    repository.record_secret_use(application.id, SecretId::from_uuid(unique()), later(9)).await;
    let unknown = ApplicationId::from_uuid(unique());
    repository.record_secret_use(unknown, application.secrets[0].id, later(9)).await;
    assert_eq!(found(repository, application.id).await, application);
}

pub async fn a_renewed_hash_replaces_the_one_that_was_verified_and_no_other(
    fixture: Fixture<dyn ApplicationRepository>,
) {
    let repository = fixture.port();
    let mut expected = created(repository, full_application()).await;
    let bystander = created(repository, full_application()).await;
    let stored = expected.secrets[0].clone();
    let [renewed, late] = ["renewed", "late"].map(|text| SecretHash::from_stored(text.to_owned()));
    repository.renew_secret_hash(bystander.id, &stored, &late).await;
    repository.renew_secret_hash(expected.id, &stored, &renewed).await;
    repository.renew_secret_hash(expected.id, &stored, &late).await;
    expected.secrets[0].hash = renewed;
    assert_eq!(found(fixture.other_instance(), expected.id).await, expected);
    assert_eq!(found(fixture.other_instance(), bystander.id).await, bystander);
}

pub async fn a_secret_replaces_as_many_as_there_may_be_and_nothing_else(fixture: Fixture<dyn ApplicationRepository>) {
    let repository = fixture.port();
    let (bystander, id) = (created(repository, full_application()).await, created(repository, application()).await.id);
    for number in 0..Application::MAX_SECRETS {
        repository.add_secret(id, &secret_made_at(later(number as u64)), now()).await.unwrap();
    }
    let before = found(repository, id).await;
    let secret = secret_made_at(later(8));
    assert_eq!(repository.replace_secrets(id, &secret, later(9)).await.unwrap(), Application::MAX_SECRETS);
    let expected = Application { secrets: vec![secret.clone()], updated_at: later(9), ..before };
    assert_eq!(found(fixture.other_instance(), id).await, expected);
    assert_eq!(found(repository, bystander.id).await, bystander);
    let unknown = repository.replace_secrets(ApplicationId::from_uuid(unique()), &secret_made_at(now()), now()).await;
    assert!(matches!(unknown, Err(ChangeApplicationError::NotFound)), "{unknown:?}");
}

pub async fn of_a_hundred_concurrent_replacements_one_secret_is_left(fixture: Fixture<dyn ApplicationRepository>) {
    let id = created(fixture.port(), Application { secrets: vec![stored_secret().0], ..application() }).await.id;
    let replaced = fixture
        .together(100, |_, repository| async move {
            repository.replace_secrets(id, &stored_secret().0, later(1)).await.unwrap()
        })
        .await;
    assert_eq!(replaced, vec![1; 100], "each one replaces exactly the one before it");
    assert_eq!(found(fixture.port(), id).await.secrets.len(), 1);
}

pub async fn the_latest_end_of_tokens_is_kept(fixture: Fixture<dyn ApplicationRepository>) {
    let repository = fixture.port();
    let before = created(repository, application()).await;
    for (seconds, expected) in [(5, 5), (3, 5), (9, 9)] {
        repository.revoke_tokens(before.id, later(seconds)).await.unwrap();
        let expected = Application { tokens_ended_at: Some(later(expected)), ..before.clone() };
        assert_eq!(found(fixture.other_instance(), before.id).await, expected);
    }
    repository.revoke_tokens(ApplicationId::from_uuid(unique()), now()).await.unwrap();
}
