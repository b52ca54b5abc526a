//! A mirror under test: a database of its own, on the engine of the target, and a folder to work in. Filled in
//! process by the code that the commands use.

use super::database::Database;
use super::engine::Engine;
use super::proxy::Proxy;
use super::server::{Furnished, Home, SCHEMA, SECOND_SCHEMA};
use crate::ENGINE;
use kitmirror::config::{self, Environment, Input, Settings};
use kitmirror::error::Error;
use kitmirror::model::objects;
use kitmirror::replication::{Observer, Report, Request, Silent, Stop, Whole};
use kitmirror::service::Session;
use kitmirror::simulator::{ACCESS_TOKEN, Serving, V3_SECRET, V4_KEY};
use kitmirror::store::{Access, Place, Store};
use serde_json::Value;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

/// Which API, by which credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    V3,
    V4,
    Token,
}

impl Api {
    /// Both versions.
    pub const VERSIONS: [Api; 2] = [Api::V3, Api::V4];

    /// The environment variables that name it and where it listens.
    pub fn environment(self, kit: &Serving) -> Vec<(String, String)> {
        let (key, secret, url) = match self {
            Api::V3 => ("KITMIRROR_KIT_API_SECRET", V3_SECRET, kit.v3_url()),
            Api::V4 => ("KITMIRROR_KIT_API_KEY", V4_KEY, kit.v4_url()),
            Api::Token => ("KITMIRROR_KIT_ACCESS_TOKEN", ACCESS_TOKEN, kit.v4_url()),
        };
        vec![(key.to_owned(), secret.to_owned()), ("KITMIRROR_KIT_API_URL".to_owned(), url)]
    }
}

/// A mirror by itself.
pub struct Mirror {
    folder: TempDir,
    /// Its database on the server; without one it is a file in the folder.
    home: Option<Arc<Home>>,
    /// Its schema on Postgres.
    schema: &'static str,
    /// The way to it that the program takes, if not the straight one.
    detour: Option<String>,
    /// Settings beside credential and place.
    pub settings: Vec<(String, String)>,
    /// Whether reconciles mark vanished rows however many there are.
    pub accept_deletions: bool,
    /// The analyst's connection to a server, kept from one question to the next: to come costs more than to ask.
    analyst: Mutex<Option<Database>>,
}

impl Mirror {
    pub async fn new() -> Self {
        Self::within(tempfile::tempdir().expect("a temporary folder"), Furnished::No).await
    }

    /// One without rows that may have its tables already.
    pub async fn furnished() -> Self {
        Self::within(tempfile::tempdir().expect("a temporary folder"), Furnished::Maybe).await
    }

    /// One whose file needs no disk, where the system has such a folder.
    #[cfg(feature = "chaos")]
    pub async fn in_memory() -> Self {
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        Self::within(folder.expect("a temporary folder"), Furnished::No).await
    }

    async fn within(folder: TempDir, furnished: Furnished) -> Self {
        let home = match *ENGINE {
            Engine::Sqlite => None,
            server => Some(Arc::new(Home::new(server, furnished).await)),
        };
        let setting = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let settings = vec![
            setting("KITMIRROR_REQUESTS_PER_MINUTE", "1000000"),
            // In a simulated hour a test takes a second; rows count as settled at once.
            setting("KITMIRROR_VISIBILITY_LAG", "0s"),
            setting("KITMIRROR_MEMBER_RECHECK", "0s"),
        ];
        Mirror {
            folder,
            home,
            schema: SCHEMA,
            detour: None,
            settings,
            accept_deletions: false,
            analyst: Mutex::default(),
        }
    }

    /// A second one, as near to the first as can be: another schema of the same database, another database of the same
    /// server, or another file.
    pub async fn beside(&self) -> Self {
        let second = Self::new().await;
        if *ENGINE == Engine::Postgres {
            return Mirror { home: self.home.clone(), schema: SECOND_SCHEMA, ..second };
        }
        second
    }

