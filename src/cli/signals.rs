//! What people and supervisors of processes tell us by signals.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

use crate::replication::Stop;

/// A stop may take this long, of the five seconds that are promised. What a silent database still holds up then is
/// what a crash would hold up, and is made good by the next start.
const STOPPED_WITHIN: Duration = Duration::from_millis(4_500);

/// The wish to stop, and the signal it came by.
pub(super) struct Signals {
    /// Asked for by the first SIGINT or SIGTERM.
    pub stop: Stop,
    code: Arc<AtomicU8>,
}

impl Signals {
    /// Listens from now on, also where nobody else would see to it: the first process of a container gets no signal
    /// that it has not asked for. The second signal ends the process at once.
    pub fn listen() -> Self {
        let signals = Signals { stop: Stop::default(), code: Arc::default() };
        let (stop, code) = (signals.stop.clone(), Arc::clone(&signals.code));
        // Before the task is spawned: a signal that comes until it runs must not find nobody listening.
        let mut asked = Asked::new();
        tokio::spawn(async move {
            while let Some(signal) = asked.next().await {
                if stop.is_requested() {
                    std::process::exit(i32::from(signal));
                }
                code.store(signal, Ordering::Relaxed);
                tracing::info!("Stopping after the page in hand. A second signal ends it at once.");
                stop.request();
            }
        });
        signals
    }

    /// A stop that was asked for and takes too long.
    pub async fn overdue(&self) {
        self.stop.requested().await;
        tokio::time::sleep(STOPPED_WITHIN).await;
    }

    /// 128 plus the number of the signal, or nothing if there was none.
    pub fn code(&self) -> u8 {
        self.code.load(Ordering::Relaxed)
    }
}

/// Waits for the first SIGINT or SIGTERM, where nothing is to be finished.
pub(super) async fn asked_to_stop() {
    Asked::new().next().await;
}

/// Tells whoever waits that SIGHUP came: the settings are to be read again.
#[cfg(unix)]
pub(super) fn reloads() -> Arc<Notify> {
    use tokio::signal::unix::{SignalKind, signal};
    let reload = Arc::new(Notify::new());
    let heard = Arc::clone(&reload);
    if let Ok(mut hangup) = signal(SignalKind::hangup()) {
        tokio::spawn(async move {
            while hangup.recv().await.is_some() {
                heard.notify_one();
            }
        });
    }
    reload
}

/// There is no such signal here.
#[cfg(not(unix))]
pub(super) fn reloads() -> Arc<Notify> {
    Arc::default()
}

/// SIGINT and SIGTERM.
#[cfg(unix)]
struct Asked(Option<[tokio::signal::unix::Signal; 2]>);

#[cfg(unix)]
impl Asked {
    fn new() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        let both =
            signal(SignalKind::interrupt()).and_then(|one| Ok([one, signal(SignalKind::terminate())?]));
        Asked(both.ok())
    }

    /// Waits for the next one; 128 plus its number. None when nothing can be heard.
    async fn next(&mut self) -> Option<u8> {
        let [interrupt, terminate] = self.0.as_mut()?;
        tokio::select! {
            heard = interrupt.recv() => heard.map(|()| 130),
            heard = terminate.recv() => heard.map(|()| 143),
        }
    }
}

/// Ctrl-C.
#[cfg(not(unix))]
struct Asked;

#[cfg(not(unix))]
impl Asked {
    fn new() -> Self {
        Asked
    }

    async fn next(&mut self) -> Option<u8> {
        tokio::signal::ctrl_c().await.ok().map(|()| 130)
    }
}
