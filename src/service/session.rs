//! A session: the credential is good, the database is ready and belongs to this account, and nobody else
//! writes to it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;

use super::purge::purge;
use crate::chaos::{self, Failpoint as At};
use crate::config::{Credential, Settings};
use crate::error::{Error, Kind, Result};
use crate::kit::{Account, Auth, ClientSettings, KitClient, Ledger, Memory, Meter, Patience};
use crate::model::{Object, time};
use crate::replication::{self, Context, Observer, Permits, Report, Request, Stop};
use crate::store::{Access, AccountNote, AccountRow, Place, Store, owner};

/// How often the lease is renewed while pages are far between. A third of its life.
const RENEWED_EVERY: Duration = Duration::from_secs(15);

/// People whom v3's lists may hide, and who are asked for in one run whether they are still there: two minutes of the
/// limit at most.
const LOOK_UPS: u64 = 200;

/// Everything that is open while work is done.
pub struct Session {
    /// One for each list that is read, of all runs together.
    permits: Permits,
    /// The door to Kit.
    pub kit: KitClient,
    /// The door to the database.
    pub store: Store,
    /// Whose account it is.
    pub account: Account,
    /// What the tables needed to be brought up to date.
    pub migrated: Vec<String>,
    overlap: chrono::TimeDelta,
    visibility_lag: chrono::TimeDelta,
    member_recheck: chrono::TimeDelta,
    /// How long a tombstone stays; none means for ever.
    purge_after: Option<chrono::TimeDelta>,
    renewal: JoinHandle<()>,
    overtaken: Stop,
}

/// What is done within a session.
enum Work<'w> {
    Run(&'w Request),
    Repair(&'w [(&'static Object, Vec<String>)]),
}

/// What was learned about the API on the way, kept in `sync_account`.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
struct Findings {
    /// v3's member lists without a state filter show people of every state.
    v3_plain_lists_show_everybody: bool,
}

/// A client for the credential in the settings.
///
/// # Errors
/// `Settings` without a credential.
pub fn client(settings: &Settings) -> Result<KitClient> {
    let credential = settings.credential.as_ref().ok_or_else(|| {
        Error::new(Kind::Settings, "no credential: set one of kit_api_secret, kit_api_key, kit_access_token")
    })?;
    let auth = match credential {
        Credential::V3Secret(secret) => Auth::V3Secret(secret.expose().to_owned().into()),
        Credential::V4Key(key) => Auth::V4Key(key.expose().to_owned().into()),
        Credential::AccessToken(token) => Auth::AccessToken(token.expose().to_owned().into()),
    };
    KitClient::new(ClientSettings {
        base_url: settings.kit_api_url.clone(),
        auth,
        requests_per_minute: settings.requests_per_minute,
    })
}

/// Where the database in the settings is.
///
/// # Errors
/// `Settings` for a URL the driver does not understand.
pub fn place(settings: &Settings) -> Result<Place> {
    Place::of(settings.database_url.expose(), settings.database_schema.as_deref())
}

/// Lets the limiter remember in the database what was sent, and tells it what was sent before. While somebody
/// else holds the lease, the memory is theirs to write, and half of the limit is left to them.
///
/// # Errors
/// Those of the database.
pub async fn attach_limiter(kit: &KitClient, store: &Store) -> Result<()> {
    let memory = store.note(AccountNote::SentRequests).await?;
    let memory: Option<Memory> = memory.and_then(|json| serde_json::from_str(&json).ok());
    match &memory {
        Some(_) if chaos::planted(chaos::Bug::LimiterForgets) => {}
        Some(memory) => kit.limiter().recall(memory),
        None => kit.limiter().recall_nothing(),
    }
    match store.lease_holder().await? {
        Some(holder) if holder.owner != owner() => kit.limiter().leave_half(),
        holder => {
            let unleased = holder.is_none();
            kit.limiter().remember_in(Arc::new(StoreLedger { store: store.clone(), unleased }));
        }
    }
    Ok(())
}

struct StoreLedger {
    store: Store,
    /// Nobody held the lease: whoever takes it writes the memory from then on.
    unleased: bool,
}

impl Ledger for StoreLedger {
    fn record(&self, memory: Memory) -> Pin<Box<dyn Future<Output = Result<()>> + Send + '_>> {
        Box::pin(async move {
            let json = serde_json::to_string(&memory).map_err(|error| {
                Error::new(Kind::Internal, "could not write down what was sent").because(error)
            })?;
            chaos::reach(At::LedgerDue).await;
            if self.unleased && self.store.lease_holder().await?.is_some_and(|holder| holder.owner != owner())
            {
                return Ok(());
            }
            self.store.set_note(AccountNote::SentRequests, json).await
        })
    }
}

impl Session {
    /// Opens everything, in an order in which a wrong credential or a wrong database changes nothing.
    ///
    /// # Errors
    /// `SourceRejectedKey`, `AccountMismatch`, `LeaseHeld`, and those of client and store.
    pub async fn open(settings: &Settings, stop: &Stop) -> Result<Self> {
        Session::open_with(client(settings)?, settings, stop).await
    }

