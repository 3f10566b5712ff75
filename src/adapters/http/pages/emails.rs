//! E-mail to people: what a one-time link is sent with.

use secrecy::SecretString;

use super::texts::{Language, Moment};
use crate::domain::people::{Email, LinkPurpose, NewLink};

/// The message that carries `link`, which is at `url`.
pub(crate) fn of_link(link: &NewLink, url: &str, language: Language) -> Email {
    let t = language.texts();
    let (subject, text) = match link.purpose {
        LinkPurpose::Invitation => (t.invitation_subject, t.invitation_email),
        LinkPurpose::Reset => (t.reset_subject, t.reset_email),
    };
    let until = Moment::of(link.expires_at, language).words;
    let text = format!("{}\n", text.filled([link.person.label(), url, &until]));
    Email { subject: subject.to_string(), text: SecretString::from(text) }
}
