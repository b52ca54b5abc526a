//! A mirror under test: a folder with a database, filled in process by the code that the commands use.

use kitmirror::config::{self, Environment, Input, Settings};
use kitmirror::error::Error;
use kitmirror::model::objects;
use kitmirror::replication::{Report, Request, Silent, Stop};
use kitmirror::service::Session;
use kitmirror::simulator::{ACCESS_TOKEN, Serving, V3_SECRET, V4_KEY};
use sqlx::sqlite::SqlitePool;
use std::path::PathBuf;
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

/// A mirror in a folder of its own.
pub struct Mirror {
    folder: TempDir,
    /// Settings beside credential and place.
    pub settings: Vec<(String, String)>,
}

impl Mirror {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let settings = vec![("KITMIRROR_REQUESTS_PER_MINUTE".to_owned(), "1000000".to_owned())];
        Mirror { folder, settings }
    }

    pub fn file(&self) -> PathBuf {
        self.folder.path().join("mirror.db")
    }

    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    pub fn url(&self) -> String {
        format!("sqlite://{}", self.file().display())
    }

    pub fn environment(&self, kit: &Serving, api: Api) -> Vec<(String, String)> {
        let mut all = api.environment(kit);
        all.push(("KITMIRROR_DATABASE_URL".to_owned(), self.url()));
        all.extend(self.settings.clone());
        all
    }

    pub fn load(&self, kit: &Serving, api: Api) -> Settings {
        let environment: Environment = self.environment(kit, api).into_iter().collect();
        let known = objects::names();
        config::load(Input::new(&environment, &known)).expect("the settings of a test are right").settings
    }

    /// One run over all objects that must be complete.
    pub async fn sync(&self, kit: &Serving, api: Api) -> Report {
        complete(self.run(kit, api, false, &objects::names()).await.expect("the session opens"))
    }

    /// One full load of all objects that must be complete.
    pub async fn sync_full(&self, kit: &Serving, api: Api) -> Report {
        complete(self.run(kit, api, true, &objects::names()).await.expect("the session opens"))
    }

    /// One run over some objects, whatever becomes of it.
    pub async fn run(&self, kit: &Serving, api: Api, full: bool, wanted: &[&str]) -> Result<Report, Error> {
        self.run_until(kit, api, full, wanted, &Stop::default()).await
    }

    /// The same, until somebody asks to stop.
    pub async fn run_until(
        &self,
        kit: &Serving,
        api: Api,
        full: bool,
        wanted: &[&str],
        stop: &Stop,
    ) -> Result<Report, Error> {
        let settings = self.load(kit, api);
        // On the heap: tests run many of these side by side on one small stack.
        let session = Box::pin(Session::open(&settings, stop)).await?;
        let wanted: Vec<String> = wanted.iter().map(ToString::to_string).collect();
        let request = Request { objects: objects::needed_for(&wanted), full };
        let report = Box::pin(session.replicate(&request, &Silent, stop)).await;
        session.close().await;
        Ok(report)
    }

    /// A second connection to the database, as an analyst would have.
    pub async fn database(&self) -> SqlitePool {
        SqlitePool::connect(&self.url()).await.expect("the mirror's database opens")
    }

    /// What somebody else does to the mirror's database.
    pub async fn execute(&self, sql: &str) {
        let database = self.database().await;
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&database).await.expect(sql);
        database.close().await;
    }

    /// The one number a query gives.
    pub async fn number(&self, sql: &str) -> i64 {
        let database = self.database().await;
        let number: (i64,) = sqlx::query_as(sqlx::AssertSqlSafe(sql)).fetch_one(&database).await.expect(sql);
        database.close().await;
        number.0
    }

    /// The first column of a query, as text.
    pub async fn texts(&self, sql: &str) -> Vec<String> {
        let database = self.database().await;
        let rows: Vec<(Option<String>,)> =
            sqlx::query_as(sqlx::AssertSqlSafe(sql)).fetch_all(&database).await.expect(sql);
        database.close().await;
        rows.into_iter().map(|(text,)| text.unwrap_or_default()).collect()
    }
}

fn complete(report: Report) -> Report {
    assert!(report.is_complete(), "the run is not complete: {report:#?}");
    report
}
