//! Who may write: one row with an owner and an epoch, judged by the database's clock. The epoch is
//! checked in every commit, so a writer that was paused and overtaken cannot write any more.

use super::connection::{Cells, Connection};
use super::state::text;
use super::{Store, volume};
use crate::chaos::{self, Failpoint as At};
use crate::error::{Error, Kind, Result};
use crate::model::Value;

/// How long a lease lasts without being renewed. Whoever stands by is to be at work within a minute of the last sign of
/// life of the one before: that leaves a quarter of it for noticing and for opening.
pub const LEASE_SECONDS: i64 = 45;

/// The right to write, until somebody takes over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Who holds it.
    pub owner: String,
    /// Grows with every take-over.
    pub epoch: i64,
}

/// Who holds the lease at present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Host, process and its start.
    pub owner: String,
    /// Since when, by the database's clock.
    pub since: String,
    /// Until when, if it is not renewed.
    pub until: String,
}

impl Store {
    /// Takes the right to write, or tells who holds it.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn acquire_lease(&self, owner: &str) -> Result<std::result::Result<(), Holder>> {
        let name = owner.to_owned();
        // Only now is the database ours to change: a foreign one was refused before. The mode is kept in the
        // file; while somebody reads it cannot be changed, and the next start will.
        if let Some(file) = &self.file {
            let mode = volume::journal_mode(file);
            let set = self.line.alone(move |connection| {
                Box::pin(async move { connection.script("set the journal mode", mode).await })
            });
            if let Err(error) = set.await {
                tracing::debug!("{}", error.one_line());
            }
        }
        let taken = self
            .line
            .write(None, move |connection| {
                let name = name.clone();
                Box::pin(async move { acquire(connection, &name).await })
            })
            .await?;
        chaos::reach(At::LeaseTaken).await;
        Ok(taken.map(|lease| *self.lease.lock() = Some(lease)))
    }

    /// Extends the lease between commits.
    ///
    /// # Errors
    /// `LeaseLost` when somebody has taken over.
    pub async fn renew_lease(&self) -> Result<()> {
        if self.held().is_none() {
            return Ok(());
        }
        self.transaction(|_| Box::pin(async { Ok(()) })).await
    }

    /// Who holds the right to write at present, if anybody does.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn lease_holder(&self) -> Result<Option<Holder>> {
        self.read(|connection| Box::pin(async move { holder(connection).await })).await
    }

    /// Gives the lease back.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn release_lease(&self) -> Result<()> {
        let Some(held) = self.lease.lock().take() else { return Ok(()) };
        chaos::reach(At::LeaseGivenBack).await;
        self.line
            .write(None, move |connection| {
                let held = held.clone();
                Box::pin(async move { release(connection, &held).await })
            })
            .await
    }
}

/// Who holds the lease: nobody when it is free, expired, or held by a process of this machine that is no more.
async fn holder(connection: &mut Connection) -> Result<Option<Holder>> {
    let look = format!(
        "select owner, acquired_at, expires_at from sync_lease where id = 1 and expires_at > {}",
        connection.dialect().now()
    );
    let found = connection.rows("read sync_lease", &look, &[]).await?;
    Ok(found.first().map(holder_of).filter(|holder| !process::is_gone(&holder.owner)))
}

fn holder_of(row: &Cells) -> Holder {
    let shown = |at| row.shown(at).unwrap_or_default();
    Holder { owner: shown(0), since: shown(1), until: shown(2) }
}

/// Makes sure that the row is there.
async fn ensure(connection: &mut Connection) -> Result<()> {
    let dialect = connection.dialect();
    let now = dialect.now();
    let free = [
        ("id", "1"),
        ("owner", "''"),
        ("epoch", "0"),
        ("commits", "0"),
        ("acquired_at", now),
        ("expires_at", now),
    ];
    // Two that begin at once both find no row; the second waits here until the first has one.
    let sql = dialect.insert_or_update("sync_lease", &free, &["id"], &[]);
    connection.run("look for the lease", &sql, &[]).await.map(drop)
}

/// Waits for the commit that is under way, and keeps everybody from making another until the transaction ends: each
/// begins with the row of the lease. For what must not come between, and is no writer's business.
pub(super) async fn hold_up_writers(connection: &mut Connection) -> Result<()> {
    ensure(connection).await?;
    let look = format!("select epoch from sync_lease where id = 1{}", connection.dialect().for_update());
    connection.rows("hold up writers", &look, &[]).await.map(drop)
}

/// Takes the lease if it is free, expired, or held by a process of this machine that is no more.
async fn acquire(connection: &mut Connection, owner: &str) -> Result<std::result::Result<Lease, Holder>> {
    let dialect = connection.dialect();
    let now = dialect.now();
    ensure(connection).await?;
    let look = format!(
        "select owner, acquired_at, expires_at, epoch, expires_at > {now} from sync_lease where id = 1{}",
        dialect.for_update()
    );
    let found = connection.rows("read sync_lease", &look, &[]).await?;
    let Some(row) = found.first() else {
        return Err(Error::new(Kind::SchemaMismatch, "the row of sync_lease vanished while it was taken"));
    };
    let holder = holder_of(row);
    if row.is_true(4) && holder.owner != owner && !process::is_gone(&holder.owner) {
        return Ok(Err(holder));
    }
    let epoch = row.int(3).unwrap_or(0) + 1;
    let sql = format!(
        "update sync_lease set owner = ?, epoch = ?, commits = 0, acquired_at = {now}, expires_at = {} where id = 1",
        dialect.now_plus_seconds()
    );
    connection
        .run("take the lease", &sql, &[text(owner), Value::Int(epoch), Value::Int(LEASE_SECONDS)])
        .await?;
    Ok(Ok(Lease { owner: owner.to_owned(), epoch }))
}

