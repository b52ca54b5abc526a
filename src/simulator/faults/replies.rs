//! Faults of whole replies: what is said instead of an answer, and how an answer goes out wrong.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::{Action, RetryHint};
use crate::simulator::modes::Blank;
use crate::simulator::reply::{Manner, Reply};
use crate::simulator::request::Version;
use crate::simulator::wire::Cut;

const JSON: &str = "application/json; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";

/// A body that is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Junk {
    /// This text, said to be JSON.
    Json(String),
    /// A page for people.
    Html,
    /// A line of text.
    Plain,
    /// Nothing.
    Empty,
    /// An array in an array in an array, so many deep.
    Deep(usize),
    /// The list with so many empty objects.
    EmptyObjects(usize),
    /// The right beginning of a list, with bytes that are no UTF-8.
    InvalidUtf8,
}

/// An error reply with a body of that kind.
pub(in crate::simulator) fn blank_reply(version: Version, status: u16, blank: Blank) -> Reply {
    let text = match status {
        401 => "The access token is invalid",
        402 => "Your account is past due",
        403 => "You do not have sufficient permissions to access this resource. Please contact support.",
        404 => "Not Found",
        422 => "Unprocessable",
        429 => "Rate limit exceeded",
        _ => "Something went wrong",
    };
    match (blank, version) {
        (Blank::Json, Version::V3) => {
            Reply::new(status, JSON, format!(r#"{{"error":"Error {status}","message":"{text}"}}"#))
        }
        (Blank::Json, Version::V4) => Reply::new(status, JSON, format!(r#"{{"errors":["{text}"]}}"#)),
        (Blank::Empty, _) => Reply::new(status, "", ""),
        (Blank::Plain, _) => Reply::new(status, "text/plain", "Retry later\n"),
        (Blank::Html, _) => Reply::new(status, HTML, html(status)),
    }
}

fn html(status: u16) -> String {
    format!("<!DOCTYPE html><html><head><title>{status}</title></head><body><h1>Sorry</h1></body></html>")
}

impl Action {
    /// The reply given instead of an answer, if this action is of that kind.
    pub(in crate::simulator) fn instead(
        &self,
        version: Version,
        query: &str,
        now: DateTime<Utc>,
    ) -> Option<Reply> {
        Some(match self {
            Action::Status(status, blank) => blank_reply(version, *status, *blank),
            Action::TooMany(hint, blank) => {
                let reply = blank_reply(version, 429, *blank);
                match hint {
                    RetryHint::Absent => reply,
                    RetryHint::Seconds(seconds) => reply.with("retry-after", seconds.to_string()),
                    RetryHint::DateIn(seconds) => {
                        let date = now + TimeDelta::seconds(*seconds);
                        reply.with("retry-after", httpdate::fmt_http_date(date.into()))
                    }
                    RetryHint::Text(text) => reply.with("retry-after", text.as_str()),
                }
            }
            Action::Redirect(status, target) => {
                let query = if query.is_empty() { String::new() } else { format!("?{query}") };
                Reply::new(*status, "", "").with("location", format!("{target}{query}"))
            }
            Action::Junk(junk) => junk.reply(),
            _ => return None,
        })
    }

    /// Changes how a reply goes out.
    pub(in crate::simulator) fn spoil(&self, reply: &mut Reply) {
        match self {
            Action::AnswerWith(status) => reply.status = *status,
            Action::ContentType(text) => {
                reply.headers.retain(|(name, _)| name != "content-type");
                reply.headers.push(("content-type".into(), text.clone()));
            }
            Action::Delay(delay) => reply.delay += *delay,
            // Longer than any test; the end of the simulator ends it too.
            Action::StallBeforeHeaders => reply.delay += Duration::from_secs(86_400),
            Action::StallBody { after } => reply.manner = Manner::Stall { after: *after },
            Action::Drip { bytes, pause } => reply.manner = Manner::Drip { bytes: *bytes, pause: *pause },
            Action::ResetBeforeHeaders => reply.orders.cut = Some(Cut::BeforeHeaders),
            Action::ResetInBody { bytes } => reply.orders.cut = Some(Cut::InBody(*bytes)),
            Action::CutBody { bytes } => {
                reply.orders.cut = Some(Cut::InBody(*bytes as u64));
                reply.orders.politely = true;
            }
            Action::TruncateBody { bytes } => reply.body.truncate(*bytes),
            Action::ResetNextRequest => reply.orders.reset_next = true,
            Action::EndlessBody => reply.manner = Manner::Endless,
            Action::HugeBody(bytes) => reply.manner = Manner::Huge { bytes: *bytes },
            Action::GzipBomb(bytes) => reply.manner = Manner::Bomb { bytes: *bytes },
            Action::ManyHeaders(count) => {
                reply.headers.extend((0..*count).map(|n| (format!("x-extra-{n}"), "extra".into())));
            }
            Action::HugeHeader(bytes) => reply.headers.push(("x-huge".into(), "h".repeat(*bytes))),
            Action::Header(name, value) => reply.headers.push((name.to_ascii_lowercase(), value.clone())),
            Action::NoDate => reply.orders.without_date = true,
            _ => {}
        }
    }

    /// Does the body have to stay as it is, uncompressed, for this to work as described?
    pub(in crate::simulator) fn counts_bytes(&self) -> bool {
        matches!(
            self,
            Action::StallBody { .. }
                | Action::Drip { .. }
                | Action::ResetInBody { .. }
                | Action::CutBody { .. }
                | Action::TruncateBody { .. }
                | Action::EndlessBody
                | Action::HugeBody(_)
                | Action::GzipBomb(_)
        )
    }
}

impl Junk {
    fn reply(&self) -> Reply {
        match self {
            Junk::Json(text) => Reply::new(200, JSON, text.as_str()),
            Junk::Html => Reply::new(200, HTML, html(200)),
            Junk::Plain => Reply::new(200, "text/plain", "OK\n"),
            Junk::Empty => Reply::new(200, JSON, ""),
            Junk::Deep(depth) => {
                let text = format!(
                    r#"{{"subscribers":[{{"id":1,"x":{}{}}}]}}"#,
                    "[".repeat(*depth),
                    "]".repeat(*depth)
                );
                Reply::new(200, JSON, text)
            }
            Junk::EmptyObjects(count) => {
                let mut text = String::with_capacity(count * 3 + 32);
                text.push_str(r#"{"subscribers":["#);
                for n in 0..*count {
                    text.push_str(if n == 0 { "{}" } else { ",{}" });
                }
                text.push_str("]}");
                Reply::new(200, JSON, text)
            }
            Junk::InvalidUtf8 => Reply::new(
                200,
                JSON,
                b"{\"subscribers\":[{\"id\":1,\"first_name\":\"\xff\xfe\xc3\"}]}".to_vec(),
            ),
        }
    }
}
