//! Texts for people instead of identifiers.

use std::time::Duration;

use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use url::Url;

use crate::domain::applications::{Application, Permission, Permissions};
use crate::domain::audit::AuditKind;
use crate::domain::system::Timestamp;

/// A permission as described to a person.
pub(crate) struct PermissionInWords {
    pub(crate) permission: Permission,
    pub(crate) title: &'static str,
    pub(crate) detail: &'static str,
}

impl PermissionInWords {
    fn of(permission: Permission) -> Self {
        let (title, detail) = match permission {
            Permission::MemoryRead => ("Read your memories", "Search and read what is stored for you."),
            Permission::MemoryWrite => ("Store memories", "Store new ones for you, and correct old ones."),
            Permission::MemoryDelete => ("Delete memories", "Permanently delete what is stored for you."),
        };
        Self { permission, title, detail }
    }

    /// All permissions of a scope.
    pub(crate) fn all(scope: Permissions) -> Vec<Self> {
        scope.iter().map(Self::of).collect()
    }
}

/// A day, in UTC.
pub(crate) struct Day {
    /// In machine-readable form.
    pub(crate) machine: String,
    /// In readable form.
    pub(crate) words: String,
}

impl From<Timestamp> for Day {
    fn from(at: Timestamp) -> Self {
        const MACHINE: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]");
        const WORDS: &[BorrowedFormatItem<'_>] = format_description!("[day padding:none] [month repr:long] [year]");
        let format = |description: &[BorrowedFormatItem<'_>]| at.to_utc().format(description).unwrap_or_default();
        Self { machine: format(MACHINE), words: format(WORDS) }
    }
}

/// A moment, in UTC.
pub(crate) struct Moment {
    /// As programs read it.
    pub(crate) machine: String,
    /// As people do.
    pub(crate) words: String,
}

impl From<Timestamp> for Moment {
    fn from(at: Timestamp) -> Self {
        const WORDS: &[BorrowedFormatItem<'_>] =
            format_description!("[day padding:none] [month repr:long] [year], [hour]:[minute] UTC");
        Self { machine: at.to_string(), words: at.to_utc().format(WORDS).unwrap_or_default() }
    }
}

/// What happened, as it is told to the person whom it concerns; `None` for what tells them nothing.
pub(crate) fn event(kind: AuditKind) -> Option<&'static str> {
    Some(match kind {
        AuditKind::PersonCreated => "Your account was created.",
        AuditKind::PersonEnabled => "Your account was enabled.",
        AuditKind::PersonDisabled => "Your account was disabled.",
        AuditKind::PasswordChanged => "Your password was changed.",
        AuditKind::PasswordLinkCreated => "A link for choosing your password was made.",
        AuditKind::PersonSignedIn => "You signed in.",
        AuditKind::SignInThrottled => "Sign-in was paused after too many wrong passwords.",
        AuditKind::AuthorizationGranted => "You allowed an application to use your memories.",
        AuditKind::AuthorizationEnded => "An application was disconnected.",
        AuditKind::AuthorizationCodeReused | AuditKind::RefreshTokenReused => {
            "An application was disconnected because its credentials were used twice."
        }
        _ => return None,
    })
}

/// An error's text as a sentence of its own.
pub(crate) fn sentence(text: &str) -> String {
    let mut rest = text.chars();
    rest.next().into_iter().flat_map(char::to_uppercase).chain(rest).chain(['.']).collect()
}

/// The letter that represents a name.
pub(crate) fn initial(name: &str) -> String {
    name.chars().find(|c| c.is_alphanumeric()).map_or_else(|| "·".to_owned(), |c| c.to_uppercase().collect())
}

/// What there is to say of an application that nobody verified.
pub(crate) struct Unverified {
    /// Who describes it.
    pub(crate) origin: String,
}

impl Unverified {
    /// `None` for an application that the operator registered.
    pub(crate) fn of(application: &Application) -> Option<Self> {
        let origin = || match application.document_host() {
            Some(host) => host,
            None => "an application that registered itself".to_owned(),
        };
        application.registered_by.is_unverified().then(|| Self { origin: origin() })
    }
}

/// Whether a redirect stays on the device of the person: on loopback, or with an app's own scheme.
pub(crate) fn stays_on_device(redirect_uri: &Url) -> bool {
    is_loopback(redirect_uri) || !matches!(redirect_uri.scheme(), "https" | "http")
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// The target of a redirect, in plain language.
pub(crate) fn destination(redirect_uri: &Url) -> String {
    let loopback = is_loopback(redirect_uri);
    match (redirect_uri.scheme(), redirect_uri.host_str(), redirect_uri.port()) {
        _ if loopback => "a program on this device".to_owned(),
        ("https" | "http", Some(host), None) => host.to_owned(),
        ("https" | "http", Some(host), Some(port)) => format!("{host}:{port}"),
        (scheme, ..) => format!("the app {scheme} on this device"),
    }
}

/// A duration, rounded up, so that waiting that long is sufficient.
pub(crate) fn wait(wait: Duration) -> String {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    match seconds.max(1) {
        1 => "1 second".to_owned(),
        seconds @ ..=120 => format!("{seconds} seconds"),
        seconds => format!("{} minutes", seconds.div_ceil(60)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_permission_has_words_of_its_own() {
        let words = PermissionInWords::all(Permissions::all());
        assert_eq!(words.len(), Permission::ALL.len());
        for (words, permission) in words.iter().zip(Permission::ALL) {
            assert_eq!(words.permission, permission);
            assert!(!words.title.contains(':') && words.detail.ends_with('.'));
        }
        assert!(PermissionInWords::all(Permissions::default()).is_empty());
    }

    #[test]
    fn a_destination_is_the_host_or_this_device() {
        for (uri, expected) in [
            ("https://chatgpt.com/aip/g-1/oauth/callback?x=y", "chatgpt.com"),
            ("https://chatgpt.com:8443/", "chatgpt.com:8443"),
            ("https://user@evil.example/", "evil.example"),
            ("https://b\u{fc}cher.example/", "xn--bcher-kva.example"),
            ("http://127.0.0.1:4711/cb", "a program on this device"),
            ("http://[::1]:4711/cb", "a program on this device"),
            ("http://localhost/cb", "a program on this device"),
            ("com.example.app:/cb", "the app com.example.app on this device"),
        ] {
            assert_eq!(destination(&uri.parse().unwrap()), expected, "{uri}");
        }
    }

    #[test]
    fn a_day_is_written_for_people_and_for_programs() {
        let day = Day::from(Timestamp::parse("at", "2026-05-08T23:59:59Z").unwrap());
        assert_eq!((day.machine.as_str(), day.words.as_str()), ("2026-05-08", "8 May 2026"));
    }

    #[test]
    fn a_sentence_begins_with_a_capital_letter_and_ends() {
        assert_eq!(sentence("the form is old"), "The form is old.");
    }

    #[test]
    fn the_initial_is_the_first_letter_or_digit() {
        for (name, expected) in [("test GPT", "T"), ("\"4\"", "4"), ("  ß", "SS"), ("!?", "·"), ("", "·")] {
            assert_eq!(initial(name), expected, "{name}");
        }
    }

    #[test]
    fn a_wait_is_rounded_up() {
        for (millis, expected) in [
            (1, "1 second"),
            (1_000, "1 second"),
            (1_001, "2 seconds"),
            (120_000, "120 seconds"),
            (120_001, "3 minutes"),
            (900_000, "15 minutes"),
        ] {
            assert_eq!(wait(Duration::from_millis(millis)), expected, "{millis}");
        }
    }
}
