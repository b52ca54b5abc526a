//! The simulator on a socket of this machine: both versions on one port.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::response::Response;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::reply::Reply;
use super::wire::{Cut, Line, Orders, Sockets};
use super::world::{Incoming, World};

/// How long open connections get to end by themselves when the server stops.
const GRACE: Duration = Duration::from_millis(200);

/// A running server. It stops when this is dropped.
#[derive(Debug)]
pub struct Serving {
    addr: SocketAddr,
    stop: watch::Sender<bool>,
    task: Option<JoinHandle<()>>,
}

#[derive(Debug, Clone)]
struct Shared {
    world: Arc<World>,
    stopping: watch::Receiver<bool>,
}

pub(super) async fn serve(world: Arc<World>, addr: SocketAddr) -> io::Result<Serving> {
    let sockets = Sockets::bind(addr).await?;
    let addr = axum::serve::Listener::local_addr(&sockets)?;
    let (stop, stopping) = watch::channel(false);
    let mut stopped = stopping.clone();
    let router = Router::new().fallback(respond).with_state(Shared { world, stopping });
    let service = router.into_make_service_with_connect_info::<Line>();
    let task = tokio::spawn(async move {
        let until = async move {
            // An error means that the owner is gone, which is a reason to stop as well.
            drop(stopped.wait_for(|stop| *stop).await);
        };
        if let Err(error) = axum::serve(sockets, service).with_graceful_shutdown(until).await {
            tracing::warn!(%error, "simulator: the server ended");
        }
    });
    Ok(Serving { addr, stop, task: Some(task) })
}

impl Serving {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The base URL of v3.
    pub fn v3_url(&self) -> String {
        format!("http://{}/v3", self.addr)
    }

    /// The base URL of v4.
    pub fn v4_url(&self) -> String {
        format!("http://{}/v4", self.addr)
    }

    /// Stops listening, ends open connections, and waits until that is done.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        if let Some(mut task) = self.task.take()
            && tokio::time::timeout(GRACE, &mut task).await.is_err()
        {
            task.abort();
            // Its end by abortion is what was asked for.
            drop(task.await);
        }
    }

    /// Waits until the server ends, which it does not by itself.
    pub async fn forever(mut self) {
        if let Some(task) = self.task.take() {
            drop(task.await);
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

async fn respond(
    State(shared): State<Shared>,
    ConnectInfo(line): ConnectInfo<Line>,
    request: Request,
) -> Response {
    line.order(Orders::default());
    let headers: Vec<(String, String)> = request
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    let incoming = Incoming {
        method: request.method().as_str(),
        path: request.uri().path(),
        query: request.uri().query().unwrap_or_default(),
        headers: &headers,
    };
    let (number, reply) = shared.world.answer(incoming);
    let mut stopping = shared.stopping;
    let mut until = stopping.clone();
    // An error means that the server is gone, which is a reason to stop as well.
    let stop = async move { drop(until.wait_for(|stop| *stop).await) };
    let Reply { delay, orders, status, .. } = reply;
    if !delay.is_zero() {
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            _ = stopping.wait_for(|stop| *stop) => {
                line.order(Orders { cut: Some(Cut::BeforeHeaders), ..Orders::default() });
                return reply.into_response(stop);
            }
        }
    }
    line.order(orders);
    if orders.cut != Some(Cut::BeforeHeaders) {
        shared.world.log.amend(number, |request| request.status = status);
    }
    reply.into_response(stop)
}
