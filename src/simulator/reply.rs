//! An answer as it goes out: status, headers, and a body that may misbehave.

use std::convert::Infallible;
use std::io::Write as _;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::{Stream, StreamExt as _, stream};

use super::wire::Orders;

/// How large the pieces of made-up bodies are.
const PIECE: usize = 64 * 1024;

/// A reply, ready to be sent.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    pub(super) manner: Manner,
    pub(super) delay: Duration,
    pub(super) orders: Orders,
}

/// How the body is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// At once.
    Whole,
    /// So many bytes at a time, with a pause between.
    Drip { bytes: usize, pause: Duration },
    /// So many bytes, then nothing more, and the connection stays open.
    Stall { after: usize },
    /// The body in chunks, then blanks without end.
    Endless,
    /// A JSON text of so many bytes, mostly blanks.
    Huge { bytes: u64 },
    /// The same, compressed.
    Bomb { bytes: u64 },
}

impl Reply {
    pub(super) fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let mut headers = Vec::new();
        if !content_type.is_empty() {
            headers.push((header::CONTENT_TYPE.to_string(), content_type.to_string()));
        }
        let (manner, delay) = (Manner::Whole, Duration::ZERO);
        Self { status, headers, body: body.into(), manner, delay, orders: Orders::default() }
    }

    pub(super) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_string(), value.into()));
        self
    }

    /// Whether whoever asked will not hear all of it.
    pub(super) fn breaks(&self) -> bool {
        self.orders.cut.is_some() || self.manner != Manner::Whole
    }

    /// Compresses the body; what is sent at once only.
    pub(super) fn compress(&mut self) {
        let mut encoder = GzEncoder::new(Vec::with_capacity(self.body.len() / 4), Compression::fast());
        if encoder.write_all(&self.body).is_ok()
            && let Ok(compressed) = encoder.finish()
        {
            self.body = compressed;
            self.headers.push((header::CONTENT_ENCODING.to_string(), "gzip".into()));
        }
    }

    /// The response for the HTTP server; a body without end ends at `stop`.
    pub(super) fn into_response(self, stop: impl Future<Output = ()> + Send + 'static) -> Response {
        let length = self.body.len();
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = match self.manner {
            Manner::Whole => Body::from(self.body),
            Manner::Drip { bytes, pause } => {
                Body::from_stream(pieces(self.body, bytes, pause).take_until(stop))
            }
            Manner::Stall { after } => {
                let start = stream::iter([piece(&self.body[..after.min(length)])]);
                Body::from_stream(start.chain(stream::pending()).take_until(stop))
            }
            Manner::Endless => {
                let start = stream::iter([piece(&self.body)]);
                let blanks = stream::repeat_with(|| piece(&[b' '; PIECE]));
                Body::from_stream(start.chain(blanks).take_until(stop))
            }
            Manner::Huge { bytes } => Body::from_stream(blanks(bytes)),
            Manner::Bomb { bytes } => Body::from_stream(compressed_blanks(bytes)),
        };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        for (name, value) in self.headers {
            let name = HeaderName::try_from(name);
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value.as_bytes())) {
                response.headers_mut().append(name, value);
            }
        }
        match self.manner {
            // The header promises what the body then does not keep.
            Manner::Stall { .. } | Manner::Drip { .. } => {
                response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
            }
            Manner::Bomb { .. } => {
                response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            }
            _ => {}
        }
        response
    }
}

fn piece(bytes: &[u8]) -> Result<Bytes, Infallible> {
    Ok(Bytes::copy_from_slice(bytes))
}

/// The body in small pieces with pauses.
fn pieces(body: Vec<u8>, size: usize, pause: Duration) -> impl Stream<Item = Result<Bytes, Infallible>> {
    stream::unfold((Bytes::from(body), true), move |(mut rest, first)| async move {
        if rest.is_empty() {
            return None;
        }
        if !first {
            tokio::time::sleep(pause).await;
        }
        let next = rest.split_to(size.max(1).min(rest.len()));
        Some((Ok(next), (rest, false)))
    })
}

/// A JSON text of `bytes` bytes with blanks inside.
fn blanks(bytes: u64) -> impl Stream<Item = Result<Bytes, Infallible>> {
    stream::unfold((0, bytes), |(sent, bytes)| async move {
        let next = blank_piece(sent, bytes)?;
        Some((Ok(Bytes::from(next.clone())), (sent + next.len() as u64, bytes)))
    })
}

/// The same, compressed piece by piece: gigabytes on the way in, megabytes on the wire.
fn compressed_blanks(bytes: u64) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let encoder = GzEncoder::new(Vec::new(), Compression::best());
    stream::unfold((Some(encoder), 0), move |(encoder, mut taken)| async move {
        let mut encoder = encoder?;
        while encoder.get_ref().len() < PIECE {
            let Some(next) = blank_piece(taken, bytes) else {
                let rest = encoder.finish().unwrap_or_default();
                return Some((Ok(Bytes::from(rest)), (None, taken)));
            };
            taken += next.len() as u64;
            if encoder.write_all(&next).is_err() {
                return None;
            }
        }
        let ready = std::mem::take(encoder.get_mut());
        Some((Ok(Bytes::from(ready)), (Some(encoder), taken)))
    })
}

fn blank_piece(sent: u64, bytes: u64) -> Option<Vec<u8>> {
    const START: &[u8] = br#"{"subscribers":["#;
    const END: &[u8] = b"]}";
    if sent >= bytes.max((START.len() + END.len()) as u64) {
        return None;
    }
    if sent == 0 {
        return Some(START.to_vec());
    }
    let left = bytes.saturating_sub(sent).saturating_sub(END.len() as u64);
    Some(if left == 0 { END.to_vec() } else { vec![b' '; left.min(PIECE as u64) as usize] })
}
