//! The mirror as it is at present, for all who ask: read by a connection of its own, by one reader at a time, and not
//! more often than it is worth.

use parking_lot::{Mutex, MutexGuard};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::error::{Error, Kind, Result};
use crate::model::text::without_addresses;
use crate::model::{Time, time};
use crate::service::mirror;
use crate::store::{Glance, Place, Store};

/// What was read serves everybody for so long.
const SERVES_FOR: Duration = Duration::from_secs(1);
/// After a reading there is a rest of so many times as long as it took: a large mirror on a small machine is not kept
/// busy by those who ask how it is.
const REST: u32 = 9;
/// The longest rest.
const LONGEST_REST: Duration = Duration::from_secs(30);
/// Who asks waits so long for a reading under way; probes give up after a second or a few.
const WAITED_FOR: Duration = Duration::from_millis(900);
/// A database that has not answered for so long does not answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);
/// A reading is given up after so long.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(45);
/// Runs of each object that are shown.
pub(super) const RUNS: usize = 24;

/// What was seen last.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// What was read, if anything ever was.
    pub read: Option<Arc<Read>>,
    /// Why it could not be read this time.
    pub trouble: Option<Trouble>,
}

/// What was read.
#[derive(Debug)]
pub struct Read {
    /// The mirror.
    pub glance: Glance,
    /// When, by our clock.
    pub at: Time,
}

/// Why the mirror could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// In one line.
    pub error: String,
    /// What to do about it.
    pub advice: String,
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Trouble { error: without_addresses(&error.one_line()), advice: error.advice().to_owned() }
    }
}

/// Reads the mirror for all who ask. Cloning gives another handle to the same one.
#[derive(Clone)]
pub(super) struct Mirror(Arc<Inner>);

struct Inner {
    place: Place,
    /// Held by the one who reads.
    store: tokio::sync::Mutex<Option<Store>>,
    turn: Mutex<Turn>,
    seen: watch::Sender<Seen>,
}

#[derive(Default)]
struct Turn {
    reading_since: Option<Instant>,
    rest_until: Option<Instant>,
}

impl Mirror {
    /// Of the mirror at a place, whether there is one yet or not.
    pub(super) fn new(place: Place) -> Self {
        Mirror(Arc::new(Inner {
            place,
            store: tokio::sync::Mutex::default(),
            turn: Mutex::default(),
            seen: watch::Sender::new(Seen::default()),
        }))
    }

    /// How it is: read now, or a moment ago. Where the database takes its time, what was read before, and after a
    /// while that it does not answer.
    pub(super) async fn seen(&self) -> Seen {
        let mut news = self.0.seen.subscribe();
        if self.begin_reading() {
            let reader = self.clone();
            tokio::spawn(async move { reader.read().await });
        }
        if self.0.turn().reading_since.is_some() {
            // That it takes longer is told below.
            let _ = tokio::time::timeout(WAITED_FOR, news.changed()).await;
        }
        let mut seen = self.0.seen.borrow().clone();
        let waiting = self.0.turn().reading_since.map(|since| since.elapsed());
        let first = seen.read.is_none() && seen.trouble.is_none();
        if let Some(waiting) = waiting
            && (waiting > ANSWERS_WITHIN || first)
        {
            let what = format!("it has not answered for {:.1} s", waiting.as_secs_f64());
            seen.trouble = Some(Error::new(Kind::DatabaseUnavailable, what).into());
        }
        seen
    }

    /// Closes the connection in good order.
    pub(super) async fn close(&self) {
        // One that is being read is left to the end of the process.
        let kept = self.0.store.try_lock().ok().and_then(|mut store| store.take());
        if let Some(store) = kept {
            store.close().await;
        }
    }

    /// Whether it is this caller's turn to read.
    fn begin_reading(&self) -> bool {
        let now = Instant::now();
        let mut turn = self.0.turn();
        let begins = turn.reading_since.is_none() && turn.rest_until.is_none_or(|until| until <= now);
        if begins {
            turn.reading_since = Some(now);
        }
        begins
    }

    async fn read(&self) {
        let began = Instant::now();
        let read = tokio::time::timeout(GIVEN_UP_AFTER, self.0.glance()).await.unwrap_or_else(|_| {
            let what = format!("it has not answered for {} s", GIVEN_UP_AFTER.as_secs());
            Err(Error::new(Kind::DatabaseUnavailable, what))
        });
        let rest = (began.elapsed() * REST).clamp(SERVES_FOR, LONGEST_REST);
        self.0.seen.send_modify(|seen| match read {
            Ok(glance) => {
                let at = time::now();
                *seen = Seen { read: Some(Arc::new(Read { glance: public(glance), at })), trouble: None };
            }
            Err(error) => seen.trouble = Some(error.into()),
        });
        // Only now: whoever asks in between would find neither a reading under way nor what came of it.
        *self.0.turn() = Turn { reading_since: None, rest_until: Some(Instant::now() + rest) };
    }
}

impl Inner {
    fn turn(&self) -> MutexGuard<'_, Turn> {
        self.turn.lock()
    }

    async fn glance(&self) -> Result<Glance> {
        let mut kept = self.store.lock().await;
        let store = match &mut *kept {
            Some(store) => store,
            None => {
                let opened = mirror(&self.place).await?;
                kept.insert(opened)
            }
        };
        store.glance(RUNS).await
    }
}

/// The same without anything that could be somebody's address. Messages hold none by their making; the name of an
/// account is its owner's choice.
fn public(mut glance: Glance) -> Glance {
    let hide = |text: &mut Option<String>| *text = text.as_deref().map(without_addresses);
    hide(&mut glance.status.account);
    glance.status.objects.iter_mut().for_each(|status| hide(&mut status.last_error));
    glance
}
