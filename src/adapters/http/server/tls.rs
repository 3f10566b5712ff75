//! TLS with certificate files, for deployments without a proxy.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest as _, Sha256};

/// The files of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate and its chain, in PEM.
    pub certificate: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
}

/// Why the certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("the file {file} ({variable}) cannot be read")]
    File {
        /// The file.
        file: PathBuf,
        /// The setting that names it.
        variable: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file has the wrong content.
    #[error("the file {file} ({variable}) holds no {what} in PEM")]
    Content {
        /// The file.
        file: PathBuf,
        /// The setting that names it.
        variable: &'static str,
        /// The expected content.
        what: &'static str,
    },
    /// Certificate and key do not match, or are not usable.
    #[error("the certificate (MEMGATE_TLS_CERT) and the key (MEMGATE_TLS_KEY) cannot be used together")]
    Pair(#[source] rustls::Error),
}

/// The certificate in use. When its files change, new connections get the new one.
pub struct Tls {
    files: TlsFiles,
    current: Mutex<LoadedCertificate>,
}

#[derive(Clone)]
struct LoadedCertificate {
    digest: [u8; 32],
    config: Arc<ServerConfig>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let (certificate, key) = read(&files)?;
        let loaded =
            LoadedCertificate { digest: digest(&certificate, &key), config: parse(&files, &certificate, &key)? };
        Ok(Self { files, current: Mutex::new(loaded) })
    }

    /// The current configuration.
    #[must_use]
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner).config)
    }

    /// Reloads changed files. If they are invalid, an error is logged and the current certificate stays in use.
    pub fn refresh(&self) {
        match self.reload() {
            Ok(true) => tracing::info!("reloaded the certificate"),
            Ok(false) => {}
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::error!(error = %error, cause, "failed to reload the certificate; the old one stays in use");
            }
        }
    }

    fn reload(&self) -> Result<bool, TlsError> {
        let (certificate, key) = read(&self.files)?;
        let digest = digest(&certificate, &key);
        if self.current.lock().unwrap_or_else(PoisonError::into_inner).digest == digest {
            return Ok(false);
        }
        let config = parse(&self.files, &certificate, &key)?;
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = LoadedCertificate { digest, config };
        Ok(true)
    }
}

const CERTIFICATE: &str = "MEMGATE_TLS_CERT";
const KEY: &str = "MEMGATE_TLS_KEY";

fn read(files: &TlsFiles) -> Result<(Vec<u8>, Vec<u8>), TlsError> {
    let read = |file: &PathBuf, variable| {
        fs::read(file).map_err(|source| TlsError::File { file: file.clone(), variable, source })
    };
    Ok((read(&files.certificate, CERTIFICATE)?, read(&files.key, KEY)?))
}

fn digest(certificate: &[u8], key: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(Sha256::digest(certificate)).chain_update(key).finalize().into()
}

fn parse(files: &TlsFiles, certificate: &[u8], key: &[u8]) -> Result<Arc<ServerConfig>, TlsError> {
    let wrong = |file: &PathBuf, variable, what| TlsError::Content { file: file.clone(), variable, what };
    let no_certificate = || wrong(&files.certificate, CERTIFICATE, "certificate");
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(certificate).collect::<Result<_, _>>().map_err(|_| no_certificate())?;
    if chain.is_empty() {
        return Err(no_certificate());
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| wrong(&files.key, KEY, "private key"))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(TlsError::Pair)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
