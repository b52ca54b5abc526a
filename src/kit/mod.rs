//! The only door to the network: [`KitClient::page`] takes a [`PageRequest`] and gives a [`Page`].
//! Limiting, retrying, time-outs, size limits and redaction happen in here; what a page means does not.

mod account;
#[cfg(feature = "chaos")]
mod carrier;
#[cfg(any(test, feature = "fuzzing"))]
#[path = "../fuzzing/kit.rs"]
pub(crate) mod fuzzing;
mod heartbeat;
mod limiter;
mod page;
mod request;
mod retry;
mod transport;
mod turns;

pub use account::{Account, shown};
#[cfg(feature = "chaos")]
pub use carrier::{Carried, Carrier};
pub use heartbeat::Heartbeat;
pub use limiter::{Expected, Ledger, Limiter, Memory, departures};
pub use page::{Following, NotAPage, Page, parse};
pub use request::{Auth, PageRequest, Position};
pub use retry::Patience;
pub use turns::Precedence;

use parking_lot::Mutex;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

use crate::chaos::{self, Bug, Failpoint as At};
use crate::error::{Error, Kind, Result};
use crate::model::{ApiVersion, Detail, Paging, Time};
use page::NotAPage as Unreadable;
use request::HttpRequest;
use retry::{Attempts, Failure, Retry};
use transport::{Answer, SourceClock, Transport};

/// Who it is that we are; the first thing that is asked for.
const ACCOUNT: &str = "/account";
/// The smallest page that is asked for when answers turn out too large.
const SMALLEST_PAGE: u16 = 50;

/// What it takes to talk to Kit.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// Base URL with its version segment, without a slash at the end.
    pub base_url: String,
    /// The credential.
    pub auth: Auth,
    /// Requests in any rolling 60 s.
    pub requests_per_minute: u32,
}

/// Counts what one object's run costs.
#[derive(Debug, Default)]
pub struct Meter {
    requests: AtomicU64,
    retries: AtomicU64,
    throttled: AtomicU64,
    answers: AtomicU64,
    answered_ms: AtomicU64,
}

impl Meter {
    /// Requests sent, repeated ones included.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Requests that were sent again.
    pub fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }

    /// How long Kit took to answer, on the average; zero when nothing was answered.
    pub fn mean_answer(&self) -> Duration {
        let answers = self.answers.load(Ordering::Relaxed).max(1);
        Duration::from_millis(self.answered_ms.load(Ordering::Relaxed) / answers)
    }

    /// Answers that were 429.
    pub fn throttled(&self) -> u64 {
        self.throttled.load(Ordering::Relaxed)
    }
}

/// A client for one credential.
pub struct KitClient {
    transport: Transport,
    settings: ClientSettings,
    limiter: Arc<Limiter>,
    clock: SourceClock,
    /// Page sizes asked for at most, by path: halved when an answer is too large to be decoded.
    largest_pages: Mutex<HashMap<String, u16>>,
}

impl KitClient {
    /// Prepares a client; nothing is sent yet.
    ///
    /// # Errors
    /// `Internal` when the TLS stack cannot be set up.
    pub fn new(settings: ClientSettings) -> Result<Self> {
        Ok(KitClient {
            transport: Transport::new(&settings.base_url)?,
            limiter: Arc::new(Limiter::new(settings.requests_per_minute)),
            clock: SourceClock::default(),
            largest_pages: Mutex::default(),
            settings,
        })
    }

    /// The same without a network: `carrier` answers.
    #[cfg(feature = "chaos")]
    #[must_use]
    pub fn carried_by(mut self, carrier: Arc<dyn Carrier>) -> Self {
        self.transport.carrier = Some(carrier);
        self
    }

    /// The API this client speaks.
    pub fn version(&self) -> ApiVersion {
        self.settings.auth.version()
    }

    /// The limiter all requests go through.
    pub fn limiter(&self) -> &Limiter {
        &self.limiter
    }

