//! The service seen from outside: probes, metrics, the status as JSON, and a page for people. Only reads; shows
//! numbers, names of objects, and messages that hold neither secrets nor anybody's address.
//!
//! | path | |
//! |---|---|
//! | `/livez` | 200 while the process works |
//! | `/readyz` | 200 while the mirror is fresh; else 503 and why |
//! | `/metrics` | Prometheus' text format |
//! | `/status.json` | what `kitmirror status --json` prints, and what the service is doing |
//! | `/` | a page for people |

mod hosts;
mod mirror;
mod page;
mod readiness;

pub use mirror::{Read, Seen, Trouble};
pub use readiness::{Reason, lag_seconds, lag_then, reasons_against, schedule_of};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::metrics::Metrics;
use super::pulse::{Beat, Phase, Pulse, Timetable};
use crate::error::{Error, Kind, Result};
use crate::model::Time;
use crate::model::text::without_addresses;
use crate::model::time::now;
use crate::store::{MirrorStatus, Place};
use mirror::Mirror;

/// Connections served at a time; more wait until one is done.
const CONNECTIONS: usize = 64;
/// A request must have arrived within this.
const HEADERS_WITHIN: Duration = Duration::from_secs(5);
/// A connection lasts no longer, whatever its client does. It serves one request.
const CONNECTION_LASTS: Duration = Duration::from_secs(10);
/// Bytes of a request's head.
const LARGEST_HEAD: usize = 16 << 10;
/// Headers of a request.
const HEADERS: usize = 64;
/// A pause when no connection can be accepted, for want of descriptors as a rule.
const ACCEPTED_AGAIN_AFTER: Duration = Duration::from_millis(200);

/// A running status server. It stops when this is dropped.
pub struct Serving {
    addr: SocketAddr,
    task: JoinHandle<()>,
    mirror: Mirror,
}

/// What every answer is made from.
pub struct View {
    /// The mirror.
    pub seen: Seen,
    /// The service.
    pub beat: Beat,
    /// What speaks against being ready.
    pub reasons: Vec<Reason>,
    /// When it was looked at.
    pub now: Time,
}

struct Shared {
    listen: SocketAddr,
    mirror: Mirror,
    pulse: Pulse,
    metrics: Arc<Metrics>,
}

/// Serves at `listen` from now on, whatever phase the service is in. The mirror at `place` is read by a connection
/// of its own, which is opened when somebody asks.
///
/// # Errors
/// `Settings` when it cannot listen there.
pub async fn serve(listen: SocketAddr, place: Place, pulse: Pulse, metrics: Arc<Metrics>) -> Result<Serving> {
    let failed = |error: std::io::Error| {
        let hint = match error.kind() {
            ErrorKind::AddrInUse => {
                "; perhaps another kitmirror does: choose another address, or `listen = off`"
            }
            _ => "",
        };
        Error::new(Kind::Settings, format!("listen: the status server could not listen on {listen}{hint}"))
            .because(error)
    };
    let listener = TcpListener::bind(listen).await.map_err(failed)?;
    let addr = listener.local_addr().map_err(failed)?;
    let mirror = Mirror::new(place);
    let shared = Arc::new(Shared { listen: addr, mirror: mirror.clone(), pulse, metrics });
    let task = tokio::spawn(accept(listener, routes(shared)));
    tracing::info!(http.listen = %addr, "The status server listens on http://{addr}/");
    Ok(Serving { addr, task, mirror })
}

