//! The gate with certificate files of its own: https, renewal without a restart, and files that cannot be used.

use std::fs;
use std::path::PathBuf;

use memgate_test_kit::database::TestDatabase;
use memgate_test_kit::gate::{TestGate, config};
use memgate_test_kit::http;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use reqwest::{Certificate, Client};
use tempfile::TempDir;

use memgate::app::{Gate, GateOptions};

/// An authority, and the files of a certificate that it issued for 127.0.0.1.
struct Certificates {
    folder: TempDir,
    authority: CertifiedIssuer<'static, KeyPair>,
}

impl Certificates {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let certificates = Self { folder: tempfile::tempdir().unwrap(), authority };
        certificates.issue();
        certificates
    }

    fn certificate(&self) -> PathBuf {
        self.folder.path().join("cert.pem")
    }

    fn key(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }

    /// Issues a new certificate into the same files.
    fn issue(&self) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.authority).unwrap();
        fs::write(self.certificate(), certificate.pem()).unwrap();
        fs::write(self.key(), key.serialize_pem()).unwrap();
    }

    /// A client that trusts this authority alone.
    fn client(&self) -> Client {
        let root = Certificate::from_pem(self.authority.pem().as_bytes()).unwrap();
        http::client_builder().tls_certs_only([root]).build().unwrap()
    }

    async fn gate(&self) -> TestGate {
        let variables = [
            ("MEMGATE_TLS_CERT", self.certificate().display().to_string()),
            ("MEMGATE_TLS_KEY", self.key().display().to_string()),
        ];
        let variables = variables.each_ref().map(|(name, value)| (*name, value.as_str()));
        TestGate::configured(TestDatabase::sqlite(), &variables).await
    }
}

fn live(gate: &TestGate) -> String {
    format!("https://{}/health/live", gate.gate().address())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_certificate_files_the_gate_speaks_https_alone() {
    let certificates = Certificates::new();
    let gate = certificates.gate().await;
    assert_eq!(gate.gate().public_url(), format!("https://{}", gate.gate().address()));
    let client = certificates.client();
    let answer = client.get(live(&gate)).send().await.unwrap();
    assert_eq!((answer.status(), answer.version()), (reqwest::StatusCode::OK, reqwest::Version::HTTP_2));
    assert!(client.get(gate.url("/health/live")).send().await.is_err(), "plain http is not answered");
    assert!(http::client().get(live(&gate)).send().await.is_err(), "nobody else trusts this authority");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewed_certificate_is_taken_up_and_one_that_cannot_be_used_is_not() {
    let certificates = Certificates::new();
    let gate = certificates.gate().await;
    // Another authority signs into the same files: only a client of the new one is content afterwards.
    let renewed = Certificates::new();
    fs::copy(renewed.certificate(), certificates.certificate()).unwrap();
    // Until the key is there too, the two do not belong together, and the old pair stays.
    gate.gate().run_background_work().await;
    assert!(certificates.client().get(live(&gate)).send().await.is_ok());
    fs::copy(renewed.key(), certificates.key()).unwrap();
    gate.gate().run_background_work().await;
    assert!(renewed.client().get(live(&gate)).send().await.is_ok());
    assert!(certificates.client().get(live(&gate)).send().await.is_err());
    fs::write(certificates.certificate(), "no certificate").unwrap();
    gate.gate().run_background_work().await;
    assert!(renewed.client().get(live(&gate)).send().await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_cannot_be_used_are_named_at_the_start() {
    let [certificates, other] = [Certificates::new(), Certificates::new()];
    let (certificate, key) = (certificates.certificate(), certificates.key());
    let missing = certificates.folder.path().join("missing.pem");
    for (certificate, key, expected) in [
        (&missing, &key, "MEMGATE_TLS_CERT) cannot be read"),
        (&certificate, &missing, "MEMGATE_TLS_KEY) cannot be read"),
        (&key, &key, "MEMGATE_TLS_CERT) holds no certificate"),
        (&certificate, &certificate, "MEMGATE_TLS_KEY) holds no private key"),
        (&certificate, &other.key(), "cannot be used together"),
    ] {
        let database = TestDatabase::sqlite();
        let (certificate, key) = (certificate.display().to_string(), key.display().to_string());
        let config = config(&database, &[("MEMGATE_TLS_CERT", &certificate), ("MEMGATE_TLS_KEY", &key)]);
        let error = Gate::start(&config, GateOptions::default()).await.err().expect("it does not start").to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn head_over_http2_is_get_without_a_body() {
    let certificates = Certificates::new();
    let gate = certificates.gate().await;
    let client = certificates.client();
    for path in ["/health/live", "/openapi.json", "/.well-known/jwks.json", "/nowhere", "/api/v1/me", "/auth/sign-in"] {
        let url = format!("https://{}{path}", gate.gate().address());
        let get = client.get(&url).send().await.unwrap();
        let head = client.head(&url).send().await.unwrap();
        assert_eq!((head.status(), head.version()), (get.status(), reqwest::Version::HTTP_2), "{path}");
        assert_eq!(head.headers().get("content-type"), get.headers().get("content-type"), "{path}");
        assert_eq!(head.bytes().await.unwrap().len(), 0, "{path}");
    }
}
