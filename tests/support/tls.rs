//! Hosts and databases with good and bad certificates: each speaks TLS and lets nobody in, so that a caller who gets as
//! far as being refused has accepted the certificate.

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::PrivatePkcs8KeyDer;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

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

impl Flaw {
    /// All of them, and none.
    pub const ALL: [Flaw; 7] = [
        Flaw::SelfSigned,
        Flaw::UnknownIssuer,
        Flaw::Expired,
        Flaw::NotYetValid,
        Flaw::OtherHost,
        Flaw::ForClients,
        Flaw::None,
    ];
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
        refuse_everybody(self.shown("localhost", flaw))
    }

    /// A database at `host` that shows a certificate with that flaw, or does not speak TLS.
    pub fn database(&self, server: Server, host: &str, flaw: Option<Flaw>) -> Database {
        Database::start(server, flaw.map(|flaw| self.shown(host, flaw)))
    }

    /// What shows a certificate for `host` with that flaw.
    fn shown(&self, host: &str, flaw: Flaw) -> Arc<rustls::ServerConfig> {
        let name = if flaw == Flaw::OtherHost { "elsewhere.example.org" } else { host };
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
        Arc::new(config)
    }
}

/// What a database is spoken to in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    Postgres,
    Mysql,
}

/// A database that refuses everybody by [`Database::REFUSAL`], once it has heard who comes; it ends with the process.
pub struct Database {
    pub address: SocketAddr,
    heard: Arc<AtomicUsize>,
}

trait Wire: Read + Write {}
impl<W: Read + Write> Wire for W {}

impl Database {
    pub const REFUSAL: &str = "nobody comes in here";

    /// How many have said who they are.
    pub fn heard(&self) -> usize {
        self.heard.load(Ordering::SeqCst)
    }

    fn start(server: Server, tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port on loopback");
        let address = listener.local_addr().expect("its address");
        let heard: Arc<AtomicUsize> = Arc::default();
        let count = Arc::clone(&heard);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // Whoever does not like the certificate hangs up.
                let _ = match server {
                    Server::Postgres => postgres(stream, tls.as_ref(), &count),
                    Server::Mysql => mysql(stream, tls.as_ref(), &count),
                };
            }
        });
        Database { address, heard }
    }
}

fn over(tls: &Arc<rustls::ServerConfig>, stream: TcpStream) -> std::io::Result<Box<dyn Wire>> {
    let connection = rustls::ServerConnection::new(Arc::clone(tls)).map_err(std::io::Error::other)?;
    Ok(Box::new(rustls::StreamOwned::new(connection, stream)))
}

fn read<const N: usize>(wire: &mut dyn Wire) -> std::io::Result<[u8; N]> {
    let mut bytes = [0; N];
    wire.read_exact(&mut bytes).map(|()| bytes)
}

/// Protocol 3.0: a request for TLS and its answer of one letter, or none; then who comes.
fn postgres(
    mut stream: TcpStream,
    tls: Option<&Arc<rustls::ServerConfig>>,
    heard: &AtomicUsize,
) -> std::io::Result<()> {
    const ASKS_FOR_TLS: u32 = 80_877_103;
    let begins = |wire: &mut dyn Wire| -> std::io::Result<(u32, u32)> {
        Ok((u32::from_be_bytes(read(wire)?), u32::from_be_bytes(read(wire)?)))
    };
    let (mut length, code) = begins(&mut stream)?;
    let mut wire: Box<dyn Wire> = match (code == ASKS_FOR_TLS, tls) {
        (true, Some(tls)) => {
            stream.write_all(b"S")?;
            over(tls, stream)?
        }
        (true, None) => {
            stream.write_all(b"N")?;
            Box::new(stream)
        }
        (false, _) => Box::new(stream),
    };
    if code == ASKS_FOR_TLS {
        length = begins(&mut *wire)?.0;
    }
    wire.read_exact(&mut vec![0; length as usize - 8])?;
    heard.fetch_add(1, Ordering::SeqCst);
    let said = format!("SFATAL\0VFATAL\0C28000\0M{}\0\0", Database::REFUSAL);
    wire.write_all(b"E")?;
    wire.write_all(&(said.len() as u32 + 4).to_be_bytes())?;
    wire.write_all(said.as_bytes())?;
    wire.flush()
}

/// Protocol 10: a greeting that tells whether there is TLS; a packet that asks for it, or none; then who comes.
fn mysql(
    mut stream: TcpStream,
    tls: Option<&Arc<rustls::ServerConfig>>,
    heard: &AtomicUsize,
) -> std::io::Result<()> {
    const SSL: u32 = 0x800;
    // Protocol 4.1, a login of our century, and its name.
    let able: u32 = 0x200 | 0x8000 | 0x80000 | if tls.is_some() { SSL } else { 0 };
    let mut greeting = b"\x0a8.0.36\0\x01\0\0\0abcdefgh\0".to_vec();
    greeting.extend(&able.to_le_bytes()[..2]);
    greeting.extend(b"\x2d\x02\0");
    greeting.extend(&able.to_le_bytes()[2..]);
    greeting.extend(b"\x15\0\0\0\0\0\0\0\0\0\0ijklmnopqrst\0mysql_native_password\0");
    let send = |wire: &mut dyn Wire, number: u8, packet: &[u8]| {
        wire.write_all(&(packet.len() as u32).to_le_bytes()[..3])?;
        wire.write_all(&[number])?;
        wire.write_all(packet)?;
        wire.flush()
    };
    let receive = |wire: &mut dyn Wire| -> std::io::Result<(u8, Vec<u8>)> {
        let [a, b, c, number] = read(wire)?;
        let mut packet = vec![0; u32::from_le_bytes([a, b, c, 0]) as usize];
        wire.read_exact(&mut packet)?;
        Ok((number, packet))
    };
    send(&mut stream, 0, &greeting)?;
    let (mut number, packet) = receive(&mut stream)?;
    let asks_for_tls = packet.len() == 32;
    let mut wire: Box<dyn Wire> = match tls.filter(|_| asks_for_tls) {
        Some(tls) => {
            let mut wire = over(tls, stream)?;
            number = receive(&mut *wire)?.0;
            wire
        }
        None => Box::new(stream),
    };
    heard.fetch_add(1, Ordering::SeqCst);
    let mut refusal = b"\xff\x15\x04#28000".to_vec();
    refusal.extend(Database::REFUSAL.as_bytes());
    send(&mut *wire, number + 1, &refusal)
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