impl Serving {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Stops listening and closes its connection to the database.
    pub async fn stop(self) {
        self.task.abort();
        self.mirror.close().await;
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn routes(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/livez", get(async || text(StatusCode::OK, "alive\n")))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/status.json", get(status))
        .route("/", get(for_people))
        .fallback(async || {
            text(StatusCode::NOT_FOUND, "There are /, /status.json, /metrics, /readyz and /livez.\n")
        })
        .layer(from_fn_with_state(Arc::clone(&shared), guard))
        .with_state(shared)
}

/// Lets through what may be asked, and sees to it that answers are neither kept nor taken for something else.
async fn guard(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let mut response = match refused(&shared, &request) {
        Some(refusal) => refusal,
        None => next.run(request).await,
    };
    let headers = response.headers_mut();
    for (name, value) in HARDENING {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// On every answer. The page allows itself its style, and nothing else.
const HARDENING: [(HeaderName, &str); 6] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

fn refused(shared: &Shared, request: &Request) -> Option<Response> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let refusal =
            text(StatusCode::METHOD_NOT_ALLOWED, "Only GET and HEAD: there is nothing to change here.\n");
        return Some(([(header::ALLOW, "GET, HEAD")], refusal).into_response());
    }
    let ours = |host: &str| hosts::is_ours(host, shared.listen.ip());
    // HTTP/1.0 has none, and no browser speaks that. The target of a request, where it names a host, counts as well.
    let hosts: Vec<_> = request.headers().get_all(header::HOST).iter().collect();
    let named = request.uri().authority().is_none_or(|authority| ours(authority.as_str()));
    let headed = match hosts.as_slice() {
        [] => true,
        [host] => host.to_str().is_ok_and(ours),
        _ => false,
    };
    (!named || !headed).then(|| text(StatusCode::MISDIRECTED_REQUEST, OTHER_HOST))
}

const OTHER_HOST: &str = "\
This name is not answered, since a page of the web could have it (DNS rebinding). Use an IP address, localhost or, where\n\
kitmirror listens for other machines, a name without a dot or one that ends with .svc, .local, .internal, .lan, .home\n\
or .home.arpa. A proxy in front of it should send one of these as Host.\n";

async fn readyz(State(shared): State<Arc<Shared>>) -> Response {
    let view = shared.view().await;
    if view.reasons.is_empty() {
        return text(StatusCode::OK, "ready\n");
    }
    let mut body = String::from("not ready\n");
    for reason in &view.reasons {
        body += &format!("{reason}\n");
    }
    text(StatusCode::SERVICE_UNAVAILABLE, body)
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    let view = shared.view().await;
    let kind = (header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8");
    ([kind], shared.metrics.text(&view)).into_response()
}

async fn status(State(shared): State<Arc<Shared>>) -> Response {
    let view = shared.view().await;
    let kind = (header::CONTENT_TYPE, "application/json");
    ([kind], status_json(&view)).into_response()
}

async fn for_people(State(shared): State<Arc<Shared>>) -> Response {
    let view = shared.view().await;
    match page::html(&view) {
        Ok(html) => {
            let headers = [
                (header::CONTENT_TYPE, "text/html; charset=utf-8"),
                (header::CONTENT_SECURITY_POLICY, page::policy()),
            ];
            (headers, html).into_response()
        }
        Err(error) => {
            tracing::error!("The status page could not be made: {error}");
            text(StatusCode::INTERNAL_SERVER_ERROR, "The page could not be made; see /status.json.\n")
        }
    }
}

fn text(status: StatusCode, body: impl Into<Body>) -> Response {
    (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], body.into()).into_response()
}

/// What `status --json` prints, and the service beside it.
fn status_json(view: &View) -> String {
    #[derive(serde::Serialize)]
    struct Everything<'v> {
        #[serde(flatten)]
        mirror: Option<&'v MirrorStatus>,
        service: Service<'v>,
    }
    #[derive(serde::Serialize)]
    struct Service<'v> {
        version: &'static str,
        #[serde(flatten)]
        phase: &'v Phase,
        ready: bool,
        not_ready_because: &'v [Reason],
        /// When what is beside this was read.
        read_at: Option<Time>,
        schedules: &'v BTreeMap<&'static str, Timetable>,
    }
    let read = view.seen.read.as_ref();
    let everything = Everything {
        mirror: read.map(|read| &read.glance.status),
        service: Service {
            version: env!("CARGO_PKG_VERSION"),
            phase: &view.beat.phase,
            ready: view.reasons.is_empty(),
            not_ready_because: &view.reasons,
            read_at: read.map(|read| read.at),
            schedules: &view.beat.schedules,
        },
    };
    let mut json = serde_json::to_string_pretty(&everything).unwrap_or_else(|_| "null".to_owned());
    json.push('\n');
    json
}

impl Shared {
    async fn view(&self) -> View {
        let seen = self.mirror.seen().await;
        let mut beat = self.pulse.now();
        hide_addresses(&mut beat.phase);
        let now = now();
        let reasons = reasons_against(&seen, &beat, now);
        View { seen, beat, reasons, now }
    }
}

fn hide_addresses(phase: &mut Phase) {
    match phase {
        Phase::WaitingForDatabase { error: text }
        | Phase::WaitingForKit { error: text }
        | Phase::Standby { holder: text }
        | Phase::Paused { error: text, .. } => *text = without_addresses(text),
        Phase::Starting | Phase::Working | Phase::Stopping => {}
    }
}

/// Accepts connections for as long as the server runs.
async fn accept(listener: TcpListener, routes: Router) {
    let free = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&free).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let routes = routes.clone();
                tokio::spawn(async move {
                    connection(stream, routes).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::debug!("The status server could not accept a connection: {error}");
                tokio::time::sleep(ACCEPTED_AGAIN_AFTER).await;
            }
        }
    }
}

/// Serves one request. Where the client is slow, broken or unfriendly, the connection ends without a word.
async fn connection(stream: TcpStream, routes: Router) {
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WITHIN)
        .max_headers(HEADERS)
        .max_buf_size(LARGEST_HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
    match tokio::time::timeout(CONNECTION_LASTS, served).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::trace!("A connection to the status server ended: {error}"),
        Err(_) => tracing::trace!("A connection to the status server took too long"),
    }
}
