//! The HTTP face: what is HTTP's own over in-memory adapters, the documents of the API, permissions, TLS, and the operator's
//! listener. The whole OAuth contract is in `oauth`.

mod admin;
mod bearer;
mod bulk;
mod cors;
mod documentation;
mod documents;
mod envelope;
mod face;
mod failures;
mod gpt_actions;
mod gpt_answers;
mod history;
mod importing;
mod limits;
mod memories;
mod near_duplicates;
mod oauth;
mod openapi;
mod pages;
mod permissions;
mod statistics;
mod tls;
mod values;
