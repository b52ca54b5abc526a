//! Erasing people: what `forget` does at somebody's wish, and a purge when the time of tombstones has come.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::connection::Connection;
use super::erase::{self, Erased};
use super::file::{self, Bytes, Explained};
use super::people::{People, Who};
use super::proof::{self, Searched, Trace};
use super::spelling::{AddressSearch, Others};
use super::state::text;
use super::{Store, forgotten, lease, now, quarantine};
use crate::error::Result;
use crate::model::{Time, Value};

/// How long readers are waited for who keep the write-ahead log from being cut off, when somebody waits for the proof.
const PROOF_WAITS: Duration = Duration::from_secs(10);
/// The same after a purge, while a run is held up.
const PURGE_WAITS: Duration = Duration::from_secs(1);
/// People purged at once from whom on a SQLite file is rewritten without looking: something would be found.
const MANY: usize = 1_000;

/// Somebody, and what is stored of him.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Somebody {
    /// Kit's id.
    pub id: i64,
    /// Whether he was forgotten before.
    pub forgotten: bool,
    /// Rows, by table; only tables that hold any.
    pub rows: BTreeMap<&'static str, u64>,
    /// Who that is.
    #[serde(skip)]
    pub people: People,
}

/// What was found when everything was searched for somebody who is to be gone.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Proof {
    /// Where in the tables something still stands.
    pub traces: Vec<Trace>,
    /// Whether there was an address to look for.
    pub address_known: bool,
    /// SQLite: what the bytes of its file hold.
    pub file: Option<FileProof>,
}

/// What is known of the file of a SQLite database.
#[derive(Debug, Clone, serde::Serialize)]
pub struct FileProof {
    /// What was read.
    #[serde(flatten)]
    pub bytes: Bytes,
    /// Why it could not be rewritten, if it could not.
    pub not_rewritten: Option<String>,
    /// Whether a reader held on to an older state, so that the file still has to hold it.
    pub held_by_reader: bool,
}

impl Proof {
    /// Whether nothing is left.
    pub fn is_clean(&self) -> bool {
        self.traces.is_empty() && self.file.as_ref().is_none_or(FileProof::is_clean)
    }
}

impl FileProof {
    /// Whether nothing is left in it.
    pub fn is_clean(&self) -> bool {
        self.bytes.found == 0 && self.not_rewritten.is_none() && !self.held_by_reader
    }
}

impl Store {
    /// Everybody who is meant, with what is stored of each: nobody for an address that is not there; somebody for
    /// every id, without rows where there are none.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn look_up(&self, who: &Who) -> Result<Vec<Somebody>> {
        let who = who.clone();
        self.read(move |connection| {
            let who = who.clone();
            Box::pin(async move { look_up(connection, &who).await })
        })
        .await
    }

    /// Ids of the people who are forgotten: whatever Kit shows of them, they have no rows here.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn forgotten(&self) -> Result<BTreeSet<i64>> {
        self.read(|connection| Box::pin(async move { Ok(forgotten::everybody(connection).await?.ids) })).await
    }

    /// Erases people from every table and keeps them from coming back. Needs no lease: it holds up whoever writes,
    /// and a page that was read before and is committed later finds them on the list.
    ///
    /// Safe to repeat. What is erased cannot be had back but from Kit.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn forget(&self, people: &People) -> Result<Erased> {
        let people = Arc::new(people.clone());
        let erased = self
            .line
            .write(None, move |connection| {
                let people = Arc::clone(&people);
                Box::pin(async move {
                    lease::hold_up_writers(connection).await?;
                    forgotten::add(connection, &people, now()).await?;
                    erase::people(connection, &people).await
                })
            })
            .await?;
        tracing::info!("Forgot {:?}", erased.people.ids);
        Ok(erased)
    }

    /// Searches everything for people who are to be gone. A SQLite file is rewritten before; for an address that
    /// was nobody's, only if it stands in its bytes.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn prove(&self, people: &People) -> Result<Proof> {
        let Searched { traces, others } = self.searched(people).await?;
        let search = AddressSearch::of(&people.addresses)?;
        let mut proof = Proof { traces, address_known: search.is_some(), file: None };
        if self.file.is_some() {
            let erased = !people.ids.is_empty();
            let mut file = self.look_into_file(erased, search.as_ref(), &others).await?;
            if !erased && file.bytes.found > 0 {
                file = self.look_into_file(true, search.as_ref(), &others).await?;
            }
            proof.file = Some(file);
        }
        Ok(proof)
    }

    /// Reads the bytes of a SQLite file, rewritten or as it is.
    async fn look_into_file(
        &self,
        rewrite: bool,
        search: Option<&AddressSearch>,
        others: &Others,
    ) -> Result<FileProof> {
        let rewritten = if rewrite { self.rewrite_file().await } else { Ok(()) };
        let held_by_reader = !self.cut_log(PROOF_WAITS).await?;
        let bytes = match (&self.file, search) {
            (Some(file), Some(search)) => {
                file::read(file.to_path_buf(), search.clone(), Explained::By(others.clone())).await?
            }
            _ => Bytes::default(),
        };
        Ok(FileProof { bytes, not_rewritten: rewritten.err().map(|error| error.one_line()), held_by_reader })
    }

    /// Takes away some of what was marked as gone before an instant. Nothing, when there is nothing more.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn purge(&self, before: Time) -> Result<Erased> {
        self.transaction(move |connection| {
            Box::pin(async move { erase::tombstones(connection, before).await })
        })
        .await
    }

    /// Sees to it that nothing of people who were purged is left beside the tables: in samples an engine keeps, in
    /// unused parts of a SQLite file.
    ///
    /// # Errors
    /// Those of the database. The people are gone from the tables all the same.
    pub async fn clean_up_after(&self, people: &People) -> Result<()> {
        if people.ids.is_empty() {
            return Ok(());
        }
        self.transaction(|connection| Box::pin(async move { proof::renew_samples(connection).await }))
            .await?;
        let Some(file) = &self.file else { return Ok(()) };
        self.cut_log(PURGE_WAITS).await?;
        // What is looked for is prepared in memory: not for any number of addresses.
        let is_left = people.addresses.len() > MANY || {
            let gone = self.without_namesakes(people).await?;
            match AddressSearch::of(&gone.addresses)? {
                Some(search) => file::read(file.to_path_buf(), search, Explained::ByLooks).await?.found > 0,
                None => false,
            }
        };
        if is_left {
            self.rewrite_file().await?;
            self.cut_log(PURGE_WAITS).await?;
        }
        Ok(())
    }

    /// The tables, searched; samples that hold what is gone are renewed first.
    async fn searched(&self, people: &People) -> Result<Searched> {
        self.line
            .write(None, |connection| Box::pin(async move { proof::renew_samples(connection).await }))
            .await?;
        let people = Arc::new(people.clone());
        self.read(move |connection| {
            let people = Arc::clone(&people);
            Box::pin(async move { proof::search(connection, &people).await })
        })
        .await
    }

    /// Only the addresses that nobody who is stored has: those of others are there rightly.
    async fn without_namesakes(&self, people: &People) -> Result<People> {
        let people = Arc::new(people.clone());
        self.read(move |connection| {
            let people = Arc::clone(&people);
            Box::pin(async move {
                let mut gone = People::clone(&people);
                for (object, column) in erase::tables_of_addresses() {
                    let sql = format!("select 1 from {} where {column} = ? limit 1", object.table);
                    for address in &people.addresses {
                        if !connection.rows("look for an address", &sql, &[text(address)]).await?.is_empty() {
                            gone.addresses.remove(address);
                        }
                    }
                }
                Ok(gone)
            })
        })
        .await
    }

    async fn rewrite_file(&self) -> Result<()> {
        let Some(file) = self.file.clone() else { return Ok(()) };
        self.line
            .alone(move |connection| Box::pin(async move { file::rewrite(connection, &file).await }))
            .await
    }

    async fn cut_log(&self, patience: Duration) -> Result<bool> {
        self.line
            .alone(move |connection| Box::pin(async move { file::cut_log(connection, patience).await }))
            .await
    }
}

