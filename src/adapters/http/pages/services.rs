//! What the pages need beside the services of the API.

use std::sync::Arc;

use super::privacy_policy::PrivacyPolicy;
use super::uploads::Uploads;

/// Attached to the routes of the pages.
#[derive(Default)]
pub struct PageServices {
    /// The content of `/privacy`.
    pub privacy: PrivacyPolicy,
    /// What people have uploaded.
    pub uploads: Arc<Uploads>,
}