    /// The same with a client of the caller's.
    ///
    /// # Errors
    /// As [`Session::open`].
    pub async fn open_with(kit: KitClient, settings: &Settings, stop: &Stop) -> Result<Self> {
        let place = place(settings)?;
        let mut opened = None;
        if place.exists() {
            let store = Store::open(&place, Access::Existing).await?;
            // Of version 0 are tables whose making was cut short before any was recorded: there is no lease to take yet.
            if store.schema_version().await?.is_some_and(|version| version > 0) {
                lease(&store).await?;
                if let Err(error) = attach_limiter(&kit, &store).await {
                    leave(&kit, &store).await;
                    return Err(error);
                }
                opened = Some(store);
            }
        }
        let begun = tokio::select! {
            biased;
            begun = Session::begin(settings, &kit, &mut opened) => begun,
            () = stop.requested() => Err(Error::new(Kind::Stopped, "stopped before anything was read")),
        };
        match begun {
            Ok((store, account, migrated)) => {
                let overtaken = Stop::default();
                let renewal = tokio::spawn(renew(store.clone(), overtaken.clone(), stop.clone()));
                Ok(Session {
                    permits: Permits::new(kit.limiter().in_flight()),
                    kit,
                    store,
                    account,
                    migrated,
                    overlap: time::delta(settings.overlap),
                    visibility_lag: time::delta(settings.visibility_lag),
                    member_recheck: time::delta(settings.member_recheck),
                    purge_after: settings.purge_after.map(time::delta),
                    renewal,
                    overtaken,
                })
            }
            Err(error) => {
                if let Some(store) = opened {
                    leave(&kit, &store).await;
                }
                Err(error)
            }
        }
    }

    async fn begin(
        settings: &Settings,
        kit: &KitClient,
        opened: &mut Option<Store>,
    ) -> Result<(Store, Account, Vec<String>)> {
        let account = kit.account(Patience::FIRST_CONTACT, &Meter::default()).await?;
        let (store, migrated) = match opened {
            Some(store) => {
                refuse_other_account(kit, store, &account).await?;
                (store.clone(), store.migrate().await?)
            }
            None => {
                let store = Store::open(&place(settings)?, Access::Create).await?;
                let migrated = store.migrate().await?;
                lease(&store).await?;
                *opened = Some(store.clone());
                attach_limiter(kit, &store).await?;
                (store, migrated)
            }
        };
        store.check_schema().await?;
        store.set_account(row_of(kit, &account)).await?;
        chaos::reach(At::AccountNoted).await;
        Ok((store, account, migrated.applied))
    }

    /// Runs the objects that are asked for.
    pub async fn replicate(&self, request: &Request, observer: &dyn Observer, stop: &Stop) -> Report {
        self.work(&Work::Run(request), request.accept_deletions, observer, stop).await
    }

