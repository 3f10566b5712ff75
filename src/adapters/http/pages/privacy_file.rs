//! The privacy policy, from the operator's file.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::privacy_policy::PrivacyPolicy;

/// Longer than any policy, and short enough for a page.
const MAX_BYTES: u64 = 256 * 1024;

/// Why the privacy policy cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PrivacyError {
    /// The file cannot be read.
    #[error("the privacy policy {} (MEMGATE_PRIVACY_FILE) cannot be read", .0.display())]
    Unreadable(PathBuf, #[source] std::io::Error),
    /// The content of the file is invalid.
    #[error("the privacy policy {} (MEMGATE_PRIVACY_FILE) must be UTF-8 text of at most 256 KiB that says something", .0.display())]
    NoPolicy(PathBuf),
}

/// The policy in `file`, or the built-in one.
///
/// # Errors
/// [`PrivacyError`].
pub fn load(file: Option<&Path>) -> Result<PrivacyPolicy, PrivacyError> {
    let Some(path) = file else { return Ok(PrivacyPolicy::default()) };
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| PrivacyError::Unreadable(path.to_owned(), error))?;
    let text = String::from_utf8(bytes).ok().filter(|text| text.len() as u64 <= MAX_BYTES);
    text.and_then(|text| PrivacyPolicy::parse(&text)).ok_or_else(|| PrivacyError::NoPolicy(path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_policy_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("privacy.txt");
        let refusal = || load(Some(&path)).unwrap_err().to_string();
        assert!(refusal().contains("privacy.txt") && refusal().contains("cannot be read"));
        for content in [&b""[..], b" \n\n", b"\xff", &vec![b'a'; 256 * 1024 + 1]] {
            std::fs::write(&path, content).unwrap();
            assert!(refusal().contains("MEMGATE_PRIVACY_FILE"), "{}", refusal());
        }
        std::fs::write(&path, "We keep nothing.").unwrap();
        assert_ne!(load(Some(&path)).unwrap(), load(None).unwrap());
    }
}
