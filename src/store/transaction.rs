//! Transactions over a connection that may be lost at any moment: tried again as a whole, on another connection
//! where need be, and never made twice.
//!
//! Every transaction is a task of its own. A caller that is cancelled can therefore not leave one half open,
//! which the driver does not survive: the next one would run inside it and vanish with it. The task waits for the
//! connection as well: a caller that begins to wait and then does something else first would keep it from all others.
//! The place in the queue is taken by the call: what was asked for first is made first, however late a task begins.

mod deed;
mod patience;

use futures_util::FutureExt as _;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tracing::Instrument as _;

use super::connection::{Access, Connection, FileId, Place, Then, failed, then};
use super::lease::{self, Lease};
use crate::chaos::{self, Failpoint as At};
use crate::error::{Error, Kind, Result};
pub(super) use deed::Work;
use deed::{Deed, Slot};
use patience::{GivenUp, Patience};

/// A server that does not answer for so long is given up, and another connection tried. Well over the time that a
/// statement waits for a lock.
const UNANSWERED: Duration = Duration::from_secs(180);

/// The same for those who would rather know that it does not answer.
const GLANCED_WITHIN: Duration = Duration::from_secs(30);

/// The one connection to the database, and the way to another one.
#[derive(Clone)]
pub(super) struct Line(Arc<Mutex<Wire>>);

struct Wire {
    place: Place,
    connection: Option<Connection>,
    /// The file that was opened first, in which the lease was taken.
    file: Option<FileId>,
    /// Epoch of the present lease, and the number of the last commit under it.
    commits: (i64, i64),
    /// That it was waited for in vain, until something has succeeded again.
    given_up: Option<GivenUp>,
    /// Whether new rows may go the short way; a connection that was left for it takes all others with it.
    inserts_new: bool,
}

/// What a transaction is that leaves nothing written.
#[derive(Debug, Clone, Copy)]
enum Within {
    /// Nothing is written.
    Reading,
    /// What is written is taken back.
    Rehearsal,
}

/// How an attempt at a transaction ended.
enum Attempt {
    /// It is in the database.
    Made,
    /// It may be: the answer to its commit was lost.
    Unknown(Error),
    /// It is not.
    Failed(Error),
}

impl Line {
    /// Opens the first connection.
    pub(super) async fn open(place: &Place, access: Access) -> Result<Self> {
        let connection = chaos::in_place(Connection::open(place, access)).await?;
        let file = connection.file();
        let wire = Wire {
            place: place.clone(),
            connection: Some(connection),
            file,
            commits: (0, 0),
            given_up: None,
            inserts_new: true,
        };
        Ok(Line(Arc::new(Mutex::new(wire))))
    }

    /// A place in the queue for the connection, taken now. To be awaited: the connection waits for whoever's turn it is.
    /// Unconstrained, since a task that has run for long is else told to come back before it has its place.
    fn turn(&self) -> impl Future<Output = OwnedMutexGuard<Wire>> + Send + use<> {
        let mut turn = Box::pin(Arc::clone(&self.0).lock_owned());
        let at_once = tokio::task::unconstrained(&mut turn).now_or_never();
        async move {
            match at_once {
                Some(wire) => wire,
                None => turn.await,
            }
        }
    }

