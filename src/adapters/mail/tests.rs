use lettre::transport::smtp::client::Certificate;
use memgate_test_kit::smtp::{Behaviour, SmtpDouble};

use super::*;

fn mailer(server: &SmtpDouble, encryption: Encryption, login: Option<(&str, &str)>) -> SmtpMailer {
    let credentials = login.map(|(user, password)| (user.to_owned(), SecretString::from(password.to_owned())));
    let smtp = SmtpServer { host: "localhost".to_owned(), port: server.address.port(), encryption, credentials };
    let authority = Certificate::from_pem(server.authority.as_bytes()).unwrap();
    SmtpMailer::trusting(&smtp, "memory@example.com".parse().unwrap(), Some(authority)).unwrap()
}

async fn send(mailer: &SmtpMailer) -> Result<(), MailError> {
    let email = Email { subject: "Grüße".to_owned(), text: SecretString::from(".\n..\nÀ bientôt\n".to_owned()) };
    mailer.send(&"marta@example.com".parse().unwrap(), &email).await
}

#[tokio::test]
async fn a_message_arrives_as_it_was_written() {
    let server = SmtpDouble::start(Behaviour::default());
    send(&mailer(&server, Encryption::None, None)).await.unwrap();
    let received = server.receive();
    assert_eq!((received.text().as_str(), received.encrypted), (".\n..\nÀ bientôt\n", false));
    assert!(received.header("Subject").unwrap().starts_with("=?utf-8?"), "{}", received.data);
    assert_eq!(server.commands()[0], "EHLO example.com");
}

#[tokio::test]
async fn a_password_is_sent_after_starttls_only() {
    let login = ("me", "secret");
    let server = SmtpDouble::start(Behaviour { starttls: true, login: Some(login), ..Behaviour::default() });
    send(&mailer(&server, Encryption::StartTls, Some(login))).await.unwrap();
    assert!(server.receive().encrypted);
    let commands = server.commands();
    let place = |verb: &str| commands.iter().position(|line| line.starts_with(verb)).unwrap();
    assert!(place("STARTTLS") < place("AUTH"), "{commands:?}");

    let plain = SmtpDouble::start(Behaviour { login: Some(login), ..Behaviour::default() });
    let refused = send(&mailer(&plain, Encryption::StartTls, Some(login))).await;
    assert!(matches!(refused, Err(MailError::Refused(_))), "{refused:?}");
    assert!(!plain.commands().iter().any(|line| line.starts_with("AUTH") || line.starts_with("MAIL")));
}

#[tokio::test]
async fn what_a_server_refuses_is_refused_and_what_it_puts_off_may_come_later() {
    for (refusal, is_refused) in [("550 no such user", true), ("451 greylisted", false)] {
        let server = SmtpDouble::start(Behaviour { refusal: Some(refusal), ..Behaviour::default() });
        let error = send(&mailer(&server, Encryption::None, None)).await.unwrap_err();
        assert_eq!(matches!(error, MailError::Refused(_)), is_refused, "{error:?}");
    }
    let nobody = SmtpServer { host: "127.0.0.1".to_owned(), port: 1, encryption: Encryption::None, credentials: None };
    let error = send(&SmtpMailer::new(&nobody, "memory@example.com".parse().unwrap()).unwrap()).await.unwrap_err();
    assert!(matches!(error, MailError::Unavailable(_)), "{error:?}");
}

#[test]
fn a_server_is_reached_encrypted_unless_it_is_on_this_machine() {
    for (url, expected) in [
        ("smtps://mail.example.com", Some((465, Encryption::Implicit, None))),
        ("smtps://me:p%40ss@mail.example.com:1465", Some((1465, Encryption::Implicit, Some(("me", "p@ss"))))),
        (
            "smtp://me%40example.com:secret@mail.example.com",
            Some((587, Encryption::StartTls, Some(("me@example.com", "secret")))),
        ),
        ("smtp://mail.example.com:25/", Some((25, Encryption::StartTls, None))),
        ("smtp://127.0.0.1:2525", Some((2525, Encryption::None, None))),
        ("smtp://[::1]:2525", Some((2525, Encryption::None, None))),
        ("smtp://localhost", Some((587, Encryption::None, None))),
        ("smtp://127.0.0.1.example.com", Some((587, Encryption::StartTls, None))),
        ("smtp://me@mail.example.com", None),
        ("smtp://:secret@mail.example.com", None),
        ("smtp://me:a%0d%0ab@mail.example.com", None),
        ("smtp://mail.example.com?tls=none", None),
        ("smtp://mail.example.com/inbox", None),
        ("https://mail.example.com", None),
        ("mail.example.com:25", None),
        ("smtp://mail%20.example.com", None),
        ("smtp://", None),
        ("", None),
    ] {
        let server = url.parse::<SmtpServer>();
        assert!(
            server.as_ref().map_or_else(|error| error.problem().to_string().starts_with("must"), |_| true),
            "{url}"
        );
        assert!(!server.as_ref().is_ok_and(|server| server.host.contains(['[', '%'])), "{url}");
        let read = server.as_ref().ok().map(|server| {
            let credentials =
                server.credentials.as_ref().map(|(user, password)| (user.as_str(), password.expose_secret()));
            (server.port, server.encryption, credentials)
        });
        assert_eq!(read, expected, "{url}");
        assert!(!format!("{server:?}").contains("secret@"), "{url}");
    }
}

#[test]
fn a_sender_is_an_address_with_or_without_a_name() {
    for good in ["memory@example.com", "memgate <memory@example.com>", "\"Müller, Anna\" <a@example.com>"] {
        assert!(good.parse::<Sender>().is_ok(), "{good}");
    }
    for bad in [
        "",
        "memgate",
        "memgate <memory>",
        "memory@localhost",
        "a@example.com, b@example.com",
        "a@example.com\r\nBcc: b@example.com",
    ] {
        assert!(bad.parse::<Sender>().is_err(), "{bad}");
    }
}
