//! One HTTP GET: time-outs, size limits, TLS, and no word of the URL in any message.

use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

use super::request::HttpRequest;
use super::retry::Failure;
use crate::chaos::{self, Failpoint as At};
use crate::error::{Error, Kind, Result};
use crate::model::Time;
use crate::model::text::without_addresses;
use secrecy::ExposeSecret as _;

/// Decoded bytes of one answer. Larger ones are given up and asked for in smaller pages.
const MAX_BODY: usize = 32 << 20;
/// Time to connect, name resolution and TLS included.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// Longest silence: before the first byte and between bytes. Counting a large list can be slow at Kit.
const SILENCE: Duration = Duration::from_secs(30);
/// Longest time for one answer as a whole.
const ANSWER_WITHIN: Duration = Duration::from_secs(120);

/// A complete, documented answer.
pub(super) struct Answer {
    pub body: String,
    pub served_at: Time,
}

/// What came back, whatever it is.
pub(super) struct RawAnswer {
    pub status: u16,
    pub body: String,
    pub is_json: bool,
    pub retry_after: Option<String>,
    pub date: Option<SystemTime>,
}

/// The HTTP client, bound to one host.
pub(super) struct Transport {
    http: reqwest::Client,
    #[cfg(feature = "chaos")]
    pub carrier: Option<Arc<dyn super::Carrier>>,
}

impl Transport {
    pub(super) fn new(base_url: &str) -> Result<Self> {
        // A credential never leaves for another host, nor for the same host without TLS.
        Ok(Transport {
            http: client(base_url)?,
            #[cfg(feature = "chaos")]
            carrier: None,
        })
    }

    pub(super) async fn get(&self, request: &HttpRequest) -> Result<RawAnswer, Failure> {
        #[cfg(feature = "chaos")]
        if let Some(carrier) = &self.carrier {
            return super::carrier::get(carrier.as_ref(), request).await;
        }
        let mut builder = self.http.get(&request.url).header("Accept", "application/json");
        if let Some((name, value)) = &request.header {
            let mut value = reqwest::header::HeaderValue::from_str(value.expose_secret()).map_err(|_| {
                Failure::Final(
                    Kind::Settings,
                    "the credential holds characters no header can carry".to_owned(),
                )
            })?;
            value.set_sensitive(true);
            builder = builder.header(*name, value);
        }
        let mut response = builder.send().await.map_err(failed)?;
        chaos::reach(At::HeadRead).await;
        let header = |name: &str| {
            response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        let status = response.status().as_u16();
        let retry_after = header("retry-after");
        let date = header("date").and_then(|value| httpdate::parse_http_date(&value).ok());
        let is_json = header("content-type").is_none_or(|value| value.to_ascii_lowercase().contains("json"));
        let mut body: Vec<u8> = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > MAX_BODY {
                let what = format!("an answer of more than {} MiB", MAX_BODY >> 20);
                return Err(Failure::Final(Kind::SourceTooLarge, what));
            }
            body.extend_from_slice(&chunk);
            chaos::reach(At::BodyBegun).await;
        }
        // Bad UTF-8 is replaced rather than refused: one broken name must not cost a page.
        let body = String::from_utf8(body)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
        Ok(RawAnswer { status, body, is_json, retry_after, date })
    }
}

