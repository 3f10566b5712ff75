//! Keys of tokens and the master key.

use std::fs;

use memgate_test_kit::process::{
    Server, fail, finish, finish_with_input, installation, memgate, run_with_input, succeed, succeed_json,
};
use serde_json::{Value, json};

use super::{client, token_status};

#[tokio::test]
async fn keys_rotate_retire_and_move_to_another_master_key() {
    let folder = installation();
    let old = "dGVzdHMgdXNlIHRoaXMgbWFzdGVyIGtleSBvZiAzMkI=";
    let new = "YW5vdGhlciBtYXN0ZXIga2V5IHdpdGggMzIgYnl0ZXM=";
    let with = |key: &str| {
        let mut command = memgate(folder.path());
        command.env("MEMGATE_MASTER_KEY", key);
        command
    };
    let application = succeed_json(folder.path(), &["app", "create", "--name", "A"]);
    let server = Server::start(with(old));
    assert_eq!(token_status(&server.url, &application).await, 200);
    server.kill();

    let listed = finish(with(old).args(["keys", "list", "--json"]));
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 2);
    let first = listed[0]["key_id"].as_str().unwrap();
    let refused = finish(with(old).args(["keys", "retire", "--yes", first]));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("keys rotate --now"));
    assert!(finish(with(old).args(["keys", "rotate", "--now"])).status.success());
    assert!(finish(with(old).args(["keys", "retire", "--yes", first])).status.success());
    let listed = finish(with(old).args(["keys", "list", "--json"]));
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    let mut states: Vec<&str> = listed.as_array().unwrap().iter().map(|key| key["state"].as_str().unwrap()).collect();
    states.sort_unstable();
    assert_eq!(states, ["retired", "signing", "signing", "verifying"]);

    let mut rewrap = with(old);
    assert!(finish_with_input(rewrap.args(["keys", "rewrap", "--yes"]), new).status.success());
    let log = Server::try_start(with(old)).err().expect("the old master key opens nothing any more");
    assert!(log.contains("cannot be opened with this master key"), "{log}");
    let server = Server::start(with(new));
    assert_eq!(token_status(&server.url, &application).await, 200);
}

/// The procedure of docs/operations.md, "Restore without the master key".
#[tokio::test]
async fn a_database_is_restored_without_its_master_key() {
    let folder = installation();
    let application = succeed_json(folder.path(), &["app", "create", "--name", "A"]);
    let server = Server::start(memgate(folder.path()));
    assert_eq!(token_status(&server.url, &application).await, 200);
    assert!(server.terminate().success());
    let master_key = folder.path().join("memgate.db.master-key");
    fs::remove_file(&master_key).unwrap();
    let says_where = |log: &str| assert!(log.contains("Restore without the master key"), "{log}");
    says_where(&Server::try_start(memgate(folder.path())).err().expect("there is no master key"));

    // 1. A new master key.
    fs::write(&master_key, "YW5vdGhlciBtYXN0ZXIga2V5IHdpdGggMzIgYnl0ZXM=\n").unwrap();
    fs::set_permissions(&master_key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    says_where(&Server::try_start(memgate(folder.path())).err().expect("it opens none of the keys"));
    // 2. Which keys there are.
    let old = succeed_json(folder.path(), &["keys", "list"]);
    // 3. New ones.
    succeed(folder.path(), &["keys", "rotate", "--now"]);
    // 4. The old ones go.
    for key in old.as_array().unwrap() {
        succeed(folder.path(), &["keys", "retire", "--yes", key["key_id"].as_str().unwrap()]);
    }
    // 5. It serves again, with the applications and their secrets as they were.
    let server = Server::start(memgate(folder.path()));
    assert_eq!(token_status(&server.url, &application).await, 200);
    assert!(server.terminate().success());
    // And the master key can be changed as ever.
    let output = run_with_input(
        folder.path(),
        &["keys", "rewrap", "--yes"],
        "\u{feff}dGVzdHMgdXNlIHRoaXMgbWFzdGVyIGtleSBvZiAzMkI=\r\n",
    );
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn tokens_are_signed_with_rsa_where_that_is_configured() {
    let folder = installation();
    let application = succeed_json(folder.path(), &["app", "create", "--name", "A"]);
    let mut command = memgate(folder.path());
    command.env("MEMGATE_TOKEN_ALGORITHM", "RS256");
    let server = Server::start(command);
    assert_eq!(token_status(&server.url, &application).await, 200);
    let answer = client().get(format!("{}/.well-known/jwks.json", server.url)).send().await.unwrap();
    let keys: Value = answer.json().await.unwrap();
    assert_eq!((&keys["keys"][0]["alg"], &keys["keys"][0]["kty"]), (&json!("RS256"), &json!("RSA")));
}

#[tokio::test]
async fn a_byte_order_mark_is_no_part_of_a_password() {
    let folder = installation();
    for (login, input) in [("bom", "\u{feff}windows password 1\r\n"), ("plain", "windows password 1\n")] {
        let output = run_with_input(folder.path(), &["user", "create", login], input);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let server = Server::start(memgate(folder.path()));
    let http = client();
    for login in ["bom", "plain"] {
        let page = http.get(format!("{}/auth/sign-in", server.url)).send().await.unwrap();
        let cookie = page.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
        let page = page.text().await.unwrap();
        let token = page.split("name=\"form_token\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        let fields = [("form_token", &*token), ("login", login), ("password", "windows password 1")];
        let body: String = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = http.post(format!("{}/auth/sign-in", server.url)).header("cookie", cookie).body(body);
        let answer = request.header("content-type", "application/x-www-form-urlencoded").send().await.unwrap();
        assert_eq!(answer.status(), 303, "{login}");
    }
}

#[test]
fn a_key_id_may_begin_with_a_hyphen() {
    let folder = installation();
    for id in ["-Yp8AT", "--Yp8AT", "-hYp8AT"] {
        let error = fail(folder.path(), &["keys", "retire", id], 1);
        assert!(error.contains("there is no such key"), "{error}");
    }
}

#[test]
fn a_new_master_key_that_is_none_is_refused_without_being_repeated() {
    let folder = installation();
    let output = run_with_input(folder.path(), &["keys", "rewrap"], "hunter2");
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(error.contains("openssl rand") && !error.contains("hunter2"), "{error}");
}