async fn look_up(connection: &mut Connection, who: &Who) -> Result<Vec<Somebody>> {
    let mut people = People::default();
    match who {
        Who::Id(id) => drop(people.ids.insert(*id)),
        Who::Address(address) => {
            people.addresses.insert(address.clone());
            people.ids = with_address(connection, address).await?;
        }
    }
    let forgotten = forgotten::everybody(connection).await?;
    let mut all = Vec::new();
    for id in people.ids {
        let mut somebody = Somebody {
            id,
            forgotten: forgotten.ids.contains(&id),
            rows: Default::default(),
            people: People { ids: [id].into(), addresses: people.addresses.clone() },
        };
        stored_of(connection, &mut somebody).await?;
        all.push(somebody);
    }
    Ok(all)
}

/// Ids of everybody who has an address, by his row or by a record of his in quarantine. Engines differ in which
/// letters they take for the same, so they only propose.
async fn with_address(connection: &mut Connection, address: &str) -> Result<BTreeSet<i64>> {
    let mut ids = BTreeSet::new();
    for (object, column) in erase::tables_of_addresses() {
        let sql = format!(
            "select {}, {column} from {} where {column} = ? or lower({column}) = lower(?)",
            object.key.join(", "),
            object.table
        );
        let found = connection.rows("look for an address", &sql, &[text(address), text(address)]).await?;
        let is_it = |row: &&super::connection::Cells| {
            row.text(1).is_some_and(|has| has.eq_ignore_ascii_case(address))
        };
        ids.extend(found.iter().filter(is_it).filter_map(|row| row.int(0)));
    }
    let mut notes = quarantine::following(connection, None).await?;
    while !notes.is_empty() {
        ids.extend(notes.iter().filter_map(|note| note.person_with(address)));
        notes = quarantine::following(connection, notes.last()).await?;
    }
    Ok(ids)
}

/// Counts what is stored of somebody, and collects his addresses.
async fn stored_of(connection: &mut Connection, somebody: &mut Somebody) -> Result<()> {
    for (object, person) in erase::tables() {
        let sql = format!("select count(*) from {} where {person} = ?", object.table);
        let counted = connection.rows("count rows", &sql, &[Value::Int(somebody.id)]).await?;
        let rows = counted.first().and_then(|row| row.int(0)).unwrap_or(0);
        if rows > 0 {
            somebody.rows.insert(object.table, rows.unsigned_abs());
        }
    }
    for (object, column) in erase::tables_of_addresses() {
        let sql = format!("select {column} from {} where {} = ?", object.table, object.key.join(", "));
        let found = connection.rows("read an address", &sql, &[Value::Int(somebody.id)]).await?;
        somebody.people.addresses.extend(found.iter().filter_map(|row| row.text(0)).map(str::to_owned));
    }
    let search = AddressSearch::of(&somebody.people.addresses)?;
    let mut notes = quarantine::following(connection, None).await?;
    while !notes.is_empty() {
        let about = notes.iter().filter(|note| note.is_about(&somebody.people, search.as_ref())).count();
        if about > 0 {
            *somebody.rows.entry("sync_quarantine").or_default() += about as u64;
        }
        notes = quarantine::following(connection, notes.last()).await?;
    }
    Ok(())
}
