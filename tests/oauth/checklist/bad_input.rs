//! Input that nobody sends by mistake.

use memgate_test_kit::database::TestDatabase;
use memgate_test_kit::gate::TestGate;

use super::{Answer, GRANT, about, is_active, me, oauth_error, token};

pub(crate) async fn control_characters_are_refused_in_every_parameter(database: TestDatabase) {
    let gate = TestGate::on(database).await;
    let application = gate.application().await;
    let tokens = gate.tokens(&application).await;
    let (access, refresh) = (tokens["access_token"].as_str().unwrap(), tokens["refresh_token"].as_str().unwrap());
    let (id, secret) = (&*application.client_id, &*application.secret);
    let requests = [
        (
            "/auth/token",
            vec![GRANT, ("client_id", id), ("client_secret", secret), ("scope", "memory:read"), ("x", "y")],
        ),
        (
            "/auth/token",
            vec![
                ("grant_type", "refresh_token"),
                ("client_id", id),
                ("client_secret", secret),
                ("refresh_token", refresh),
            ],
        ),
        (
            "/auth/revoke",
            vec![("client_id", id), ("client_secret", secret), ("token", access), ("token_type_hint", "access_token")],
        ),
        ("/auth/introspect", vec![("client_id", id), ("client_secret", secret), ("token", access)]),
    ];
    for (path, parameters) in requests {
        for broken in 0..parameters.len() {
            for control in ["\0", "\n", "\r\n", "\u{7f}"] {
                for value in
                    [format!("{control}{}", parameters[broken].1), format!("{}{control}", parameters[broken].1)]
                {
                    let mut parameters = parameters.clone();
                    parameters[broken].1 = &value;
                    let answer = Answer::read(gate.form(path, &parameters).send().await.unwrap()).await;
                    assert_eq!(oauth_error(&answer, 400), "invalid_request", "{path} {:?}", parameters[broken]);
                }
            }
        }
    }
    assert!(is_active(&gate, &application, access).await, "nothing was revoked");
    assert!(is_active(&gate, &application, refresh).await, "nothing was used");
}

pub(crate) async fn a_scope_is_divided_by_spaces_and_by_nothing_else(database: TestDatabase) {
    let gate = TestGate::on(database).await;
    let application = gate.application().await;
    for (asked, granted) in [
        (" memory:read", "memory:read"),
        ("memory:read ", "memory:read"),
        ("memory:write   memory:read", "memory:read memory:write"),
    ] {
        assert_eq!(token(&gate, &application, &[GRANT, ("scope", asked)]).await.text("scope"), granted, "{asked:?}");
    }
    for odd in
        ["memory:read\u{a0}memory:write", "memory:read\u{2003}", "\u{feff}memory:read", "memory: read", "+", "\""]
    {
        let answer = token(&gate, &application, &[GRANT, ("scope", odd)]).await;
        assert_eq!(oauth_error(&answer, 400), "invalid_scope", "{odd:?}");
    }
    let tab = token(&gate, &application, &[GRANT, ("scope", "memory:read\tmemory:write")]).await;
    assert_eq!(oauth_error(&tab, 400), "invalid_request");
}

pub(crate) async fn input_of_absurd_size_is_refused_and_the_next_request_answered(database: TestDatabase) {
    let gate = TestGate::on(database).await;
    let application = gate.application().await;
    let access = gate.access_token(&application).await;
    let megabyte = "a".repeat(1 << 20);
    let large = "a".repeat(200_000);
    let dots = ".".repeat(10_000);

    for path in ["/auth/revoke", "/auth/introspect"] {
        let answer = about(&gate, path, &application, &[("token", &megabyte)]).await;
        assert_eq!(oauth_error(&answer, 413), "invalid_request");
    }
    for token in [&dots, &large] {
        assert!(!is_active(&gate, &application, token).await);
        let refresh = [("grant_type", "refresh_token"), ("refresh_token", token)];
        let answer = super::token(&gate, &application, &refresh).await;
        assert_eq!(oauth_error(&answer, 400), "invalid_grant");
    }
    assert_eq!(me(&gate, &dots).await.status, 401);
    // A header of that size ends the connection, with or without an answer.
    let header = gate.http.get(gate.url("/api/v1/me")).bearer_auth(&megabyte).send().await;
    assert!(header.is_err() || header.is_ok_and(|answer| [400, 401, 431].contains(&answer.status().as_u16())));

    let names: Vec<String> = (0..10_000).map(|number| format!("p{number}")).collect();
    let members: Vec<(&str, &str)> = [GRANT].into_iter().chain(names.iter().map(|name| (&**name, "1"))).collect();
    assert_eq!(oauth_error(&token(&gate, &application, &members).await, 400), "invalid_request");
    for garbage in [&large[..60_000], &"=".repeat(5000), &"%".repeat(5000), &":".repeat(5000)] {
        let request = gate.form("/auth/token", &[GRANT]).header("Authorization", format!("Basic {garbage}"));
        assert_eq!(oauth_error(&Answer::read(request.send().await.unwrap()).await, 401), "invalid_client");
    }
    assert_eq!(me(&gate, &access).await.status, 200);
}
