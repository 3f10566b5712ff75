//! Secrets hashed with bcrypt.