    /// The source's clock: that of its last answer plus the time since. Before the first answer, ours.
    pub fn source_now(&self) -> Time {
        self.clock.now()
    }

    /// The source's clock, if any of its answers told the time: for comparing it with ours.
    pub fn source_clock(&self) -> Option<Time> {
        self.clock.told()
    }

    /// Reads one page. A page is never skipped and never half read: the answer is either complete
    /// and documented, or it is asked for again, or this fails.
    ///
    /// # Errors
    /// `SourceRefused` (401, 402, 403), `SourceNotFound`, `SourceBadRequest` (a stale cursor),
    /// `SourceShape`, `SourceTooLarge`, and, after patience ran out, `SourceUnavailable` or
    /// `SourceThrottled`. Those of the limiter's ledger.
    pub async fn page(&self, request: &PageRequest, meter: &Meter) -> Result<Page> {
        loop {
            let per_page = match request.paging {
                Paging::Cursor { per_page } => {
                    let largest = self.largest_pages.lock();
                    Some(largest.get(&request.path).map_or(per_page, |largest| per_page.min(*largest)))
                }
                Paging::Single | Paging::Numbered { .. } => None,
            };
            let http = request::page(&self.settings.base_url, &self.settings.auth, request, per_page);
            let read =
                |answer: Answer| page::parse(answer.body, request.list, request.paging, answer.served_at);
            let sent =
                self.send(request.precedence, &http, &request.path, Patience::WORKING, meter, &read).await;
            #[cfg(feature = "chaos")]
            let sent = match sent {
                Err(_) if chaos::planted(Bug::ErrorIsEmpty) => {
                    Ok(page::nothing(request.paging, self.clock.now()))
                }
                sent => sent,
            };
            chaos::reach(At::PageParsed).await;
            match sent {
                Err(error)
                    if error.kind() == Kind::SourceTooLarge
                        && per_page.is_some_and(|n| n > SMALLEST_PAGE) =>
                {
                    let smaller = (per_page.unwrap_or(SMALLEST_PAGE) / 2).max(SMALLEST_PAGE);
                    let mut largest = self.largest_pages.lock();
                    largest.insert(request.path.clone(), smaller);
                    drop(largest);
                    tracing::warn!(
                        http.path = request.path,
                        http.per_page = smaller,
                        "An answer was too large; asking for smaller pages"
                    );
                }
                Ok(page) => return as_asked(request, page),
                Err(error) => return Err(error),
            }
        }
    }

