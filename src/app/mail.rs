//! E-mail.

use std::sync::Arc;

use crate::adapters::mail::SmtpMailer;
use crate::config::{Config, MailConfig};
use crate::domain::people::{MailError, Mailer};

/// What sends e-mail, if a mail server is configured.
///
/// # Errors
/// [`MailError::Unavailable`].
pub fn mailer(config: &Config) -> Result<Option<Arc<dyn Mailer>>, MailError> {
    let Some(MailConfig { server, from }) = &config.mail else { return Ok(None) };
    Ok(Some(Arc::new(SmtpMailer::new(server, from.clone())?)))
}
