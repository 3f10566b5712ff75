//! A PostgreSQL database and its pool of connections.

use std::str::FromStr;
use std::time::Duration;

use sea_orm::sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sea_orm::{DatabaseConnection, DbErr, RuntimeErr, SqlxPostgresConnector, sqlx};
use url::Url;

use super::connections::{ConnectionPool, ConnectionTarget, PoolOptions, Purpose};
use super::error::DatabaseError;
use super::options::DatabaseOptions;

/// How long a migration waits for a connection.
const MIGRATION_TIMEOUT: Duration = Duration::from_secs(30);

/// The parameters that the driver supports. It would log others with their values, and a mistyped one may be a password.
const PARAMETERS: [&str; 18] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];

/// How to percent-encode a user name and a password (RFC 3986 §3.2.1).
const PERCENT_ENCODE: &str = "in the user name and the password, the characters / ? # % @ : [ ] and spaces must be \
                              percent-encoded, for example # as %23";

/// Sets up each connection: the statement timeout (so that a stuck query does not block the pool), the isolation level that
/// the adapters rely on, and that a commit is durable when it returns, unless the server already promises more.
const SET_UP: &str = "SELECT set_config('statement_timeout', $1, false), set_config('lock_timeout', $1, false), \
     set_config('idle_in_transaction_session_timeout', $1, false), \
     set_config('default_transaction_isolation', 'read committed', false), \
     set_config('synchronous_commit', \
                CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, \
                false)";

/// Connects. Returns the pool, how to open another connection, and the location, without user and password.
pub(super) async fn open(
    url: &str,
    options: DatabaseOptions,
) -> Result<(ConnectionPool, ConnectionTarget, String), DatabaseError> {
    let connect = parse(url)?;
    let location = location(&connect);
    let (size, timeout) = (options.connections, options.timeout);
    let target = ConnectionTarget::Postgres { connect, set_up: SET_UP, statement_timeout: timeout };
    let pool = ConnectionPool::new(target.clone(), Purpose::Write, PoolOptions { size, timeout });
    match pool.open_first().await {
        Ok(()) => Ok((pool, target, location)),
        Err(DbErr::Conn(error)) => Err(DatabaseError::Unreachable { location, reason: error.to_string() }),
        Err(error) => Err(DatabaseError::Failed(error)),
    }
}

/// Opens a connection outside the pool, without a statement timeout.
pub(super) async fn connect_alone(connect: &PgConnectOptions) -> Result<DatabaseConnection, DbErr> {
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(MIGRATION_TIMEOUT)
        .after_connect(|connection, _| {
            Box::pin(async move { sqlx::query(SET_UP).bind("0").execute(connection).await.map(drop) })
        })
        .connect_with(connect.clone())
        .await;
    let pool = pool.map_err(|error| DbErr::Conn(RuntimeErr::SqlxError(error.into())))?;
    Ok(SqlxPostgresConnector::from_sqlx_postgres_pool(pool))
}

/// Whether the user name or the password seems to contain an unescaped delimiter: `postgres://u:1#pw@host/db` means port 1
/// of the host `u`, and would print the rest of the password as something else.
#[must_use]
pub fn has_unescaped_credentials(url: &str) -> bool {
    let Some((_, rest)) = url.split_once("://") else { return false };
    let (authority, after) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if after.contains('#') {
        return true;
    }
    // Parameters may contain an @, as in ?user=me@example.com, but what is before the first one does not.
    let before_parameters =
        after.split_once('?').filter(|(_, query)| query.split('@').next().is_some_and(|first| first.contains('=')));
    let suspicious = before_parameters.map_or(after, |(path, _)| path);
    !authority.contains('@') && suspicious.contains('@')
}

pub(super) fn parse(url: &str) -> Result<PgConnectOptions, DatabaseError> {
    let refuse = |problem: String| DatabaseError::InvalidUrl(problem);
    if has_unescaped_credentials(url) {
        return Err(refuse(PERCENT_ENCODE.to_owned()));
    }
    let parsed = Url::parse(url).map_err(|error| refuse(format!("{error}; {PERCENT_ENCODE}")))?;
    let unknown =
        parsed.query_pairs().find(|(name, _)| !PARAMETERS.contains(&&**name) && !name.starts_with("options["));
    if let Some((name, _)) = unknown {
        return Err(refuse(format!("it has an unknown parameter `{name}`")));
    }
    let options = PgConnectOptions::from_str(url).map_err(|error| refuse(error.to_string()))?;
    Ok(match options.get_application_name() {
        None => options.application_name("memgate"),
        Some(_) => options,
    })
}

fn location(options: &PgConnectOptions) -> String {
    let host = match options.get_socket() {
        Some(directory) => directory.display().to_string(),
        None => format!("{}:{}", options.get_host(), options.get_port()),
    };
    format!("{host}/{}", options.get_database().unwrap_or_else(|| options.get_username()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_with_a_reserved_character_is_told_how_to_be_written_and_not_shown() {
        for url in [
            "postgres://u:s3#pw@127.0.0.1/d",
            "postgres://u:12#pw@127.0.0.1/d",
            "postgres://u:s3/pw@127.0.0.1/d",
            "postgres://u:12/pw@127.0.0.1/d",
            "postgresql://u:12?pw@127.0.0.1/d",
            "postgres://u:12?pw@127.0.0.1/d?sslmode=require",
            "postgres://u:s3[pw@127.0.0.1:port/d",
            "postgres://u:pw@127.0.0.1/d#pw",
        ] {
            let error = parse(url).expect_err(url).to_string();
            assert!(error.contains("percent-encoded, for example # as %23"), "{url}: {error}");
            assert!(!error.contains("pw") && !error.contains("s3") && !error.contains("12"), "{url}: {error}");
        }
    }

    #[test]
    fn a_url_that_is_well_formed_is_accepted() {
        for url in [
            "postgres://u:s3%23pw@127.0.0.1/d",
            "postgres://u:p@ss@127.0.0.1/d",
            "postgres://127.0.0.1/d?user=me@example.com&password=x",
            "postgres:///d?host=/run/postgresql&user=a@b",
            "postgres://u@127.0.0.1:5432/d?application_name=a@b",
        ] {
            assert!(parse(url).is_ok(), "{url}");
        }
    }
}