    /// Runs `work` in a transaction, as long as `lease` is ours. Again from its beginning when the database is busy
    /// or was away; not again when a commit whose answer was lost turns out to have been made.
    pub(super) async fn write<T, F>(&self, lease: Option<Lease>, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> Fn(&'c mut Connection) -> Work<'c, T> + Send + Sync + 'static,
    {
        let (deed, slot) = Slot::of(work);
        let turn = self.turn();
        owned_task(Box::pin(async move { turn.await.write(lease, &deed).await })).await?;
        slot.taken()
    }

    /// Runs a reading `work`, again from its beginning when the database was away.
    pub(super) async fn read<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> Fn(&'c mut Connection) -> Work<'c, T> + Send + Sync + 'static,
    {
        self.leave_as_it_is(Within::Reading, work).await
    }

    /// Runs a writing `work` in a transaction that is taken back in the end; again from its beginning when the database
    /// is busy or was away.
    pub(super) async fn rehearse<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> Fn(&'c mut Connection) -> Work<'c, T> + Send + Sync + 'static,
    {
        self.leave_as_it_is(Within::Rehearsal, work).await
    }

    async fn leave_as_it_is<T, F>(&self, within: Within, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> Fn(&'c mut Connection) -> Work<'c, T> + Send + Sync + 'static,
    {
        let (deed, slot) = Slot::of(work);
        let turn = self.turn();
        owned_task(Box::pin(async move { turn.await.leave_as_it_is(within, &deed).await })).await?;
        slot.taken()
    }

    /// Runs a reading `work` and does not wait for a database that is away: for whoever shows just that. Only a
    /// connection that was forgotten since it was last used is replaced.
    pub(super) async fn glance<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> Fn(&'c mut Connection) -> Work<'c, T> + Send + Sync + 'static,
    {
        let (deed, slot) = Slot::of(work);
        let turn = self.turn();
        owned_task(Box::pin(async move { turn.await.glance(&deed).await })).await?;
        slot.taken()
    }

    /// Runs `work` once on the connection, outside of any transaction.
    pub(super) async fn alone<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut Connection) -> Work<'c, T> + Send + 'static,
    {
        let slot = Slot::new();
        let (turn, left) = (self.turn(), slot.again());
        owned_task(Box::pin(async move {
            let mut wire = turn.await;
            let result = chaos::in_place(work(wire.connected().await?)).await;
            wire.drop_if_lost(result).map(|value| left.leave(value))
        }))
        .await?;
        slot.taken()
    }

    /// Closes the connection in good order, if this is the last handle to it.
    pub(super) async fn close(self) {
        if let Ok(wire) = Arc::try_unwrap(self.0)
            && let Some(connection) = wire.into_inner().connection
        {
            chaos::in_place(connection.close()).await;
        }
    }
}

impl Wire {
    async fn connected(&mut self) -> Result<&mut Connection> {
        let connection = match self.connection.take().filter(|open| open.leads_to(&self.place)) {
            Some(connection) => connection,
            // Not `Create`: a file that was removed under our feet is not made anew, empty.
            None if self.place.is_missing() => {
                return Err(Error::new(Kind::DatabaseRefused, "the file was removed").about(&self.place));
            }
            None => chaos::in_place(Connection::open(&self.place, Access::Existing)).await?,
        };
        let connection = self.connection.insert(connection);
        if !self.inserts_new {
            connection.upsert_all();
        }
        Ok(connection)
    }

    fn drop_if_lost<T>(&mut self, result: Result<T>) -> Result<T> {
        if let Err(error) = &result
            && then(error) == Then::Reconnect
        {
            self.connection = None;
        }
        result
    }

    /// Does it, again from its beginning where that is worth it.
    async fn write(&mut self, lease: Option<Lease>, deed: &Deed) -> Result<()> {
        let mut patience = Patience::with(self.given_up.as_ref())?;
        let mut is_unknown = false;
        loop {
            let error = match self.attempt(lease.as_ref(), is_unknown, deed).await {
                Attempt::Made => {
                    self.works(&patience);
                    return Ok(());
                }
                Attempt::Unknown(error) => {
                    is_unknown = true;
                    error
                }
                Attempt::Failed(error) => {
                    is_unknown = false;
                    error
                }
            };
            self.after(&mut patience, error).await?;
        }
    }

    async fn leave_as_it_is(&mut self, within: Within, deed: &Deed) -> Result<()> {
        let mut patience = Patience::with(self.given_up.as_ref())?;
        loop {
            match self.look(within, deed).await {
                Ok(()) => {
                    self.works(&patience);
                    return Ok(());
                }
                Err(error) => self.after(&mut patience, error).await?,
            }
        }
    }

    /// Something has succeeded.
    fn works(&mut self, patience: &Patience) {
        patience.was_worth_it();
        self.given_up = None;
    }

    /// Something has failed: waits before another try, or gives up.
    async fn after(&mut self, patience: &mut Patience, error: Error) -> Result<()> {
        patience.after(error).await.inspect_err(|error| {
            self.given_up = GivenUp::after(error, self.place.dialect());
        })
    }

    async fn glance(&mut self, deed: &Deed) -> Result<()> {
        let is_kept = self.connection.is_some();
        let looked = tokio::time::timeout(GLANCED_WITHIN, async {
            match self.look(Within::Reading, deed).await {
                Err(error) if is_kept && then(&error) == Then::Reconnect => {
                    self.look(Within::Reading, deed).await
                }
                result => result,
            }
        })
        .await;
        looked.unwrap_or_else(|_| {
            // In the middle of something, and not to be used again.
            self.connection = None;
            Err(super::connection::unanswered(GLANCED_WITHIN))
        })
    }

    /// One try. `is_unknown`: the same work was done before, and its commit may have been made.
    async fn attempt(&mut self, lease: Option<&Lease>, is_unknown: bool, deed: &Deed) -> Attempt {
        if let Some(lease) = lease
            && self.commits.0 != lease.epoch
        {
            self.commits = (lease.epoch, 0);
        }
        let (number, file) = (self.commits.1 + 1, self.file);
        let connection = match self.connected().await {
            Ok(connection) => connection,
            Err(error) => return not_begun(is_unknown, error),
        };
        // A backup may hold our very lease, and not the rows and positions that the work under way goes by.
        if lease.is_some() && connection.file() != file {
            let what = "the file was replaced: what it holds has to be looked at anew";
            return Attempt::Failed(Error::new(Kind::DatabaseUnavailable, what).about(&self.place));
        }
        chaos::reach(At::BeginDue).await;
        let begun = answered(async {
            connection.begin().await?;
            chaos::reach(At::Begun).await;
            let number = match lease {
                Some(lease) => lease::hold(connection, lease, number).await?,
                None => number,
            };
            chaos::reach(At::LeaseHeld).await;
            Ok(number)
        })
        .await;
        let number = match begun {
            // The lost answer was: it is made.
            Ok(commit) if is_unknown && commit > number => {
                self.commits.1 = number;
                self.roll_back().await;
                return Attempt::Made;
            }
            Ok(commit) => commit,
            Err(error) => return not_begun(is_unknown, self.ended(error).await),
        };
        let Some(connection) = &mut self.connection else {
            return Attempt::Failed(Error::new(
                Kind::Internal,
                "the connection vanished within a transaction",
            ));
        };
        if let Err(error) = answered(deed(connection)).await {
            return Attempt::Failed(self.ended(error).await);
        }
        let committed = answered(async {
            let cut = |error: std::io::Error| failed(self.place.dialect(), "commit", error.into());
            chaos::breaks(At::CommitDue).await.map_err(cut)?;
            connection.script("commit", "commit").await?;
            chaos::breaks(At::CommitMade).await.map_err(cut)
        });
        match committed.await {
            Ok(()) => {
                if lease.is_some() {
                    self.commits.1 = number;
                }
                Attempt::Made
            }
            Err(error) if then(&error) == Then::Reconnect && lease.is_some() => {
                self.connection = None;
                Attempt::Unknown(error)
            }
            Err(error) => Attempt::Failed(self.ended(error).await),
        }
    }

    async fn look(&mut self, within: Within, deed: &Deed) -> Result<()> {
        let connection = self.connected().await?;
        let result = answered(async {
            let ended_by = match within {
                Within::Reading => connection.begin_reading().await?.then_some("commit"),
                Within::Rehearsal => connection.begin().await.map(|()| Some("rollback"))?,
            };
            deed(connection).await?;
            match ended_by {
                Some(end) => connection.script("end a transaction", end).await,
                None => Ok(()),
            }
        })
        .await;
        match result {
            Ok(()) => Ok(()),
            Err(error) => Err(self.ended(error).await),
        }
    }

    /// After an error: the connection is rolled back, or dropped if that is not possible. The error that led here is
    /// the one that counts.
    async fn ended(&mut self, error: Error) -> Error {
        self.inserts_new &= self.connection.as_ref().is_none_or(Connection::inserts_new);
        if then(&error) == Then::Reconnect {
            self.connection = None;
        } else {
            self.roll_back().await;
        }
        error
    }

    /// SQLite and MySQL may have rolled back by themselves.
    async fn roll_back(&mut self) {
        let Some(connection) = &mut self.connection else { return };
        if let Err(error) = answered(connection.script("roll back", "rollback")).await {
            tracing::debug!("Rolling back: {}", error.one_line());
            if then(&error) == Then::Reconnect {
                self.connection = None;
            }
        }
    }
}

/// An attempt that failed before its work began; whether an earlier one was made is still open.
fn not_begun(is_unknown: bool, error: Error) -> Attempt {
    if is_unknown { Attempt::Unknown(error) } else { Attempt::Failed(error) }
}

/// Waits for an answer, but not for ever: a server behind a cut line may never send one. The connection is then
/// dropped, never used again.
async fn answered<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    match tokio::time::timeout(UNANSWERED, chaos::in_place(work)).await {
        Ok(result) => result,
        Err(_) => Err(super::connection::unanswered(UNANSWERED)),
    }
}

/// Lets `work` run to its end whatever happens to the caller.
async fn owned_task(work: Pin<Box<dyn Future<Output = Result<()>> + Send>>) -> Result<()> {
    match tokio::spawn(work.in_current_span()).await {
        Ok(result) => result,
        // The panic itself may quote a record.
        Err(_) => Err(Error::new(Kind::Internal, "a database task ended in a panic")),
    }
}
