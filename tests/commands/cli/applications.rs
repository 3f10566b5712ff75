//! Applications and their secrets.

use std::fs;

use memgate::app::Backend;
use memgate::config::{Config, Values};
use memgate::domain::applications::NewApplication;
use memgate_test_kit::gate::new_application;
use memgate_test_kit::process::{fail, installation, succeed, succeed_json};
use serde_json::{Value, json};

#[test]
fn an_application_is_created_with_its_defaults_and_shows_its_secret_once() {
    let folder = installation();
    let created = succeed_json(folder.path(), &["app", "create", "--name", "My GPT"]);
    let secret = created["client_secret"].as_str().unwrap();
    assert!(secret.starts_with("mgs_") && secret.len() == 53);
    assert_eq!(created["permissions"], json!(["memory:read", "memory:write"]));
    assert_eq!(created["grants"], json!(["client_credentials", "refresh_token"]));
    let id = created["client_id"].as_str().unwrap();
    for shown in [
        succeed(folder.path(), &["app", "show", id]),
        succeed(folder.path(), &["app", "show", id, "--json"]),
        succeed(folder.path(), &["app", "list"]),
        succeed(folder.path(), &["app", "secret", "list", id]),
    ] {
        assert!(!shown.contains(secret), "{shown}");
    }
    let stored: Vec<u8> = ["memgate.db", "memgate.db-wal"]
        .iter()
        .flat_map(|name| fs::read(folder.path().join(name)).unwrap_or_default())
        .collect();
    let in_file = |text: &[u8]| stored.windows(text.len()).any(|window| window == text);
    assert!(in_file(b"$2b$04$") && !in_file(secret.as_bytes()), "only the hash is stored");
}

#[test]
fn an_application_is_listed_changed_disabled_enabled_and_deleted() {
    let folder = installation();
    let created = succeed_json(folder.path(), &["app", "create", "--name", "First", "--permission", "memory:delete"]);
    let id = created["client_id"].as_str().unwrap();
    let changed = succeed_json(
        folder.path(),
        &[
            "app",
            "update",
            id,
            "--name",
            "Second",
            "--grant",
            "client_credentials",
            "--space",
            "team",
            "--category",
            "work",
            "--rate-limit",
            "5",
            "--access-token-ttl",
            "10m",
            "--redirect-uri",
            "https://example.com/callback",
        ],
    );
    let expected = [
        ("name", json!("Second")),
        ("grants", json!(["client_credentials"])),
        ("space", json!("team")),
        ("categories", json!(["work"])),
        ("rate_limit", json!(5)),
        ("access_token_ttl", json!(600)),
        ("redirect_uris", json!(["https://example.com/callback"])),
        ("permissions", json!(["memory:delete"])),
    ];
    for (member, value) in expected {
        assert_eq!(changed[member], value, "{member}");
    }
    let reset = ["app", "update", id, "--rate-limit", "default", "--all-categories", "--no-redirect-uris"];
    let reset = succeed_json(folder.path(), &reset);
    assert_eq!(
        [&reset["rate_limit"], &reset["categories"], &reset["redirect_uris"]],
        [&Value::Null, &Value::Null, &json!([])]
    );
    assert_eq!(succeed_json(folder.path(), &["app", "disable", id])["enabled"], false);
    assert_eq!(succeed_json(folder.path(), &["app", "enable", id])["enabled"], true);
    assert_eq!(succeed_json(folder.path(), &["app", "list"]).as_array().unwrap().len(), 1);
    succeed(folder.path(), &["app", "delete", "--yes", id]);
    assert_eq!(succeed_json(folder.path(), &["app", "list"]), json!([]));
    assert!(fail(folder.path(), &["app", "show", id], 1).contains("memgate app list"));
}

#[test]
fn applications_are_listed_page_by_page_and_by_what_is_asked_for() {
    let folder = installation();
    let first = succeed_json(folder.path(), &["app", "create", "--name", "First of all", "--space", "team"]);
    // More than are read at a time.
    let url = format!("sqlite://{}?mode=rwc", folder.path().join("memgate.db").display());
    let variables = [("MEMGATE_DATABASE_URL", url.as_str()), ("MEMGATE_BCRYPT_COST", "4")];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let config = Config::from_values(&Values::gather(None, variables).unwrap()).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let applications = Backend::open(&config).await.unwrap().applications();
        for number in 0..600 {
            let name = format!("Number {number}").parse().unwrap();
            applications.register(NewApplication { name, ..new_application() }).await.unwrap();
        }
    });
    let list = |arguments: &[&str]| {
        let listed = succeed_json(folder.path(), &[&["app", "list"], arguments].concat());
        listed.as_array().unwrap().iter().map(|one| one["client_id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let all = list(&[]);
    assert_eq!(all.len(), 601);
    assert!(all.is_sorted(), "in the order of their ids");
    assert_eq!(list(&["--limit", "3"]), all[..3]);
    assert_eq!(list(&["--limit", "550", "--after", &all[10]]), all[11..561]);
    assert_eq!(list(&["--name", "number 59"]).len(), 11);
    assert_eq!(list(&["--space", "team"]), [first["client_id"].as_str().unwrap()]);
    assert!(list(&["--name", "nothing"]).is_empty());
    let table = succeed(folder.path(), &["app", "list"]);
    assert_eq!((table.lines().count(), table.matches("CLIENT_ID").count()), (602, 1));
    assert!(succeed(folder.path(), &["app", "list", "--name", "nothing"]).starts_with("CLIENT_ID"));
}

#[test]
fn secrets_are_added_listed_removed_and_rotated() {
    let folder = installation();
    let created = succeed_json(folder.path(), &["app", "create", "--name", "A"]);
    let id = created["client_id"].as_str().unwrap();
    let added = succeed_json(folder.path(), &["app", "secret", "add", id, "--expires-in", "30d"]);
    assert!(added["client_secret"].as_str().unwrap().starts_with("mgs_") && added["expires_at"].is_string());
    let listed = succeed_json(folder.path(), &["app", "secret", "list", id]);
    assert_eq!(listed.as_array().unwrap().len(), 2);
    succeed(folder.path(), &["app", "secret", "remove", "--yes", id, added["secret_id"].as_str().unwrap()]);
    let rotated = succeed_json(folder.path(), &["app", "secret", "rotate", "--yes", id]);
    let listed = succeed_json(folder.path(), &["app", "secret", "list", id]);
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(listed[0]["secret_id"], rotated["secret_id"]);
    for _ in 0..4 {
        succeed(folder.path(), &["app", "secret", "add", id]);
    }
    assert!(fail(folder.path(), &["app", "secret", "add", id], 1).contains("remove one first"));
}
