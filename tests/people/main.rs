//! People: their accounts on the command line, the links that they get by e-mail, and the pages that they see.

mod accounts;
mod mail;
mod pages;