    /// Another value of a setting, from the next run on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.settings.retain(|(known, _)| known != name);
        self.settings.push((name.to_owned(), value.to_owned()));
    }

    /// The file of a mirror on SQLite.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("mirror.db")
    }

    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// As the program opens it.
    pub fn url(&self) -> String {
        let straight = || self.home.as_ref().map_or_else(|| self.file_url(), |home| home.url.clone());
        self.detour.clone().unwrap_or_else(straight)
    }

    /// From now on the program comes through a proxy; whoever looks at the database beside it does not.
    pub fn behind_a_proxy(&mut self) -> Proxy {
        let (before, rest) =
            self.url().split_once('@').map(|(a, b)| (a.to_owned(), b.to_owned())).expect("a role");
        let (server, database) = rest.split_once('/').expect("a database");
        let proxy = Proxy::new(*ENGINE, server);
        let mut url = format!("{before}@{}/{database}", proxy.address());
        // It reads what passes.
        if !url.contains("sslmode=") && !url.contains("ssl-mode=") {
            url += if url.contains('?') { "&" } else { "?" };
            url += if *ENGINE == Engine::Postgres { "sslmode=disable" } else { "ssl-mode=disabled" };
        }
        self.detour = Some(url);
        proxy
    }

    fn file_url(&self) -> String {
        format!("sqlite://{}", self.file().display())
    }

    /// The settings that say where it is.
    pub fn place(&self) -> Vec<(String, String)> {
        let mut place = vec![("KITMIRROR_DATABASE_URL".to_owned(), self.url())];
        if *ENGINE == Engine::Postgres {
            place.push(("KITMIRROR_DATABASE_SCHEMA".to_owned(), self.schema.to_owned()));
        }
        place
    }

    pub fn environment(&self, kit: &Serving, api: Api) -> Vec<(String, String)> {
        let mut all = api.environment(kit);
        all.extend(self.place());
        all.extend(self.settings.clone());
        all
    }

    /// Its store, without a session.
    pub async fn store(&self, access: Access) -> Store {
        Box::pin(Store::open(&self.place_of_it(), access)).await.expect("the database opens")
    }

    /// Where it is, as the program understands it.
    pub fn place_of_it(&self) -> Place {
        let schema = (*ENGINE == Engine::Postgres).then_some(self.schema);
        Place::of(&self.url(), schema).expect("the URL of a test is right")
    }

    pub fn load(&self, kit: &Serving, api: Api) -> Settings {
        let environment: Environment = self.environment(kit, api).into_iter().collect();
        let known = objects::names();
        config::load(Input::new(&environment, &known)).expect("the settings of a test are right").settings
    }

    /// One run over all objects that must be complete.
    pub async fn sync(&self, kit: &Serving, api: Api) -> Report {
        complete(self.run(kit, api, None, &objects::names()).await.expect("the session opens"))
    }

    /// One full load of all objects that must be complete.
    pub async fn sync_full(&self, kit: &Serving, api: Api) -> Report {
        complete(self.run(kit, api, Some(Whole::Load), &objects::names()).await.expect("the session opens"))
    }

    /// One run over some objects, whatever becomes of it.
    pub async fn run(
        &self,
        kit: &Serving,
        api: Api,
        whole: Option<Whole>,
        wanted: &[&str],
    ) -> Result<Report, Error> {
        self.run_until(kit, api, whole, wanted, &Stop::default()).await
    }

    /// The same, until somebody asks to stop.
    pub async fn run_until(
        &self,
        kit: &Serving,
        api: Api,
        whole: Option<Whole>,
        wanted: &[&str],
        stop: &Stop,
    ) -> Result<Report, Error> {
        self.run_watched(kit, api, whole, wanted, stop, &Silent).await
    }

    /// The same with somebody who listens.
    pub async fn run_watched(
        &self,
        kit: &Serving,
        api: Api,
        whole: Option<Whole>,
        wanted: &[&str],
        stop: &Stop,
        observer: &dyn Observer,
    ) -> Result<Report, Error> {
        let settings = self.load(kit, api);
        // On the heap: tests run many of these side by side on one small stack.
        let session = Box::pin(Session::open(&settings, stop)).await?;
        let wanted: Vec<String> = wanted.iter().map(ToString::to_string).collect();
        let objects = objects::needed_for(&wanted);
        let request = Request { objects, whole, accept_deletions: self.accept_deletions };
        let report = Box::pin(session.replicate(&request, observer, stop)).await;
        session.close().await;
        Ok(report)
    }

    /// A second connection to the database, as an analyst would have.
    pub async fn database(&self) -> Database {
        Database::connect(*ENGINE, &self.analyst_url(), self.schema)
            .await
            .expect("the mirror's database opens")
    }

    /// The same as any client opens it, without a setting.
    pub async fn plain_database(&self) -> Database {
        let opened = Database::connect_plainly(*ENGINE, &self.analyst_url(), self.schema).await;
        opened.expect("the mirror's database opens")
    }

    /// A connection with the program's rights, to an empty database in which they suffice to make tables.
    pub async fn made_by_its_role(&self) -> Database {
        if self.home.is_none() {
            std::fs::write(self.file(), "").expect("an empty file is an empty database");
        }
        let database =
            Database::connect(*ENGINE, &self.url(), self.schema).await.expect("the role may connect");
        if *ENGINE == Engine::Postgres {
            database.execute(&format!("create schema {}", self.schema)).await;
        }
        database
    }

    /// The database as an administrator of the server would name it, or its file.
    fn analyst_url(&self) -> String {
        self.home.as_ref().map_or_else(|| self.file_url(), |home| home.analyst.clone())
    }

    /// Asks as the analyst. Nobody is in a file between two questions; a server may have been stopped since the last one.
    pub async fn asked<T>(&self, question: impl AsyncFnOnce(&Database) -> T) -> T {
        let kept = || self.analyst.lock().expect("nobody panics here");
        let last = kept().take();
        let database = match last {
            Some(database) if database.is_open().await => database,
            _ => self.database().await,
        };
        let answer = question(&database).await;
        match self.home {
            Some(_) => *kept() = Some(database),
            None => database.close().await,
        }
        answer
    }

    /// What somebody else does to the mirror's database.
    pub async fn execute(&self, sql: &str) {
        if let Some(home) = &self.home {
            home.sees(sql);
        }
        self.asked(async |database| database.execute(sql).await).await;
    }

    /// The one number a query gives.
    pub async fn number(&self, sql: &str) -> i64 {
        self.asked(async |database| database.number(sql).await).await
    }

    /// The first column of a query, as text.
    pub async fn texts(&self, sql: &str) -> Vec<String> {
        self.asked(async |database| database.texts(sql).await).await
    }

    /// The rows of a query, cells joined by `|`, with `-` for null.
    pub async fn lines(&self, sql: &str) -> Vec<String> {
        self.asked(async |database| database.lines(sql).await).await
    }

    /// All that is in it but the lease and the memory of the rate limit, which every start writes: names of
    /// tables and columns, and their rows.
    pub async fn contents(&self) -> Vec<String> {
        self.asked(async |database| {
            let mut all = database.relations().await;
            for table in database.tables().await.iter().filter(|table| *table != "sync_lease") {
                let mut rows = database.rows(&format!("select * from \"{table}\"")).await;
                rows.iter_mut().for_each(|row| drop(row.remove("sent_requests")));
                let mut lines: Vec<String> =
                    rows.into_iter().map(|row| Value::from(row).to_string()).collect();
                lines.sort();
                all.push(format!("{table}: {}", database.columns(table).await.join(", ")));
                all.extend(lines);
            }
            all
        })
        .await
    }

    /// Names of the tables and views there are; none where there is no file yet.
    pub async fn relations(&self) -> Vec<String> {
        if self.home.is_none() && !self.file().exists() {
            return Vec::new();
        }
        self.asked(async |database| database.relations().await).await
    }
}

/// The report of a run that must be complete.
pub fn complete(report: Report) -> Report {
    assert!(report.is_complete(), "the run is not complete: {report:#?}");
    report
}
