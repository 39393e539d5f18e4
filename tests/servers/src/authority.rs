//! A certificate authority of a test's own.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use crate::Result;

/// Whoever believes [`Authority::certificate`] believes what it issues, for this machine only.
#[derive(Debug)]
pub struct Authority {
    /// PEM.
    pub certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its private key, PEM both.
#[derive(Clone, Debug)]
pub struct Pair {
    pub chain: String,
    pub key: String,
}

impl Authority {
    pub fn new() -> Result<Self> {
        let key = KeyPair::generate().map_err(|e| e.to_string())?;
        let mut params = CertificateParams::new(Vec::new()).map_err(|e| e.to_string())?;
        // Not the issued ones' name: OpenSSL would take those for their own issuers.
        params.distinguished_name.push(DnType::CommonName, "a test's authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).map_err(|e| e.to_string())?.pem();
        Ok(Self { certificate, issuer: Issuer::new(params, key) })
    }

    /// For 127.0.0.1 and localhost.
    pub fn issue(&self) -> Result<Pair> {
        let key = KeyPair::generate().map_err(|e| e.to_string())?;
        let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
        let params = CertificateParams::new(names).map_err(|e| e.to_string())?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(|e| e.to_string())?;
        Ok(Pair { chain: certificate.pem(), key: key.serialize_pem() })
    }
}
