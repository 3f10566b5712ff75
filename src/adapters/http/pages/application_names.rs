//! The names of applications.

use std::collections::{BTreeMap, BTreeSet};

use super::browser::Browser;
use super::error::PageError;
use crate::domain::ids::ApplicationId;

/// The names of those of these applications that are still registered.
pub(super) async fn application_names(
    browser: &Browser<'_>,
    ids: impl IntoIterator<Item = ApplicationId>,
) -> Result<BTreeMap<ApplicationId, String>, PageError> {
    let ids: BTreeSet<ApplicationId> = ids.into_iter().collect();
    let mut names = BTreeMap::new();
    for id in ids {
        if let Some(name) = browser.services.own_memories.application_name(id).await? {
            names.insert(id, name.to_string());
        }
    }
    Ok(names)
}
