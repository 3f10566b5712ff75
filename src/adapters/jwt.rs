//! Tokens as JSON Web Tokens.
