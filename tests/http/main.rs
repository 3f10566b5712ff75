//! The HTTP face over in-memory adapters: what is HTTP's own. The whole OAuth contract runs against a whole gate in
//! `oauth_checklist`.

mod bearer;
mod bulk;
mod cors;
mod documents;
mod envelope;
mod face;
mod failures;
mod history;
mod importing;
mod limits;
mod memories;
mod near_duplicates;
mod oauth;
#[path = "../support/page.rs"]
mod page;
mod pages;
mod statistics;
mod values;
