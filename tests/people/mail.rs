//! One-time links by e-mail.

use std::path::Path;
use std::process::{Command, Output};

use memgate::domain::people::LinkToken;
use memgate_test_kit::process::{finish, installation, memgate, succeed_json};
use memgate_test_kit::smtp::{Behaviour, SmtpDouble};
use serde_json::{Value, json};

const BASE: &str = "https://memory.example.com";

/// The binary, with a mail server at `url`.
fn with_mail(folder: &Path, url: &str) -> Command {
    let mut command = memgate(folder);
    command.env("MEMGATE_SMTP_URL", url).env("MEMGATE_SMTP_FROM", "memgate <memory@example.com>");
    command.env("MEMGATE_PUBLIC_URL", BASE);
    command
}

fn run(command: &mut Command, arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = finish(command.args(arguments));
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn a_link_is_sent_to_the_address_and_nobody_else_sees_it() {
    let server = SmtpDouble::start(Behaviour::default());
    let url = format!("smtp://{}", server.address);
    let folder = installation();
    let folder = folder.path();
    let (code, said, _) = run(&mut with_mail(folder, &url), &["user", "invite", "Marta@Example.com", "--json"]);
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &said["sent_to"], &said["url"]), (Some(0), &json!("marta@example.com"), &Value::Null));
    let message = server.receive();
    assert_eq!(
        (message.from.as_str(), &message.to[..]),
        ("FROM:<memory@example.com>", &["TO:<marta@example.com>".to_owned()][..])
    );
    assert_eq!(message.header("From").unwrap(), "memgate <memory@example.com>");
    assert_eq!(message.header("To").unwrap(), "marta@example.com");
    assert_eq!(message.header("Subject").unwrap(), "Choose a password for your memgate account");
    assert!(message.header("Message-ID").is_some() && message.header("Date").is_some());
    let text = message.text();
    let link = text.lines().find_map(|line| line.strip_prefix(&format!("{BASE}/account/set-password?link="))).unwrap();
    assert_eq!(LinkToken::parse(link).unwrap().person().to_string(), said["id"].as_str().unwrap());
    assert!(text.contains("Your login is marta@example.com") && text.contains("UTC"), "{text}");

    // To another address, and in another language.
    let (code, said, _) = run(
        &mut with_mail(folder, &url),
        &["user", "reset-link", "marta@example.com", "--email", "m@example.org", "--language", "ja"],
    );
    assert!(code == Some(0) && said.contains("sent to m@example.org") && !said.contains("?link="), "{said}");
    let message = server.receive();
    assert_eq!(message.to, ["TO:<m@example.org>"]);
    assert!(message.text().contains("新しいパスワード") && message.text().contains("?link="), "{}", message.text());
}

#[test]
fn a_link_is_printed_to_whom_asks_and_for_whom_has_no_address() {
    let server = SmtpDouble::start(Behaviour::default());
    let folder = installation();
    let folder = folder.path();
    let url = format!("smtp://{}", server.address);
    for arguments in [&["user", "invite", "anna"][..], &["user", "invite", "m@example.com", "--print"]] {
        let (code, said, _) = run(&mut with_mail(folder, &url), arguments);
        assert!(code == Some(0) && said.contains(&format!("{BASE}/account/set-password?link=")), "{said}");
    }
    assert_eq!(server.commands(), [""; 0], "nobody connected");
    // Without a server there is nothing to send with.
    let mut without = memgate(folder);
    without.env("MEMGATE_PUBLIC_URL", BASE);
    let (code, _, said) = run(&mut without, &["user", "reset-link", "anna", "--email", "a@example.com"]);
    assert!(code == Some(2) && said.contains("MEMGATE_SMTP_URL"), "{said}");
    for arguments in [&["--email", "anna"][..], &["--language", "tlh"], &["--print", "--email", "a@example.com"]] {
        let arguments = [&["user", "reset-link", "anna"][..], arguments].concat();
        assert_eq!(run(&mut with_mail(folder, &url), &arguments).0, Some(2), "{arguments:?}");
    }
}

#[test]
fn what_the_server_refuses_is_told_with_what_to_do() {
    let login = |password| Some(("me", password));
    for (behaviour, problem) in [
        (Behaviour { refusal: Some("550 5.1.1 no such user"), ..Behaviour::default() }, "5.1.1 no such user"),
        (Behaviour { refusal: Some("451 4.7.1 greylisted"), ..Behaviour::default() }, "temporarily unavailable"),
        (Behaviour { login: login("another"), ..Behaviour::default() }, "authentication failed"),
    ] {
        let behaviour = Behaviour { login: behaviour.login.or_else(|| login("my-secret")), ..behaviour };
        let server = SmtpDouble::start(behaviour);
        let folder = installation();
        let folder = folder.path();
        let url = format!("smtp://me:my-secret@{}", server.address);
        let (code, printed, said) = run(&mut with_mail(folder, &url), &["user", "invite", "marta@example.com"]);
        assert_eq!((code, printed.as_str()), (Some(1), ""), "{said}");
        for words in [problem, "the account is created", "memgate user reset-link marta@example.com", "--print"] {
            assert!(said.contains(words), "{said}");
        }
        assert!(!said.contains("?link=") && !said.contains("my-secret"), "{said}");
        assert_eq!(succeed_json(folder, &["user", "list"]).as_array().unwrap().len(), 1);
    }
}

#[test]
fn a_server_is_trusted_by_the_authorities_of_the_system() {
    let login = Some(("me@example.com", "p:@ss"));
    let server = SmtpDouble::start(Behaviour { implicit_tls: true, login, ..Behaviour::default() });
    let folder = installation();
    let folder = folder.path();
    let url = format!("smtps://me%40example.com:p%3A%40ss@localhost:{}", server.address.port());
    let arguments = ["user", "invite", "marta@example.com"];
    let (code, _, said) = run(&mut with_mail(folder, &url), &arguments);
    assert!(code == Some(1) && said.contains("temporarily unavailable"), "{said}");
    assert_eq!(server.commands(), [""; 0], "nothing is said to somebody whom nobody vouches for");
    let authority = folder.join("authority.pem");
    std::fs::write(&authority, &server.authority).unwrap();
    let (code, _, said) =
        run(with_mail(folder, &url).env("SSL_CERT_FILE", &authority), &["user", "reset-link", "marta@example.com"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(server.receive().encrypted);
}
