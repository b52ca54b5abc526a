//! What stands between the program and its database: lets everything pass until it is told otherwise. It knows
//! just so much of the protocols as it takes to see a commit go by.

use super::engine::Engine;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;

/// Where a connection is cut that brings a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The server never hears of it.
    Before,
    /// The server has made it and said so; nobody hears the answer.
    Answered,
    /// The server gets it, and finds nobody to answer to.
    Unanswered,
}

/// How the way to the database is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Open,
    /// Nothing passes; whoever connects is let in and hears nothing.
    Silent,
    /// Nobody listens, and who was there is cut off.
    Closed,
}

type Plan = Box<dyn FnMut(u64) -> Option<Cut> + Send>;

/// A proxy on loopback. Gone when dropped.
pub struct Proxy {
    address: SocketAddr,
    /// Keeps the port while nobody listens on it.
    _port: TcpSocket,
    shared: Arc<Shared>,
    way: watch::Sender<Way>,
}

struct Shared {
    engine: Engine,
    server: String,
    /// How long whatever passes is under way, in microseconds.
    delay: AtomicU64,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    connections: u64,
    /// How often the server was asked something and has answered.
    trips: u64,
    commits: u64,
    cuts: Vec<Cut>,
    plan: Option<Plan>,
}

impl Proxy {
    pub fn new(engine: Engine, server: &str) -> Self {
        let port = bound(SocketAddr::from(([127, 0, 0, 1], 0)));
        let address = port.local_addr().expect("its address");
        let shared = Arc::new(Shared {
            engine,
            server: server.to_owned(),
            delay: AtomicU64::new(0),
            seen: Mutex::default(),
        });
        let (way, watched) = watch::channel(Way::Open);
        let listener = bound(address).listen(64).expect("the port is ours");
        tokio::spawn(listen(listener, address, Arc::clone(&shared), watched));
        Proxy { address, _port: port, shared, way }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Asks `plan` from now on what is to become of the n-th commit that comes by, from 1.
    pub fn on_commit(&self, plan: impl FnMut(u64) -> Option<Cut> + Send + 'static) {
        let mut seen = self.shared.seen();
        seen.plan = Some(Box::new(plan));
        seen.commits = 0;
        seen.cuts.clear();
    }

    /// Does this to the next commits, one after the other.
    pub fn cut_the_next_commits(&self, cuts: &[Cut]) {
        let cuts = cuts.to_vec();
        self.on_commit(move |nth| cuts.get(nth as usize - 1).copied());
    }

    /// What was done to commits since it was last told what to do.
    pub fn cuts(&self) -> Vec<Cut> {
        self.shared.seen().cuts.clone()
    }

    /// How many have connected so far.
    pub fn connections(&self) -> u64 {
        self.shared.seen().connections
    }

    /// How often something was said to the server, and its answer waited for.
    pub fn trips(&self) -> u64 {
        self.shared.seen().trips
    }

    /// The server is far away: it takes so long to it, and as long back.
    pub fn move_away(&self, distance: Duration) {
        let micros = u64::try_from(distance.as_micros()).expect("a distance on earth");
        self.shared.delay.store(micros, Ordering::Relaxed);
    }

    /// The server is gone: nobody listens, and all connections are cut.
    pub fn close(&self) {
        self.way.send_replace(Way::Closed);
    }

    /// The server says nothing any more, to anybody.
    pub fn fall_silent(&self) {
        self.way.send_replace(Way::Silent);
    }

    /// The server is there again. Connections from before are as good as they were.
    pub fn open(&self) {
        self.way.send_replace(Way::Open);
    }
}

impl Shared {
    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().expect("no panic while it was held")
    }

    async fn travel(&self) {
        match self.delay.load(Ordering::Relaxed) {
            0 => {}
            micros => tokio::time::sleep(Duration::from_micros(micros)).await,
        }
    }

    fn commit_comes_by(&self) -> Option<Cut> {
        let mut seen = self.seen();
        seen.commits += 1;
        let nth = seen.commits;
        let cut = seen.plan.as_mut().and_then(|plan| plan(nth));
        seen.cuts.extend(cut);
        cut
    }
}

/// A socket that shares its port with the others of this process, and with nobody else.
fn bound(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseport(true).expect("a socket takes an option");
    socket.bind(address).expect("the port is ours");
    socket
}

