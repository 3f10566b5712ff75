//! The file with the master key, beside an SQLite database.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use secrecy::ExposeSecret as _;

use crate::domain::oauth::MasterKey;
use crate::domain::system::Entropy;

/// Why there is no master key.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    /// There is none, and no file to keep one in.
    #[error(
        "the signing keys need a master key: set MEMGATE_MASTER_KEY to 32 random bytes in Base64 \
         (`openssl rand -base64 32` makes such a key), the same on every instance"
    )]
    Missing,
    /// The file is gone, but the database has keys that were sealed with it.
    #[error(
        "the database has signing keys, but the file {0} with their master key is missing: restore it from a backup, \
         or set MEMGATE_MASTER_KEY to the key that it held. If that key is lost, see \"Restore without the master key\" in \
         docs/operations.md"
    )]
    Lost(String),
    /// The file is open to others.
    #[error("the master key file {0} can be read by others than its owner: run `chmod 600 {0}`")]
    Exposed(String),
    /// The file holds something else.
    #[error("the master key file {0} does not hold a key: it {1}")]
    Malformed(String, String),
    /// The file can be neither read nor created.
    #[error("the master key file {0} can be neither read nor created")]
    Io(String, #[source] io::Error),
}

/// The configured master key, or that of the file beside the SQLite database. The file is made on first use, with mode 0600,
/// unless `keys_exist`.
///
/// # Errors
/// [`MasterKeyError`].
pub fn resolve(
    configured: Option<&MasterKey>,
    database_url: &str,
    entropy: &dyn Entropy,
    keys_exist: bool,
) -> Result<MasterKey, MasterKeyError> {
    if let Some(key) = configured {
        return Ok(key.clone());
    }
    let path = file_beside(database_url).ok_or(MasterKeyError::Missing)?;
    match read(&path)? {
        Some(key) => Ok(key),
        None if keys_exist => Err(MasterKeyError::Lost(path.display().to_string())),
        None => create(&path, entropy),
    }
}

/// Whether the master key can be had, or its file made. Nothing is written.
///
/// # Errors
/// [`MasterKeyError`].
pub fn check(configured: Option<&MasterKey>, database_url: &str) -> Result<(), MasterKeyError> {
    if configured.is_some() {
        return Ok(());
    }
    let path = file_beside(database_url).ok_or(MasterKeyError::Missing)?;
    read(&path).map(drop)
}

/// `memgate.db.master-key` for `sqlite://memgate.db?mode=rwc`.
fn file_beside(database_url: &str) -> Option<PathBuf> {
    let rest = database_url.strip_prefix("sqlite:")?;
    let path = rest.strip_prefix("//").unwrap_or(rest).split('?').next().filter(|path| !path.is_empty())?;
    Some(PathBuf::from(format!("{path}.master-key")))
}

fn read(path: &Path) -> Result<Option<MasterKey>, MasterKeyError> {
    let shown = || path.display().to_string();
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(MasterKeyError::Io(shown(), error)),
    };
    if metadata.mode() & 0o077 != 0 {
        return Err(MasterKeyError::Exposed(shown()));
    }
    let text = fs::read_to_string(path).map_err(|error| MasterKeyError::Io(shown(), error))?;
    // Some editors put a byte order mark before what they save.
    let key = MasterKey::parse("file", text.trim_start_matches('\u{feff}'));
    key.map(Some).map_err(|error| MasterKeyError::Malformed(shown(), error.problem().to_string()))
}

/// Makes the file whole or not at all; if another process makes it at the same time, both use the same key.
fn create(path: &Path, entropy: &dyn Entropy) -> Result<MasterKey, MasterKeyError> {
    let io = |error| MasterKeyError::Io(path.display().to_string(), error);
    let key = MasterKey::generate(entropy);
    let temporary = path.with_extension(format!("master-key.{}", entropy.uuid().simple()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary).map_err(io)?;
    let written = writeln!(file, "{}", key.to_base64().expose_secret()).and_then(|()| file.sync_all());
    let linked = written.and_then(|()| fs::hard_link(&temporary, path));
    fs::remove_file(&temporary).map_err(io)?;
    match linked {
        Ok(()) => Ok(key),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => read(path)?.ok_or(MasterKeyError::Missing),
        Err(error) => Err(io(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use memgate_domain::testing::SeededEntropy;

    use super::*;

    fn resolve_at(database_url: &str, keys_exist: bool) -> Result<MasterKey, MasterKeyError> {
        resolve(None, database_url, &SeededEntropy::new(9), keys_exist)
    }

    #[test]
    fn a_key_file_is_made_once_beside_the_database_and_only_its_owner_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/gate.db?mode=rwc", folder.path().display());
        let first = resolve_at(&url, false).unwrap();
        let again = resolve_at(&url, true).unwrap();
        assert_eq!(first.expose(), again.expose());
        let file = folder.path().join("gate.db.master-key");
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_lost_exposed_or_malformed_key_file_is_refused_and_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}/gate.db", folder.path().display());
        let file = folder.path().join("gate.db.master-key");
        assert!(matches!(resolve_at(&url, true), Err(MasterKeyError::Lost(_))));
        assert!(!file.exists());
        fs::write(&file, "not a key").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(resolve_at(&url, false), Err(MasterKeyError::Exposed(_))));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(matches!(resolve_at(&url, false), Err(MasterKeyError::Malformed(..))));
        assert_eq!(fs::read_to_string(&file).unwrap(), "not a key");
    }

    #[test]
    fn a_byte_order_mark_before_the_key_in_the_file_is_no_part_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}/gate.db", folder.path().display());
        let file = folder.path().join("gate.db.master-key");
        fs::write(&file, "\u{feff}MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\r\n").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(resolve_at(&url, true).unwrap().expose(), b"0123456789abcdef0123456789abcdef");
    }

    #[test]
    fn postgres_needs_the_variable_and_the_variable_goes_before_a_file() {
        let postgres = "postgres://localhost/memgate";
        let error = resolve_at(postgres, false).unwrap_err().to_string();
        assert!(error.contains("MEMGATE_MASTER_KEY") && error.contains("openssl rand -base64 32"), "{error}");
        let given = MasterKey::parse("key", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=").unwrap();
        let resolved = resolve(Some(&given), postgres, &SeededEntropy::new(9), true).unwrap();
        assert_eq!(resolved.expose(), b"0123456789abcdef0123456789abcdef");
    }
}
