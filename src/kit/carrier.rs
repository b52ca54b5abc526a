//! Requests without a network: in a simulation a function answers them.

use std::future::Future;
use std::io;
use std::pin::Pin;

use secrecy::ExposeSecret as _;

use super::request::HttpRequest;
use super::retry::Failure;
use super::transport::RawAnswer;

/// What answers requests in the place of HTTP.
pub trait Carrier: Send + Sync {
    /// The answer to a request for a URL with one header. An error is a connection that broke.
    fn carry<'a>(
        &'a self,
        url: &'a str,
        header: Option<(&'static str, &'a str)>,
    ) -> Pin<Box<dyn Future<Output = io::Result<Carried>> + Send + 'a>>;
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Carried {
    /// HTTP status.
    pub status: u16,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// The decoded body.
    pub body: String,
}

pub(super) async fn get(carrier: &dyn Carrier, request: &HttpRequest) -> Result<RawAnswer, Failure> {
    let header = request.header.as_ref().map(|(name, value)| (*name, value.expose_secret()));
    let answer = carrier
        .carry(&request.url, header)
        .await
        .map_err(|error| Failure::Unavailable(format!("the connection broke off: {error}")))?;
    let header = |name: &str| {
        let found = answer.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.clone())
    };
    Ok(RawAnswer {
        status: answer.status,
        is_json: header("content-type").is_none_or(|value| value.contains("json")),
        retry_after: header("retry-after"),
        date: header("date").and_then(|value| httpdate::parse_http_date(&value).ok()),
        body: answer.body,
    })
}