/// An HTTP client as careful as ours is: no redirects, TLS verified, and plain HTTP only where the URL says so.
pub(super) fn client(base_url: &str) -> Result<reqwest::Client> {
    let setup = |error: Box<dyn std::error::Error + Send + Sync>| {
        Error::new(Kind::Internal, "could not set up the HTTP client").because(error)
    };
    let mut builder = reqwest::Client::builder();
    let is_tls = base_url.starts_with("https://");
    if !is_tls {
        // Without TLS (loopback only) a proxy of the environment would be handed the credential.
        builder = builder.no_proxy();
    }
    builder
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_WITHIN)
        .read_timeout(SILENCE)
        .timeout(ANSWER_WITHIN)
        .tls_backend_preconfigured(tls(is_tls).map_err(|error| setup(error.into()))?)
        .https_only(is_tls)
        .http1_only()
        .user_agent(concat!("kitmirror/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| setup(error.without_url().into()))
}

/// Verifies against the system's roots where there are any, and Mozilla's, so that an image without a
/// certificate store works. TLS 1.2 at least; there is no switch to skip verification.
fn tls(is_needed: bool) -> Result<rustls::ClientConfig, rustls::Error> {
    let mut roots = rustls::RootCertStore::empty();
    // Who speaks plain HTTP, to a simulator, trusts nobody.
    if is_needed {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

/// A transport error in words. reqwest prints the URL, and in v3 the URL holds the secret: it is
/// taken off here, at the one place where such errors arise.
fn failed(error: reqwest::Error) -> Failure {
    let error = error.without_url();
    let mut causes = String::new();
    let mut cause: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(&error);
    while let Some(inner) = cause {
        let text = inner.to_string();
        if !causes.contains(&text) {
            causes.push_str(": ");
            causes.push_str(&text);
        }
        cause = inner.source();
    }
    let lower = causes.to_ascii_lowercase();
    if lower.contains("certificate") || lower.contains("invalid peer") {
        return Failure::Final(Kind::SourceUntrusted, format!("the TLS connection was refused{causes}"));
    }
    // Of a connection that was not made the last cause is what somebody can do something about.
    let causes = if error.is_connect() { causes.rsplit(": ").next().unwrap_or_default() } else { &*causes };
    Failure::Unavailable(match causes.trim_start_matches(": ") {
        "" => stage(&error).to_owned(),
        causes => format!("{}: {causes}", stage(&error)),
    })
}

/// How far a request came, in words that name no host.
pub(super) fn stage(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "could not connect"
    } else if error.is_decode() {
        "the answer could not be decoded"
    } else {
        "the connection broke off"
    }
}

/// Kit's own words about an error, shortened and without control characters: v3
/// `{"error", "message"}`, v4 `{"errors": […]}` with texts or lists of texts. Empty when it said nothing.
/// Should it quote our credential, that is taken out.
pub(super) fn error_text(body: &str, secret: &str) -> String {
    let Ok(json) = serde_json::from_str::<serde_json::Value>(body) else { return String::new() };
    let mut words: Vec<&str> = Vec::new();
    collect(&json["error"], &mut words);
    collect(&json["message"], &mut words);
    collect(&json["errors"], &mut words);
    // Before it is shortened: the beginning of a secret is a secret.
    let words = words.join(", ").replace(secret, "***");
    let text: String = words.chars().filter(|c| !c.is_control()).take(200).collect();
    // Kit quotes input in some messages; an address must not reach a log.
    let safe = without_addresses(&text);
    if safe.is_empty() { safe } else { format!(" ({safe})") }
}

fn collect<'a>(json: &'a serde_json::Value, words: &mut Vec<&'a str>) {
    match json {
        serde_json::Value::String(text) if !text.is_empty() => words.push(text),
        serde_json::Value::Array(items) => items.iter().for_each(|item| collect(item, words)),
        _ => {}
    }
}

/// The source's clock as its `Date` headers tell it: watermarks and ceilings never use ours.
#[derive(Default)]
pub(super) struct SourceClock {
    last: Mutex<Option<(Time, Instant)>>,
}

impl SourceClock {
    /// A header that jumps ahead of what passed since the last one by more than five minutes is capped.
    const LEAP: Duration = Duration::from_secs(5 * 60);

    pub(super) fn observe(&self, date: Option<SystemTime>) {
        let Some(date) = date.map(Time::from) else { return };
        let now = Instant::now();
        let mut last = self.last.lock();
        let believed = match *last {
            Some((seen, at)) => date.min(seen + now.duration_since(at) + Self::LEAP),
            None => date,
        };
        *last = Some((believed, now));
    }

    /// As [`SourceClock::now`], but nothing where no answer has told the time yet.
    pub(super) fn told(&self) -> Option<Time> {
        let last = self.last.lock();
        last.map(|(seen, at)| seen + at.elapsed())
    }

    pub(super) fn now(&self) -> Time {
        match *self.last.lock() {
            Some((seen, at)) => seen + at.elapsed(),
            None => crate::model::time::now(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::{Auth, ClientSettings, KitClient, Meter};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[test]
    fn kits_words_about_an_error_are_found_in_every_shape() {
        let cases = [
            (
                r#"{"error":"Authorization Failed","message":"API Key not valid"}"#,
                " (Authorization Failed, API Key not valid)",
            ),
            (r#"{"error":"Tag not found","message":""}"#, " (Tag not found)"),
            (r#"{"errors":["The access token is invalid"]}"#, " (The access token is invalid)"),
            (r#"{"errors":[["Sequence is inactive"]]}"#, " (Sequence is inactive)"),
            (r#"{"errors":["ann@example.com is\u0007 taken"]}"#, " (*** is taken)"),
            (r#"{"errors":["key s\/cret is wrong"]}"#, " (key *** is wrong)"),
            ("{}", ""),
            ("<html>", ""),
            ("", ""),
        ];
        for (body, words) in cases {
            assert_eq!(error_text(body, "s/cret"), words, "{body}");
        }
    }

    /// T-06.
    #[tokio::test(start_paused = true)]
    async fn the_sources_clock_goes_on_without_headers_and_does_not_leap() {
        let clock = SourceClock::default();
        let noon = httpdate::parse_http_date("Sun, 06 Nov 1994 12:00:00 GMT").unwrap();
        clock.observe(Some(noon));
        tokio::time::advance(Duration::from_secs(60)).await;
        clock.observe(None);
        assert_eq!(clock.now(), Time::from(noon + Duration::from_secs(60)));
        assert_eq!(clock.told(), Some(clock.now()));
        clock.observe(Some(noon + Duration::from_secs(86_400)));
        assert_eq!(clock.now(), Time::from(noon + Duration::from_secs(60 + 300)));
    }

    /// How a host lets us wait.
    #[derive(Debug, Clone, Copy)]
    enum Stall {
        /// It takes the connection and says nothing.
        Silent,
        /// The head of an answer, and no body.
        AfterHead,
        /// Half a body.
        InBody,
        /// A byte every ten seconds.
        Drip,
    }

    const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 400\r\n\r\n";

    /// A Kit that stalls the first request it gets and answers all others at once. When they came.
    async fn stalling(stall: Stall) -> (String, tokio::sync::mpsc::UnboundedReceiver<Instant>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v4", listener.local_addr().unwrap());
        let (came, times) = tokio::sync::mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut first = true;
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let _ = came.send(Instant::now());
                let stalls = std::mem::replace(&mut first, false).then_some(stall);
                tokio::spawn(async move {
                    let _ = stream.read(&mut [0; 4096]).await;
                    let _ = match stalls {
                        None => stream.write_all(format!("{HEAD}{:>400}", "{}").as_bytes()).await,
                        Some(Stall::Silent) => Ok(()),
                        Some(Stall::AfterHead) => stream.write_all(HEAD.as_bytes()).await,
                        Some(Stall::InBody) => {
                            stream.write_all(format!("{HEAD}{:>200}", " ").as_bytes()).await
                        }
                        Some(Stall::Drip) => {
                            let _ = stream.write_all(HEAD.as_bytes()).await;
                            while stream.write_all(b" ").await.is_ok() {
                                tokio::time::sleep(Duration::from_secs(10)).await;
                            }
                            Ok(())
                        }
                    };
                    // Held open for longer than anybody waits.
                    tokio::time::sleep(Duration::from_secs(24 * 60 * 60)).await;
                });
            }
        });
        (url, times)
    }

    /// H-07. Before the first byte, after the head, in the body: half a minute of silence is enough. An answer that
    /// drips has two minutes. Then the same is asked for again, on another connection.
    #[tokio::test(start_paused = true)]
    async fn an_answer_that_does_not_come_is_given_up_and_asked_for_again() {
        let cases = [(Stall::Silent, 30), (Stall::AfterHead, 30), (Stall::InBody, 30), (Stall::Drip, 120)];
        for (stall, seconds) in cases {
            let (base_url, mut times) = stalling(stall).await;
            let auth = Auth::V4Key("a-key".into());
            let kit = KitClient::new(ClientSettings { base_url, auth, requests_per_minute: 600 }).unwrap();
            let meter = Meter::default();
            let asking = kit.is_there("/forms", &meter);
            let answered = tokio::time::timeout(Duration::from_secs(60 * 60), asking).await;
            assert!(matches!(answered, Ok(Ok(true))), "{stall:?}: {answered:?}");
            assert_eq!((meter.requests(), meter.retries()), (2, 1), "{stall:?}");
            let waited = times.recv().await.unwrap();
            let waited = times.recv().await.unwrap() - waited;
            // And at most a second of back-off.
            let expected = Duration::from_secs(seconds)..Duration::from_secs(seconds + 2);
            assert!(expected.contains(&waited), "{stall:?}: {waited:?}");
        }
    }

    /// H-07. A host that takes the connection and does not go on to TLS has ten seconds, not thirty.
    #[tokio::test(start_paused = true)]
    async fn a_connection_that_is_not_made_is_given_up() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}/v4", listener.local_addr().unwrap());
        let transport = Transport::new(&url).unwrap();
        let request = HttpRequest { url, header: None };
        let began = Instant::now();
        let got = tokio::time::timeout(Duration::from_secs(60 * 60), transport.get(&request)).await;
        let Ok(Err(Failure::Unavailable(what))) = got else { panic!("not given up, or for another reason") };
        assert!(what.starts_with("no answer in time"), "{what}");
        let waited = began.elapsed();
        assert!(waited >= CONNECT_WITHIN && waited < CONNECT_WITHIN * 2, "{waited:?}");
    }
}
