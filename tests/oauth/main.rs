//! OAuth 2.0: the checklist of the contract, clients of others, documents of clients, and sign-in through a provider.

mod checklist;
mod client_documents;
mod identity_provider;
mod oauth2_client;
