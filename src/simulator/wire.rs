//! The simulator's sockets. Each connection can be told to cut the coming answer at a byte, to leave out
//! its `Date` header, or to reset when the client speaks again: what no HTTP server offers by itself.

use parking_lot::{Mutex, MutexGuard};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// Where an answer is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// Not one byte is sent.
    BeforeHeaders,
    /// So many bytes of the body are sent.
    InBody(u64),
}

/// What a connection does with the coming answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Orders {
    pub(super) cut: Option<Cut>,
    /// Close in good order (FIN) instead of resetting (RST).
    pub(super) politely: bool,
    pub(super) without_date: bool,
    /// Answer this request, reset at the next.
    pub(super) reset_next: bool,
}

/// The orders of one connection, shared with whoever answers on it.
#[derive(Debug, Clone, Default)]
pub(super) struct Line(Arc<Mutex<Orders>>);

impl Line {
    /// Gives orders for the coming answer; those for the one before are void.
    pub(super) fn order(&self, orders: Orders) {
        *self.orders() = orders;
    }

    fn orders(&self) -> MutexGuard<'_, Orders> {
        self.0.lock()
    }
}

impl Connected<IncomingStream<'_, Sockets>> for Line {
    fn connect_info(stream: IncomingStream<'_, Sockets>) -> Self {
        stream.io().line.clone()
    }
}

/// Accepts connections that take orders.
#[derive(Debug)]
pub(super) struct Sockets(TcpListener);

impl Sockets {
    pub(super) async fn bind(addr: SocketAddr) -> io::Result<Self> {
        Ok(Self(TcpListener::bind(addr).await?))
    }
}

impl Listener for Sockets {
    type Io = Socket;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Socket, SocketAddr) {
        loop {
            match self.0.accept().await {
                Ok((stream, addr)) => {
                    // Small answers must not wait for the client's acknowledgement.
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(%error, "simulator: no TCP_NODELAY");
                    }
                    return (Socket::new(stream), addr);
                }
                Err(error) => {
                    tracing::warn!(%error, "simulator: cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// A connection that takes orders.
#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    line: Line,
    /// The head of an answer until it is complete; only collected when there are orders.
    head: Option<Vec<u8>>,
    /// Bytes accepted, not yet sent.
    pending: Vec<u8>,
    sent: usize,
    /// Bytes of the body that may still be accepted before the cut.
    left: Option<u64>,
    cut: bool,
}

impl Socket {
    fn new(stream: TcpStream) -> Self {
        let (head, pending) = (Some(Vec::new()), Vec::new());
        Self { stream, line: Line::default(), head, pending, sent: 0, left: None, cut: false }
    }

    /// Ends the connection as ordered.
    fn hang_up(&mut self, politely: bool) -> io::Error {
        self.cut = true;
        if !politely && let Err(error) = self.stream.set_zero_linger() {
            tracing::debug!(%error, "simulator: cannot make a close a reset");
        }
        io::Error::new(io::ErrorKind::ConnectionReset, "cut off by order")
    }

    /// Sends what has been accepted.
    fn poll_drain(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.pending.len() {
            let n = ready!(Pin::new(&mut self.stream).poll_write(context, &self.pending[self.sent..]))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += n;
        }
        self.pending.clear();
        self.sent = 0;
        Poll::Ready(Ok(()))
    }

    /// Accepts bytes of an answer under orders.
    fn accept(&mut self, bytes: &[u8], orders: Orders) {
        let Some(head) = &mut self.head else { return self.accept_body(bytes) };
        head.extend_from_slice(bytes);
        let Some(end) = head.windows(4).position(|window| window == b"\r\n\r\n") else { return };
        let mut collected = self.head.take().unwrap_or_default();
        let body = collected.split_off(end + 4);
        if orders.without_date {
            collected = without_date(&collected);
        }
        self.pending.extend_from_slice(&collected);
        self.left = match orders.cut {
            Some(Cut::InBody(bytes)) => Some(bytes),
            _ => None,
        };
        self.accept_body(&body);
    }

    fn accept_body(&mut self, bytes: &[u8]) {
        let take = self.left.map_or(bytes.len(), |left| bytes.len().min(left as usize));
        self.pending.extend_from_slice(&bytes[..take]);
        if let Some(left) = &mut self.left {
            *left -= take as u64;
        }
    }
}

/// The head of an answer without its `Date` line.
fn without_date(head: &[u8]) -> Vec<u8> {
    head.split_inclusive(|byte| *byte == b'\n')
        .filter(|line| !line.get(..5).is_some_and(|name| name.eq_ignore_ascii_case(b"date:")))
        .flatten()
        .copied()
        .collect()
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let socket = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut socket.stream).poll_read(context, buf))?;
        let orders = *socket.line.orders();
        if orders.reset_next && buf.filled().len() > before {
            buf.set_filled(before);
            return Poll::Ready(Err(socket.hang_up(false)));
        }
        // The client speaks, so the next thing written is the head of an answer.
        socket.head = Some(Vec::new());
        socket.left = None;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let socket = self.get_mut();
        let orders = *socket.line.orders();
        if socket.cut || orders.cut == Some(Cut::BeforeHeaders) {
            return Poll::Ready(Err(socket.hang_up(orders.politely)));
        }
        ready!(socket.poll_drain(context))?;
        if orders.cut.is_none() && !orders.without_date {
            return Pin::new(&mut socket.stream).poll_write(context, bytes);
        }
        if socket.left == Some(0) {
            return Poll::Ready(Err(socket.hang_up(orders.politely)));
        }
        socket.accept(bytes, orders);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let socket = self.get_mut();
        ready!(socket.poll_drain(context))?;
        ready!(Pin::new(&mut socket.stream).poll_flush(context))?;
        if socket.left == Some(0) {
            let politely = socket.line.orders().politely;
            return Poll::Ready(Err(socket.hang_up(politely)));
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let socket = self.get_mut();
        if socket.cut {
            // A farewell would reach the client before the reset does.
            return Poll::Ready(Ok(()));
        }
        ready!(socket.poll_drain(context))?;
        Pin::new(&mut socket.stream).poll_shutdown(context)
    }
}