    /// Reads these lists again, as a reconcile does.
    pub async fn repair(
        &self,
        lists: &[(&'static Object, Vec<String>)],
        accept_deletions: bool,
        observer: &dyn Observer,
        stop: &Stop,
    ) -> Report {
        self.work(&Work::Repair(lists), accept_deletions, observer, stop).await
    }

    async fn work(
        &self,
        work: &Work<'_>,
        accept_deletions: bool,
        observer: &dyn Observer,
        stop: &Stop,
    ) -> Report {
        let findings = findings(&self.store).await;
        let proven = AtomicBool::new(findings.v3_plain_lists_show_everybody);
        let cx = Context {
            kit: &self.kit,
            store: &self.store,
            observer,
            stop,
            permits: &self.permits,
            job: None,
            overlap: self.overlap,
            visibility_lag: self.visibility_lag,
            member_recheck: self.member_recheck,
            accept_deletions,
            plain_lists_show_everybody: &proven,
            look_ups_left: &AtomicU64::new(LOOK_UPS),
        };
        let mut report = match work {
            Work::Run(request) => replication::run(&cx, request).await,
            Work::Repair(lists) => replication::repair(&cx, lists).await,
        };
        let learned = proven.load(Ordering::Relaxed) && !findings.v3_plain_lists_show_everybody;
        for kept in [if learned { self.remember().await } else { Ok(()) }, self.tidy_up(stop).await] {
            if let Err(error) = kept {
                report.ended_by.get_or_insert(error);
            }
        }
        report
    }

    /// Writes down what was learned about v3's lists on the way.
    async fn remember(&self) -> Result<()> {
        let learned = Findings { v3_plain_lists_show_everybody: true };
        let json = serde_json::to_string(&learned)
            .map_err(|error| Error::new(Kind::Internal, "could not write down a finding").because(error))?;
        self.store.set_note(AccountNote::Findings, json).await
    }

    /// Drops what is older than its retention.
    async fn tidy_up(&self, stop: &Stop) -> Result<()> {
        self.store.forget_old().await?;
        match self.purge_after {
            Some(after) => purge(&self.store, after, stop).await,
            None => Ok(()),
        }
    }

    /// Logs whose account is mirrored, and how fast.
    pub fn announce(&self) {
        let name = self.account.shown();
        tracing::info!(
            account.name = name,
            "Mirroring the account \"{name}\" with the API {} at up to {} requests a minute",
            self.kit.version(),
            self.kit.limiter().per_minute(),
        );
    }

    /// Waits until somebody else has taken the lease, which a pause or a cut line of the length of its life allows.
    /// What is under way has then been asked to stop.
    pub async fn overtaken(&self) {
        self.overtaken.requested().await;
    }

    /// Asks Kit again whose account the credential belongs to: a key may be revoked, or replaced by another account's.
    ///
    /// # Errors
    /// `SourceRejectedKey`, `AccountMismatch`, and those of client and store.
    pub async fn check_account(&self) -> Result<()> {
        let account = self.kit.account(Patience::FIRST_CONTACT, &Meter::default()).await?;
        refuse_other_account(&self.kit, &self.store, &account).await
    }

    /// Lets go of a database that does not answer. The lease stays this process's, which may take it again; what was
    /// reserved of the rate counts as sent.
    pub fn abandon(self) {
        self.renewal.abort();
    }

    /// Gives the lease back and closes everything in good order.
    pub async fn close(self) {
        self.renewal.abort();
        leave(&self.kit, &self.store).await;
        self.store.close().await;
    }
}

/// Refuses a mirror that belongs to another account than the credential.
///
/// # Errors
/// `AccountMismatch`, and those of the database.
pub async fn refuse_other_account(kit: &KitClient, store: &Store, account: &Account) -> Result<()> {
    match store.account().await? {
        Some(known) if !is_same(&known, &row_of(kit, account)) => Err(Error::new(
            Kind::AccountMismatch,
            format!(
                "the mirror belongs to the account \"{}\", the credential to \"{}\"",
                crate::kit::shown(&known.name.unwrap_or_default()),
                account.shown()
            ),
        )),
        _ => Ok(()),
    }
}

/// Whether it was learned that v3's member lists without a state filter show people of every state.
pub async fn v3_lists_show_everybody(store: &Store) -> bool {
    findings(store).await.v3_plain_lists_show_everybody
}

async fn findings(store: &Store) -> Findings {
    let note = store.note(AccountNote::Findings).await.ok().flatten();
    note.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default()
}

fn row_of(kit: &KitClient, account: &Account) -> AccountRow {
    AccountRow {
        account_id: account.id,
        name: Some(account.name.clone()),
        primary_email_address: account.primary_email_address.clone(),
        api_version: Some(kit.version().name().to_owned()),
    }
}

/// Writes down what was sent and gives the lease back. What fails here costs the next start some patience,
/// no more.
async fn leave(kit: &KitClient, store: &Store) {
    if let Err(error) = kit.limiter().settle().await {
        tracing::debug!("Could not write down what was sent: {}", error.one_line());
    }
    if let Err(error) = store.release_lease().await {
        tracing::debug!("Could not give the lease back: {}", error.one_line());
    }
}

async fn lease(store: &Store) -> Result<()> {
    store.acquire_lease(&owner()).await?.map_err(|holder| {
        Error::new(
            Kind::LeaseHeld,
            format!(
                "another kitmirror ({}) has been writing to this mirror since {}",
                holder.shown(),
                holder.since
            ),
        )
    })
}

async fn renew(store: Store, overtaken: Stop, stop: Stop) {
    loop {
        tokio::time::sleep(RENEWED_EVERY).await;
        match store.renew_lease().await {
            Ok(()) => {}
            Err(error) if error.kind() == Kind::LeaseLost => {
                tracing::error!("{}. {}", error.one_line(), error.advice());
                overtaken.request();
                stop.request();
                return;
            }
            Err(error) => tracing::warn!("Could not renew the lease: {}", error.one_line()),
        }
    }
}

/// v4 gives an id; v3 only a name and the owner's address, both of which must be the known ones: one owner may
/// have two accounts, and two accounts one name.
fn is_same(known: &AccountRow, now: &AccountRow) -> bool {
    match (known.account_id, now.account_id) {
        (Some(known), Some(now)) => known == now,
        _ => known.primary_email_address == now.primary_email_address && known.name == now.name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: Option<i64>, name: &str, address: &str) -> AccountRow {
        AccountRow {
            account_id: id,
            name: Some(name.to_owned()),
            primary_email_address: Some(address.to_owned()),
            api_version: None,
        }
    }

    /// A-06, M26.
    #[test]
    fn an_account_is_recognised_across_versions_and_not_mistaken_for_another() {
        let v4 = row(Some(77), "Letters", "owner@example.org");
        assert!(is_same(&v4, &row(Some(77), "Renamed", "new@example.org")));
        assert!(!is_same(&v4, &row(Some(78), "Letters", "owner@example.org")));
        assert!(is_same(&v4, &row(None, "Letters", "owner@example.org")));
        assert!(!is_same(&v4, &row(None, "Another of hers", "owner@example.org")));
        assert!(!is_same(&v4, &row(None, "Letters", "other@example.org")));
    }
}
