//! E-mail through an SMTP server.

#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use lettre::message::{Mailbox, header};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret as _, SecretString};
use url::{Host, Url};

use crate::domain::people::{Email, EmailAddress, MailError, Mailer};
use crate::domain::validation::InvalidValue;

/// Timeout of each step of the exchange.
const STEP_TIMEOUT: Duration = Duration::from_secs(15);
/// Timeout of the whole exchange.
const TIMEOUT: Duration = Duration::from_mins(1);

/// A mail server, and how to reach it.
#[derive(Clone, Debug)]
pub struct SmtpServer {
    host: String,
    port: u16,
    encryption: Encryption,
    credentials: Option<(String, SecretString)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encryption {
    /// From the first byte on (RFC 8314).
    Implicit,
    /// From STARTTLS on, which the server must offer.
    StartTls,
    /// Of nothing, on this machine only.
    None,
}

impl FromStr for SmtpServer {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let refuse = |problem| InvalidValue::new("smtp_url", problem);
        let example = "must be smtps://USER:PASSWORD@HOST or smtp://USER:PASSWORD@HOST, with a port where it is not 465 or 587; \
                       characters such as @ / : in the password are percent-encoded";
        let url = Url::parse(text).map_err(|_| refuse(example))?;
        // Of IPv6 addresses, without the brackets.
        let host = match url.host_str().map(|host| host.trim_matches(['[', ']'])) {
            Some(host)
                if is_host(host)
                    && matches!(url.path(), "" | "/")
                    && url.query().is_none()
                    && url.fragment().is_none() =>
            {
                host
            }
            _ => return Err(refuse(example)),
        };
        let encryption = match url.scheme() {
            "smtps" => Encryption::Implicit,
            "smtp" if is_loopback(host) => Encryption::None,
            "smtp" => Encryption::StartTls,
            _ => return Err(refuse(example)),
        };
        let decoded = |part: &str| match percent_decode_str(part).decode_utf8() {
            Ok(text) if !text.chars().any(char::is_control) => Ok(text.into_owned()),
            _ => Err(refuse(example)),
        };
        let credentials = match (url.username(), url.password()) {
            ("", None) => None,
            ("", Some(_)) | (_, None) => {
                return Err(refuse("must have a password where it has a user, and a user where it has a password"));
            }
            (user, Some(password)) => Some((decoded(user)?, SecretString::from(decoded(password)?))),
        };
        let port = url.port().unwrap_or(if encryption == Encryption::Implicit { 465 } else { 587 });
        Ok(Self { host: host.to_owned(), port, encryption, credentials })
    }
}

fn is_host(text: &str) -> bool {
    text.parse::<Ipv6Addr>().is_ok() || Host::parse(text).is_ok()
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whom messages are from: an address, with a name if there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender(Mailbox);

impl FromStr for Sender {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let problem = "must be an e-mail address, or a name and an address, such as memgate <memory@example.com>";
        let plain = |mailbox: &Mailbox| mailbox.email.to_string().parse::<EmailAddress>().is_ok();
        let mailbox = text.parse::<Mailbox>().ok().filter(plain);
        mailbox.map(Self).ok_or_else(|| InvalidValue::new("smtp_from", problem))
    }
}

/// The client of a mail server. Each message is sent on a connection of its own.
#[derive(Debug)]
pub struct SmtpMailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Sender,
}

impl SmtpMailer {
    /// A client of `server`. Nothing is connected yet.
    ///
    /// # Errors
    /// [`MailError::Unavailable`] if the system's certificates cannot be read.
    pub fn new(server: &SmtpServer, from: Sender) -> Result<Self, MailError> {
        Self::trusting(server, from, None)
    }

    fn trusting(server: &SmtpServer, from: Sender, authority: Option<Certificate>) -> Result<Self, MailError> {
        let parameters = || {
            // The process-wide crypto provider. An error means that another component installed one first.
            let _ = rustls::crypto::ring::default_provider().install_default();
            let mut builder = TlsParameters::builder(server.host.clone());
            if let Some(authority) = authority {
                builder = builder.add_root_certificate(authority);
            }
            builder.build().map_err(|error| MailError::Unavailable(error.into()))
        };
        let tls = match server.encryption {
            Encryption::Implicit => Tls::Wrapper(parameters()?),
            Encryption::StartTls => Tls::Required(parameters()?),
            Encryption::None => Tls::None,
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(server.host.as_str())
            .port(server.port)
            .tls(tls)
            .timeout(Some(STEP_TIMEOUT))
            .hello_name(ClientId::Domain(from.0.email.domain().to_owned()));
        if let Some((user, password)) = &server.credentials {
            builder = builder.credentials(Credentials::new(user.clone(), password.expose_secret().to_owned()));
        }
        Ok(Self { transport: builder.build(), from })
    }
}

#[async_trait]
impl Mailer for SmtpMailer {
    async fn send(&self, to: &EmailAddress, email: &Email) -> Result<(), MailError> {
        let to = to.as_str().parse().map_err(|error| MailError::Refused(Box::new(error)))?;
        let message = Message::builder()
            .from(self.from.0.clone())
            .to(Mailbox::new(None, to))
            .subject(email.subject.as_str())
            .message_id(None)
            .date_now()
            .header(header::ContentType::TEXT_PLAIN)
            .body(email.text.expose_secret().to_owned())
            .map_err(|error| MailError::Refused(error.into()))?;
        match tokio::time::timeout(TIMEOUT, self.transport.send(message)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) if error.is_permanent() || error.is_client() => Err(MailError::Refused(error.into())),
            Ok(Err(error)) => Err(MailError::Unavailable(error.into())),
            Err(elapsed) => Err(MailError::Unavailable(elapsed.into())),
        }
    }
}
