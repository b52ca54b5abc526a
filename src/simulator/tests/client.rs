//! A client of a few lines that shows every byte, well-formed or not.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::simulator::{Serving, V4_KEY};

/// What came back on one connection.
#[derive(Debug, Default)]
pub(super) struct Received {
    pub(super) bytes: Vec<u8>,
    /// The error that ended it, if it did not end in good order.
    pub(super) error: Option<std::io::ErrorKind>,
    /// It did not end at all within the patience.
    pub(super) hung: bool,
}

impl Received {
    pub(super) fn status(&self) -> Option<u16> {
        self.text().split(' ').nth(1)?.parse().ok()
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    pub(super) fn header(&self, name: &str) -> Option<String> {
        let head = self.text();
        let head = head.split("\r\n\r\n").next()?.to_string();
        let lines = head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_string())
    }

    pub(super) fn body(&self) -> &[u8] {
        let head = self.bytes.windows(4).position(|window| window == b"\r\n\r\n");
        head.map_or(&[], |end| &self.bytes[end + 4..])
    }
}

/// Asks on a connection of its own and reads until its end.
pub(super) async fn ask(serving: &Serving, path: &str, headers: &str) -> Received {
    let mut stream = connect(serving).await;
    send(&mut stream, path, &format!("Connection: close\r\n{headers}")).await;
    receive(&mut stream).await
}

pub(super) async fn connect(serving: &Serving) -> TcpStream {
    TcpStream::connect(serving.addr()).await.expect("a connection")
}

pub(super) async fn send(stream: &mut TcpStream, path: &str, headers: &str) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: sim\r\nX-Kit-Api-Key: {V4_KEY}\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.expect("the request goes out");
}

pub(super) async fn receive(stream: &mut TcpStream) -> Received {
    let mut received = Received::default();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match tokio::time::timeout(Duration::from_millis(700), stream.read(&mut buffer)).await {
            Err(_) => {
                received.hung = true;
                return received;
            }
            Ok(Err(error)) => {
                received.error = Some(error.kind());
                return received;
            }
            Ok(Ok(0)) => return received,
            Ok(Ok(n)) => received.bytes.extend_from_slice(&buffer[..n]),
        }
        // Enough of what has no end.
        if received.bytes.len() > 32 << 20 {
            return received;
        }
    }
}
