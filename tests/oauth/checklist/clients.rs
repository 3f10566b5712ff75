//! Authentication of clients, and what happens to live tokens when an operator changes something.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use memgate::domain::applications::{
    ApplicationChanges, ClientKind, ClientSecret, GrantType, NewApplication, Permission,
};
use memgate_domain::testing::SeededEntropy;
use memgate_test_kit::database::TestDatabase;
use memgate_test_kit::gate::{TestApplication, TestGate, new_application};

use super::{Answer, GRANT, is_active, me, oauth_error, token};

/// How long a change by another process may take to be noticed.
const NOTICED_AFTER: Duration = Duration::from_secs(2);

fn well_formed_wrong_secret() -> String {
    ClientSecret::generate(&SeededEntropy::new(7)).expose().to_owned()
}

fn with_secret(application: &TestApplication, secret: &str) -> TestApplication {
    TestApplication { secret: secret.to_owned(), ..application.clone() }
}

async fn basic(gate: &TestGate, credentials: &[u8]) -> Answer {
    let header = format!("Basic {}", STANDARD.encode(credentials));
    authorized(gate, &header).await
}

async fn authorized(gate: &TestGate, header: &str) -> Answer {
    let request = gate.form("/auth/token", &[GRANT]).header("Authorization", header);
    Answer::read(request.send().await.unwrap()).await
}

pub(crate) async fn line_03_a_public_client_gets_nothing_for_client_credentials(database: TestDatabase) {
    let gate = TestGate::on(database).await;
    let grants = [GrantType::RefreshToken].into();
    let public = gate.register(NewApplication { kind: ClientKind::Public, grants, ..new_application() }).await;
    let request = gate.form("/auth/token", &[GRANT, ("client_id", &public.client_id)]);
    let answer = Answer::read(request.send().await.unwrap()).await;
    assert_eq!(oauth_error(&answer, 400), "unauthorized_client");
}

pub(crate) async fn line_09_a_wrong_secret_in_basic_is_challenged(database: TestDatabase) {
    let gate = TestGate::on(database).await;
    let application = gate.application().await;
    for secret in ["wrong", "", &well_formed_wrong_secret()] {
        let answer = basic(&gate, format!("{}:{secret}", application.client_id).as_bytes()).await;
        assert!(answer.header("www-authenticate").unwrap().starts_with("Basic realm="));
        assert_eq!(oauth_error(&answer, 401), "invalid_client");
    }
}

pub(crate) async fn line_10_an_unknown_client_and_a_wrong_secret_look_the_same(database: TestDatabase) {
    let gate = TestGate::on(database).await;
    let application = gate.application().await;
    let wrong = with_secret(&application, &well_formed_wrong_secret());
    let unknown = TestApplication { client_id: uuid::Uuid::from_u128(7).to_string(), ..wrong.clone() };
    // That both cost one hash is tested where hashes can be counted, in the domain.
    let (wrong, unknown) = (token(&gate, &wrong, &[GRANT]).await, token(&gate, &unknown, &[GRANT]).await);
    assert_eq!((wrong.status, &wrong.body), (unknown.status, &unknown.body));
    assert_eq!(oauth_error(&unknown, 401), "invalid_client");
    let without = |answer: &Answer| {
        let mut headers = answer.headers.clone();
        headers.remove("x-request-id");
        headers.remove("date");
        headers
    };
    assert_eq!(without(&wrong), without(&unknown));
}

pub(crate) async fn line_11_basic_credentials_are_form_encoded(database: TestDatabase) {
    let gate = TestGate::on(database).await;
    let application = gate.application().await;
    let every_character = |text: &str| text.bytes().fold(String::new(), |all, byte| format!("{all}%{byte:02X}"));
    let dashes = |text: &str| text.replace('-', "%2D").replace('_', "%5f");
    let plain = format!("{}:{}", application.client_id, application.secret);
    for credentials in [
        plain.clone(),
        format!("{}:{}", dashes(&application.client_id), dashes(&application.secret)),
        format!("{}:{}", every_character(&application.client_id), every_character(&application.secret)),
    ] {
        assert_eq!(basic(&gate, credentials.as_bytes()).await.status, 200, "{credentials}");
    }
    let unpadded = STANDARD.encode(&plain);
    for header in [format!("bAsIc {unpadded}"), format!("Basic {}", unpadded.trim_end_matches('='))] {
        assert_eq!(authorized(&gate, &header).await.status, 200, "{header}");
    }
    for malformed in [b"a".as_slice(), b"", b"%zz:a", b"a:%", b"\xff\xfe:a", b":", b"a%00:b", "é:+".as_bytes()] {
        assert_eq!(oauth_error(&basic(&gate, malformed).await, 401), "invalid_client", "{malformed:?}");
    }
    for malformed in ["Basic", "Basic ", "Basic !", "Basic a b", "Bearer a", "", "Basic:a"] {
        assert_eq!(oauth_error(&authorized(&gate, malformed).await, 401), "invalid_client", "{malformed}");
    }
}

