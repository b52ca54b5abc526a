//! What the programs here have in common: which engines there are, a database on each that is made and taken away, and
//! how much memory a process had.

use sqlx::mysql::MySqlConnectOptions;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _, raw_sql};
use std::error::Error;
use std::str::FromStr as _;
use tempfile::TempDir;

#[path = "../../tests/support/engine.rs"]
mod engine;

pub use engine::Engine;

pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What stands behind `--` on the command line; Cargo adds `--bench`.
pub fn words() -> Vec<String> {
    std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect()
}

/// The variable that holds the URL of a server's administrator.
fn variable(engine: Engine) -> Option<&'static str> {
    match engine {
        Engine::Sqlite => None,
        Engine::Postgres => Some("KITMIRROR_BENCH_POSTGRES_URL"),
        Engine::Mariadb => Some("KITMIRROR_BENCH_MARIADB_URL"),
        Engine::Mysql => Some("KITMIRROR_BENCH_MYSQL_URL"),
    }
}

fn administrator(engine: Engine) -> Result<String> {
    let variable = variable(engine).ok_or("SQLite has no administrator")?;
    std::env::var(variable).map_err(|_| format!("{} left out: no {variable}", engine.name()).into())
}

/// The engines among the words, or else all; and a line for each that is left out, because nobody said where it is.
pub fn engines(words: &[String]) -> (Vec<Engine>, Vec<String>) {
    let named = |engine: &Engine| words.iter().any(|word| word == engine.name());
    let any = Engine::ALL.iter().any(named);
    let (mut here, mut left_out) = (Vec::new(), Vec::new());
    for engine in Engine::ALL.into_iter().filter(|engine| !any || named(engine)) {
        match administrator(engine) {
            Err(reason) if engine != Engine::Sqlite => left_out.push(reason.to_string()),
            _ => here.push(engine),
        }
    }
    (here, left_out)
}

/// A database for one mirror. [`Home::remove`] takes it away.
pub struct Home {
    engine: Engine,
    /// Of the database, as the mirror is given it.
    pub url: String,
    /// SQLite's file is here, and whatever else is needed for as long.
    pub folder: TempDir,
}

impl Home {
    pub async fn make(engine: Engine) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let name = name();
        let url = match engine {
            Engine::Sqlite => format!("sqlite://{}", folder.path().join("mirror.db").display()),
            Engine::Postgres => {
                ask(engine, format!("create database {name} encoding 'UTF8' template template0")).await?
            }
            Engine::Mariadb | Engine::Mysql => {
                ask(engine, format!("create database {name} character set utf8mb4")).await?
            }
        };
        Ok(Home { engine, url, folder })
    }

    pub async fn remove(self) -> Result<()> {
        match self.engine {
            Engine::Sqlite => {}
            Engine::Postgres => {
                drop(ask(self.engine, format!("drop database {} with (force)", name())).await?)
            }
            Engine::Mariadb | Engine::Mysql => {
                drop(ask(self.engine, format!("drop database {}", name())).await?)
            }
        }
        Ok(self.folder.close()?)
    }
}

/// The name of this process's databases; there is one at a time.
fn name() -> String {
    format!("kitmirror_bench_{}", std::process::id())
}

/// Lets a server's administrator do something; the URL of this process's database there.
async fn ask(engine: Engine, sql: String) -> Result<String> {
    let administrator = administrator(engine)?;
    let sql = raw_sql(AssertSqlSafe(sql));
    match engine {
        Engine::Postgres => {
            PgConnectOptions::from_str(&administrator)?.connect().await?.execute(sql).await?;
        }
        _ => {
            mysql_options(&administrator)?.connect().await?.execute(sql).await?;
        }
    }
    let mut url = reqwest::Url::parse(&administrator)?;
    url.set_path(&name());
    Ok(url.into())
}

pub fn mysql_options(url: &str) -> Result<MySqlConnectOptions> {
    Ok(MySqlConnectOptions::from_str(&url.replacen("mariadb://", "mysql://", 1))?)
}

/// The most memory that a process had, in MiB: `self`, or the number of one that runs. Nothing where the system does
/// not tell.
pub fn peak(process: &str) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.split_whitespace().next()?.parse::<f64>().ok()? / 1024.0)
}