async fn listen(first: TcpListener, address: SocketAddr, shared: Arc<Shared>, mut way: watch::Receiver<Way>) {
    let mut listener = Some(first);
    loop {
        if *way.borrow_and_update() == Way::Closed {
            drop(listener.take());
            while *way.borrow_and_update() == Way::Closed {
                if way.changed().await.is_err() {
                    return;
                }
            }
            listener = Some(bound(address).listen(64).expect("the port is ours"));
        }
        let Some(open) = &listener else { return };
        tokio::select! {
            accepted = open.accept() => {
                let Ok((client, _)) = accepted else { continue };
                shared.seen().connections += 1;
                tokio::spawn(forward(client, Arc::clone(&shared), way.clone()));
            }
            changed = way.changed() => if changed.is_err() { return },
        }
    }
}

/// Forwards in both directions until one side ends, or the way is closed.
async fn forward(mut client: TcpStream, shared: Arc<Shared>, mut way: watch::Receiver<Way>) {
    if passable(&mut way).await.is_none() {
        return;
    }
    let Ok(mut server) = TcpStream::connect(&shared.server).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let mut messages = Messages::new(shared.engine);
    let (mut asked, mut answered) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    let mut is_asked = false;
    loop {
        tokio::select! {
            biased;
            changed = way.changed() => {
                if changed.is_err() || passable(&mut way).await.is_none() {
                    return;
                }
            }
            read = client.read(&mut asked) => {
                let Ok(count @ 1..) = read else { return };
                shared.travel().await;
                is_asked = true;
                messages.bytes.extend_from_slice(&asked[..count]);
                while let Some((message, commit)) = messages.next() {
                    let cut = if commit { shared.commit_comes_by() } else { None };
                    if cut == Some(Cut::Before) || server.write_all(&message).await.is_err() {
                        return;
                    }
                    match cut {
                        Some(Cut::Answered) => {
                            let answer = tokio::time::timeout(Duration::from_secs(10), server.read(&mut answered));
                            assert!(matches!(answer.await, Ok(Ok(1..))), "the server answers a commit");
                            return;
                        }
                        Some(_) => return,
                        None => {}
                    }
                }
            }
            read = server.read(&mut answered) => {
                let Ok(count @ 1..) = read else { return };
                shared.seen().trips += u64::from(std::mem::take(&mut is_asked));
                shared.travel().await;
                if client.write_all(&answered[..count]).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Waits while the way is silent; nothing when it is closed.
async fn passable(way: &mut watch::Receiver<Way>) -> Option<()> {
    loop {
        let now = *way.borrow_and_update();
        match now {
            Way::Open => return Some(()),
            Way::Closed => return None,
            Way::Silent => way.changed().await.ok()?,
        }
    }
}

/// What a client says, cut into messages.
struct Messages {
    engine: Engine,
    bytes: Vec<u8>,
    /// Postgres: a connection begins with a message that has no type.
    begun: bool,
}

impl Messages {
    fn new(engine: Engine) -> Self {
        Messages { engine, bytes: Vec::new(), begun: false }
    }

    /// The next whole message, and whether it is a commit.
    fn next(&mut self) -> Option<(Vec<u8>, bool)> {
        let number = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        let (length, text) = match (self.engine, self.begun) {
            // The length counts itself.
            (Engine::Postgres, false) => (number(self.bytes.get(..4)?), 4),
            // A type, the length, and a text that ends with a zero.
            (Engine::Postgres, true) => (1 + number(self.bytes.get(1..5)?), 5),
            // The length from its lowest byte on, a number, and a command.
            _ => {
                let header = self.bytes.get(..4)?;
                (4 + number(&[header[2], header[1], header[0]]), 5)
            }
        };
        if self.bytes.len() < length {
            return None;
        }
        let message: Vec<u8> = self.bytes.drain(..length).collect();
        let is_query = match self.engine {
            Engine::Postgres => self.begun && message[0] == b'Q',
            _ => message.get(3..5) == Some(&[0, 3]),
        };
        self.begun = true;
        let commit = is_query
            && message[text..].trim_ascii_end().strip_suffix(b"\0").unwrap_or(&message[text..]) == b"commit";
        Some((message, commit))
    }
}
