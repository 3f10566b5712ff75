//! Sign-in through an OpenID Connect provider: a real one, and one that does what a real one does not.

mod directory;
mod double;
mod questions;
mod real;
mod untrusted;