/// Extends the lease and numbers the commit under way. Part of every transaction: fails when somebody has taken
/// over, and the transaction with it. The number is higher than `commit` when that one, and maybe others, were made
/// although we had no answer.
pub(super) async fn hold(connection: &mut Connection, lease: &Lease, commit: i64) -> Result<i64> {
    if crate::chaos::planted(crate::chaos::Bug::NoFence) {
        return Ok(commit);
    }
    let dialect = connection.dialect();
    let sql = format!(
        "update sync_lease set expires_at = {}, commits = ? where id = 1 and epoch = ? and commits < ?",
        dialect.now_plus_seconds()
    );
    let values =
        |commit| [Value::Int(LEASE_SECONDS), Value::Int(commit), Value::Int(lease.epoch), Value::Int(commit)];
    if connection.run("hold the lease", &sql, &values(commit)).await? == 1 {
        return Ok(commit);
    }
    // The update has waited for whoever was writing the row, so what is read here is final.
    let look = format!("select commits from sync_lease where id = 1 and epoch = ?{}", dialect.for_update());
    let found = connection.rows("read sync_lease", &look, &[Value::Int(lease.epoch)]).await?;
    let made = found.first().and_then(|row| row.int(0)).ok_or_else(|| {
        Error::new(
            Kind::LeaseLost,
            "another kitmirror has taken over this mirror; nothing more is written here",
        )
    })?;
    let commit = made + 1;
    connection.run("hold the lease", &sql, &values(commit)).await?;
    Ok(commit)
}

/// Gives it back, if it is still ours.
async fn release(connection: &mut Connection, lease: &Lease) -> Result<()> {
    let sql = format!(
        "update sync_lease set expires_at = {} where id = 1 and epoch = ?",
        connection.dialect().now()
    );
    connection.run("release the lease", &sql, &[Value::Int(lease.epoch)]).await.map(drop)
}

pub use process::owner;

impl Holder {
    /// Who it is, for people.
    pub fn shown(&self) -> String {
        match self.owner.rsplitn(3, '/').collect::<Vec<_>>().as_slice() {
            [_, pid, host] => format!("process {pid} on {}", host.split(':').next().unwrap_or(host)),
            _ => self.owner.clone(),
        }
    }
}

/// Processes of this machine. A lease left by one that was killed need not be waited for.
mod process {
    use std::fs;

    /// This process: host, process id, and when it started, so that a reused id is not mistaken for it.
    pub fn owner() -> String {
        let pid = std::process::id();
        let unique = started(pid).unwrap_or_else(|| format!("r{}", fastrand::u32(..)));
        format!("{}/{pid}/{unique}", host())
    }

    /// Whether `owner` is a process of this machine that has ended. `false` when that cannot be known.
    pub fn is_gone(owner: &str) -> bool {
        let mut parts = owner.rsplitn(3, '/');
        let (Some(unique), Some(pid), Some(of)) = (parts.next(), parts.next(), parts.next()) else {
            return false;
        };
        let Ok(pid) = pid.parse::<u32>() else { return false };
        if of == NOWHERE || of != host() || unique.starts_with('r') || !shows_all_processes() {
            return false;
        }
        started(pid).as_deref() != Some(unique)
    }

    /// The host of a process that may not see where it runs.
    const NOWHERE: &str = "unknown";

    /// Where `/proc` is mounted with `hidepid`, or a unit has `ProtectProc=invisible`, the processes of other users look
    /// as if they had ended. The first process is another user's, or there is only one user.
    fn shows_all_processes() -> bool {
        started(1).is_some()
    }

    /// Host, boot and process namespace: process ids mean something only within these.
    fn host() -> String {
        let read =
            |path: &str| fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default();
        let name = read("/proc/sys/kernel/hostname");
        let boot: String = read("/proc/sys/kernel/random/boot_id").chars().take(8).collect();
        let namespace: String = fs::read_link("/proc/self/ns/pid")
            .map(|link| link.to_string_lossy().chars().filter(char::is_ascii_digit).collect())
            .unwrap_or_default();
        if name.is_empty() { NOWHERE.to_owned() } else { format!("{name}:{boot}:{namespace}") }
    }

    /// When a process started, in clock ticks since boot, where the system tells (Linux). A process
    /// that has ended and was not yet collected by its parent counts as ended.
    fn started(pid: u32) -> Option<String> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in parentheses may hold blanks; behind it come the state and 19 fields before the start.
        let mut fields = stat.rsplit(')').next()?.split_whitespace();
        let state = fields.next()?;
        if matches!(state, "Z" | "X") {
            return None;
        }
        fields.nth(18).map(str::to_owned)
    }
}