    /// Completes a stub: reads one record by its id. `None` when it is gone (404).
    ///
    /// # Errors
    /// As [`KitClient::page`], without `SourceNotFound`.
    pub async fn record(&self, detail: &Detail, id: i64, meter: &Meter) -> Result<Option<String>> {
        let path = detail.path.replace("{id}", &id.to_string());
        let http = request::get(&self.settings.base_url, &self.settings.auth, &path, &[]);
        let read = |answer: Answer| member(&answer.body, detail.member);
        match self.send(Precedence::Following, &http, &path, Patience::WORKING, meter, &read).await {
            Ok(record) => Ok(Some(record)),
            Err(error) if error.kind() == Kind::SourceNotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether there is anything at a path; what it is, is not looked at.
    ///
    /// # Errors
    /// As [`KitClient::page`], without `SourceNotFound`.
    pub async fn is_there(&self, path: &str, meter: &Meter) -> Result<bool> {
        let smallest = match self.version() {
            ApiVersion::V3 => Vec::new(),
            ApiVersion::V4 => vec![("per_page", "1".to_owned())],
        };
        let http = request::get(&self.settings.base_url, &self.settings.auth, path, &smallest);
        match self.send(Precedence::Following, &http, path, Patience::WORKING, meter, &|_| Ok(())).await {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == Kind::SourceNotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whose account this is. Also the first thing that is asked, so that a wrong key is found at once.
    ///
    /// # Errors
    /// `SourceRejectedKey` for a credential Kit does not accept; else as [`KitClient::page`].
    pub async fn account(&self, patience: Patience, meter: &Meter) -> Result<Account> {
        let http = request::get(&self.settings.base_url, &self.settings.auth, ACCOUNT, &[]);
        let version = self.version();
        let read = |answer: Answer| account::read(version, &answer.body);
        self.send(Precedence::Following, &http, ACCOUNT, patience, meter, &read).await.map_err(|error| {
            match error.kind() {
                Kind::SourceRefused => Error::new(
                    Kind::SourceRejectedKey,
                    format!("Kit does not accept the credential: {error}"),
                ),
                Kind::SourceNotFound => Error::new(
                    Kind::Settings,
                    "there is no Kit API at kit_api_url (404 for /account); it must end in /v3 or /v4",
                ),
                _ => error,
            }
        })
    }

    /// Asks once, without retrying, and tells the status and the decoded body: for probing what the
    /// API's documents leave open. Counts against the limit like everything else.
    ///
    /// # Errors
    /// `SourceUnavailable` when there was no answer at all.
    pub async fn probe(&self, path: &str, query: &[(&str, String)], meter: &Meter) -> Result<(u16, String)> {
        let http = request::get(&self.settings.base_url, &self.settings.auth, path, query);
        self.limiter.acquire(Precedence::Following).await?;
        meter.requests.fetch_add(1, Ordering::Relaxed);
        match self.transport.get(&http).await {
            Ok(answer) => {
                self.clock.observe(answer.date);
                Ok((answer.status, answer.body))
            }
            Err(Failure::Final(kind, what)) => Err(Error::new(kind, what).about(path.to_owned())),
            Err(Failure::Unavailable(what) | Failure::Unexpected(what)) => {
                Err(Error::new(Kind::SourceUnavailable, what).about(path.to_owned()))
            }
            Err(Failure::Throttled(_)) => {
                Err(Error::new(Kind::SourceThrottled, "429").about(path.to_owned()))
            }
        }
    }

    /// Sends until there is an answer worth having or patience runs out.
    async fn send<T>(
        &self,
        precedence: Precedence,
        http: &HttpRequest,
        path: &str,
        patience: Patience,
        meter: &Meter,
        read: &(dyn Fn(Answer) -> Result<T, Unreadable> + Sync),
    ) -> Result<T> {
        let mut first_sent = None;
        let mut attempts = Attempts::default();
        loop {
            chaos::reach(At::PermitAsked).await;
            self.limiter.acquire(precedence).await?;
            chaos::reach(At::PermitGiven).await;
            // Not before: a turn may be waited for longer than an answer.
            let started = *first_sent.get_or_insert_with(Instant::now);
            meter.requests.fetch_add(1, Ordering::Relaxed);
            let failure = match self.attempt(http, path, meter, read).await {
                Ok(value) => return Ok(value),
                Err(failure) => failure,
            };
            if matches!(failure, Failure::Throttled(_)) {
                meter.throttled.fetch_add(1, Ordering::Relaxed);
                self.limiter.narrow();
            }
            match attempts.after(&failure, started.elapsed(), patience, fastrand::f64()) {
                Retry::Again { wait, everybody } => {
                    meter.retries.fetch_add(1, Ordering::Relaxed);
                    let what = describe(&failure);
                    tracing::warn!(
                        http.path = path,
                        http.wait_ms = wait.as_millis() as u64,
                        "GET {path}: {what}; asking again in {:.1} s",
                        wait.as_secs_f64()
                    );
                    if everybody {
                        self.limiter.pause(wait);
                    } else {
                        tokio::time::sleep(wait).await;
                    }
                }
                Retry::GiveUp(kind) => {
                    let path = if chaos::planted(Bug::UrlInError) { &http.url } else { path };
                    return Err(Error::new(kind, format!("GET {path}: {}", describe(&failure))));
                }
            }
        }
    }

    async fn attempt<T>(
        &self,
        http: &HttpRequest,
        path: &str,
        meter: &Meter,
        read: &(dyn Fn(Answer) -> Result<T, Unreadable> + Sync),
    ) -> Result<T, Failure> {
        let sent = Instant::now();
        let raw = self.transport.get(http).await?;
        let took = sent.elapsed().as_millis() as u64;
        meter.answers.fetch_add(1, Ordering::Relaxed);
        meter.answered_ms.fetch_add(took, Ordering::Relaxed);
        chaos::reach(At::AnswerRead).await;
        self.clock.observe(raw.date);
        tracing::debug!(
            http.path = path,
            http.status = raw.status,
            http.bytes = raw.body.len(),
            http.duration_ms = took,
            "GET {path}: {} with {} bytes in {} ms",
            raw.status,
            raw.body.len(),
            took
        );
        // A date is meant by the clock of whoever sent it; ours may be hours off.
        let now = raw.date.unwrap_or_else(|| crate::model::time::now().into());
        let retry_after = raw.retry_after.as_deref().and_then(|value| retry::retry_after(value, now));
        let says = || transport::error_text(&raw.body, self.settings.auth.secret());
        match raw.status {
            200 => {
                if !raw.is_json {
                    return Err(Failure::Unexpected("200 with a body that is not JSON".to_owned()));
                }
                let served_at = self.clock.now();
                read(Answer { body: raw.body, served_at })
                    .map_err(|error| Failure::Unexpected(error.to_string()))
            }
            401..=403 => {
                Err(Failure::Final(Kind::SourceRefused, format!("Kit answered {}{}", raw.status, says())))
            }
            // Said by something in between, it is no word about what is at Kit.
            404 if !(raw.is_json && is_json(&raw.body)) && path != ACCOUNT => {
                Err(Failure::Unexpected("404 with a body that is not JSON".to_owned()))
            }
            404 => Err(Failure::Final(Kind::SourceNotFound, format!("Kit answered 404{}", says()))),
            429 => Err(Failure::Throttled(retry_after)),
            408 | 500..=599 => Err(Failure::Unavailable(format!("Kit answered {}", raw.status))),
            400..=499 => {
                Err(Failure::Final(Kind::SourceBadRequest, format!("Kit answered {}{}", raw.status, says())))
            }
            300..=399 if raw.status != 304 => Err(Failure::Final(
                Kind::SourceShape,
                format!("Kit answered {}, a redirect, which is not followed", raw.status),
            )),
            other => Err(Failure::Unexpected(format!("unexpected status {other}"))),
        }
    }
}

/// A numbered page that bears another number stands in for the one that was asked for: what is on that one
/// would never be seen. The place is refused, so that the pass begins again.
fn as_asked(request: &PageRequest, page: Page) -> Result<Page> {
    let asked = match request.position {
        Position::Number(number) => number,
        Position::First | Position::After(_) => 1,
    };
    match page.number {
        Some(number) if number != asked && page.records().len() > 0 => Err(Error::new(
            Kind::SourceBadRequest,
            format!("GET {}: Kit answered with page {number} when asked for page {asked}", request.path),
        )),
        _ => Ok(page),
    }
}

fn describe(failure: &Failure) -> Cow<'static, str> {
    match failure {
        Failure::Throttled(Some(wait)) => {
            format!("Kit answered 429 and asks to wait {} s", wait.as_secs()).into()
        }
        Failure::Throttled(None) => "Kit answered 429 (too many requests)".into(),
        Failure::Unavailable(what) => what.clone().into(),
        Failure::Unexpected(what) => format!("unexpected answer: {what}").into(),
        Failure::Final(_, what) => what.clone().into(),
    }
}

fn is_json(body: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(body).is_ok()
}

/// The one member of an answer that is an object, as text.
fn member(body: &str, name: &str) -> Result<String, Unreadable> {
    let record =
        crate::model::record::Record::parse(body).map_err(|_| Unreadable::NotJson("a record".to_owned()))?;
    match record.get(name).map(|raw| raw.get()) {
        Some(object) if object.starts_with('{') => Ok(object.to_owned()),
        _ => Err(Unreadable::Shape(format!("the answer has no object \"{name}\""))),
    }
}