pub(crate) async fn line_12_credentials_in_header_and_body_are_refused(database: TestDatabase) {
    let gate = TestGate::on(database).await;
    let application = gate.application().await;
    let (id, secret) = (&*application.client_id, &*application.secret);
    for body in [
        &[GRANT, ("client_id", id), ("client_secret", secret)][..],
        &[GRANT, ("client_secret", secret)],
        &[GRANT, ("client_id", "another")],
    ] {
        let request = gate.form("/auth/token", body).basic_auth(id, Some(secret));
        let answer = Answer::read(request.send().await.unwrap()).await;
        assert_eq!(oauth_error(&answer, 400), "invalid_request", "{body:?}");
    }
    let header = format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")));
    let twice = gate.form("/auth/token", &[GRANT]).header("Authorization", &header).header("Authorization", &header);
    assert_eq!(oauth_error(&Answer::read(twice.send().await.unwrap()).await, 400), "invalid_request");
}

pub(crate) async fn line_13_who_guesses_waits_and_nobody_else(database: TestDatabase) {
    let gate = TestGate::configured(database, &[("MEMGATE_TRUSTED_PROXIES", "127.0.0.0/8")]).await;
    let application = gate.application().await;
    let from = |secret: &str, address: &str| {
        let parameters = [GRANT, ("client_id", &*application.client_id), ("client_secret", secret)];
        let request = gate.form("/auth/token", &parameters).header("X-Forwarded-For", address);
        async { Answer::read(request.send().await.unwrap()).await }
    };
    let (wrong, guesser, other) = (well_formed_wrong_secret(), "203.0.113.7", "198.51.100.9");
    let mut answer = from(&wrong, guesser).await;
    for _ in 0..20 {
        if answer.status == 429 {
            break;
        }
        assert_eq!(oauth_error(&answer, 401), "invalid_client");
        answer = from(&wrong, guesser).await;
    }
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert_eq!(oauth_error(&answer, 429), "slow_down");
    // Not even the right secret helps a guesser, nor the claim to be somebody else.
    assert_eq!(from(&application.secret, guesser).await.status, 429);
    assert_eq!(from(&application.secret, &format!("{other}, {guesser}")).await.status, 429);

    assert_eq!(from(&application.secret, other).await.status, 200);
    let neighbour = gate.application().await;
    assert_eq!(token(&gate, &neighbour, &[GRANT]).await.status, 200);

    gate.advance(Duration::from_secs(wait));
    assert_eq!(from(&application.secret, guesser).await.status, 200);
}

pub(crate) async fn line_14_a_longer_secret_that_begins_alike_is_wrong(database: TestDatabase) {
    let gate = TestGate::on(database).await;
    let application = gate.application().await;
    assert_eq!(token(&gate, &application, &[GRANT]).await.status, 200);
    for tail in ["a", &"a".repeat(72), &application.secret.clone(), &"é".repeat(5000)] {
        let longer = with_secret(&application, &format!("{}{tail}", application.secret));
        assert_eq!(oauth_error(&token(&gate, &longer, &[GRANT]).await, 401), "invalid_client");
    }
}

pub(crate) async fn line_36_two_secrets_overlap_and_a_removed_one_is_refused(database: TestDatabase) {
    let gate = TestGate::on(database).await;
    let first = gate.application().await;
    assert_eq!(token(&gate, &first, &[GRANT]).await.status, 200);
    let operator = gate.applications();
    let issued = operator.add_secret(first.id, Some(Duration::from_hours(1))).await.unwrap();
    gate.advance(NOTICED_AFTER);
    let second = with_secret(&first, issued.secret.expose());
    for application in [&first, &second, &first] {
        assert_eq!(token(&gate, application, &[GRANT]).await.status, 200);
    }

    let stored = operator.get(first.id).await.unwrap();
    let oldest = stored.secrets.iter().find(|secret| secret.id != issued.stored.id).unwrap();
    operator.remove_secret(first.id, oldest.id).await.unwrap();
    gate.advance(NOTICED_AFTER);
    assert_eq!(oauth_error(&token(&gate, &first, &[GRANT]).await, 401), "invalid_client");
    assert_eq!(token(&gate, &second, &[GRANT]).await.status, 200);

    gate.advance(Duration::from_hours(1));
    assert_eq!(oauth_error(&token(&gate, &second, &[GRANT]).await, 401), "invalid_client");
}

pub(crate) async fn line_37_disabling_and_losing_a_permission_act_on_live_tokens(database: TestDatabase) {
    let gate = TestGate::on(database).await;
    let application = gate.application().await;
    let access_token = gate.access_token(&application).await;
    let memory = gate.remember(&access_token, "a").await["memory_id"].as_str().unwrap().to_owned();
    let delete = || gate.http.delete(gate.url(&format!("/api/v1/memories/{memory}"))).bearer_auth(&access_token).send();

    let operator = gate.applications();
    let permissions = Some([Permission::MemoryRead].into_iter().collect());
    operator.update(application.id, &ApplicationChanges { permissions, ..Default::default() }).await.unwrap();
    gate.advance(NOTICED_AFTER);
    assert_eq!(delete().await.unwrap().status(), 403);
    gate.search(&access_token, "a").await;

    operator.set_enabled(application.id, false).await.unwrap();
    gate.advance(NOTICED_AFTER);
    let answer = me(&gate, &access_token).await;
    assert_eq!(answer.status, 401);
    assert!(answer.header("www-authenticate").unwrap().contains("invalid_token"));
    assert_eq!(oauth_error(&token(&gate, &application, &[GRANT]).await, 401), "invalid_client");

    operator.set_enabled(application.id, true).await.unwrap();
    gate.advance(NOTICED_AFTER);
    assert_eq!(me(&gate, &access_token).await.status, 200);
    assert!(is_active(&gate, &application, &access_token).await);
}
