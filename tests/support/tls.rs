//! Hosts with good and bad certificates: each speaks TLS and answers every request with 401, so that a
//! caller who gets as far as that has accepted the certificate.

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::PrivatePkcs8KeyDer;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

/// What is wrong with a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    None,
    SelfSigned,
    UnknownIssuer,
    Expired,
    NotYetValid,
    OtherHost,
    ForClients,
}

/// An authority that issues certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate, for a file of trusted roots.
    pub pem: String,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Authority { issuer: Issuer::new(params, key), pem }
    }

    /// A host at `localhost` that shows a certificate with that flaw; it ends with the process.
    pub fn host(&self, flaw: Flaw) -> SocketAddr {
        let name = if flaw == Flaw::OtherHost { "api.example.org" } else { "localhost" };
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        params.not_before = date_time_ymd(if flaw == Flaw::NotYetValid { 2990 } else { 2020 }, 1, 1);
        params.not_after = date_time_ymd(if flaw == Flaw::Expired { 2021 } else { 2999 }, 1, 1);
        params.extended_key_usages = vec![match flaw {
            Flaw::ForClients => ExtendedKeyUsagePurpose::ClientAuth,
            _ => ExtendedKeyUsagePurpose::ServerAuth,
        }];
        let key = KeyPair::generate().expect("a key");
        let certificate = match flaw {
            Flaw::SelfSigned => params.self_signed(&key),
            Flaw::UnknownIssuer => params.signed_by(&key, &Authority::new().issuer),
            _ => params.signed_by(&key, &self.issuer),
        };
        let chain = vec![certificate.expect("a certificate").der().clone()];
        let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        let config =
            rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .expect("protocol versions")
                .with_no_client_auth()
                .with_single_cert(chain, key)
                .expect("key and certificate fit");
        refuse_everybody(Arc::new(config))
    }
}

fn refuse_everybody(config: Arc<rustls::ServerConfig>) -> SocketAddr {
    const REFUSAL: &[u8] =
        b"HTTP/1.1 401 Unauthorized\r\ncontent-type: application/json\r\ncontent-length: 17\r\nconnection: close\r\n\r\n{\"errors\":[\"no\"]}";
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port on loopback");
    let address = listener.local_addr().expect("its address");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let Ok(connection) = rustls::ServerConnection::new(Arc::clone(&config)) else { return };
            let mut tls = rustls::StreamOwned::new(connection, stream);
            // Whoever does not like the certificate hangs up here.
            if tls.read(&mut [0; 4096]).is_ok_and(|bytes| bytes > 0) {
                let _ = tls.write_all(REFUSAL).and_then(|()| tls.flush());
            }
        }
    });
    address
}
