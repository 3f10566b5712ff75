//! Names of tables and values, as they are stored.

pub(super) const USES: &str = "consumed_refresh_tokens";
pub(super) const REVOCATIONS: &str = "revocations";

/// The values of the column `kind`.
pub(super) const GRANT: &str = "grant";
pub(super) const TOKEN: &str = "token";
