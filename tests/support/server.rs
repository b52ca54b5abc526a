//! The server of an engine, and a database on it for each mirror. The program gets a role that may do in that
//! database what the README says it needs, and nothing else anywhere.

use super::database::Database;
use super::engine::Engine;
use chrono::Utc;
use sqlx::mysql::MySqlConnectOptions;
use sqlx::postgres::PgConnectOptions;
use std::str::FromStr as _;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

/// The schema in which the program makes its tables on Postgres.
pub const SCHEMA: &str = "kit";
/// Another one in the same database, for a second mirror.
pub const SECOND_SCHEMA: &str = "kit_beside";
/// The role's name; its password is no secret, since what it opens is thrown away.
pub const ROLE: &str = "kitmirror_suite";
pub const PASSWORD: &str = "only-for-tests";
/// Another role, for tables that others have made: it may read and write them, and make none.
pub const PLAIN_ROLE: &str = "kitmirror_plain";
/// What the role may do in its databases on MySQL and MariaDB.
pub const GRANTS: &str = "select, insert, update, delete, create, alter, drop, index, create view, show view";
/// Databases of this age were left behind by tests that were killed.
const LEFT_BEHIND_SECONDS: i64 = 2 * 3_600;

/// A database of its own on the server. Dropped with it, a little later, or emptied for the next one.
#[derive(Debug)]
pub struct Home {
    name: String,
    /// Whether another test may have it afterwards.
    is_reused: AtomicBool,
    /// As the program opens it.
    pub url: String,
    /// As the analyst opens it.
    pub analyst: String,
}

/// Whether a database may come with tables in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Furnished {
    /// No: the test wants to see them made.
    No,
    /// It may, without rows, as another test left them: making and dropping them is half of what a server has to do
    /// for a short test.
    Maybe,
}

enum Wish {
    Create(Furnished, oneshot::Sender<Result<String, String>>),
    Drop(String),
    Empty(String),
}

impl Home {
    /// A database without a row.
    pub async fn new(engine: Engine, furnished: Furnished) -> Self {
        let admin = admin(engine);
        let (done, created) = oneshot::channel();
        keeper(engine, &admin).send(Wish::Create(furnished, done)).expect("the keeper lives");
        let created = created.await.expect("the keeper answers");
        let name =
            created.unwrap_or_else(|error| panic!("no database on {engine:?}: {error}\n{}", advice(engine)));
        let url = url_of_role(engine, &admin, &name) + &parameters(&admin);
        let analyst = with_database(&admin, &name);
        Home { name, is_reused: AtomicBool::new(furnished == Furnished::Maybe), url, analyst }
    }

    /// Somebody does this in it: whoever changes tables keeps them.
    pub fn sees(&self, sql: &str) {
        let mut words = sql.split_whitespace().map(str::to_ascii_lowercase);
        if words.any(|word| ["create", "alter", "drop"].contains(&word.as_str())) {
            self.is_reused.store(false, Ordering::Relaxed);
        }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if let Some(keeper) = KEEPER.get() {
            // Whatever a test that fails leaves behind is for itself.
            let is_reused = self.is_reused.load(Ordering::Relaxed) && !std::thread::panicking();
            let name = self.name.clone();
            let _ = keeper.send(if is_reused { Wish::Empty(name) } else { Wish::Drop(name) });
        }
    }
}

/// The variable that names the server of an engine.
fn variable(engine: Engine) -> &'static str {
    match engine {
        Engine::Postgres => "KITMIRROR_TEST_POSTGRES_URL",
        Engine::Mariadb => "KITMIRROR_TEST_MARIADB_URL",
        Engine::Mysql => "KITMIRROR_TEST_MYSQL_URL",
        Engine::Sqlite => panic!("SQLite has no server"),
    }
}

fn advice(engine: Engine) -> String {
    let variable = variable(engine);
    format!("run tests/run, which starts private servers, or set {variable} to an administrator's URL")
}

fn admin(engine: Engine) -> String {
    let url = std::env::var(variable(engine)).unwrap_or_default();
    assert!(!url.is_empty(), "no server for {engine:?}: {}", advice(engine));
    url
}

/// How the role gets into a database, but for the parameters after it.
fn url_of_role(engine: Engine, admin: &str, database: &str) -> String {
    let (scheme, host, port) = match engine {
        Engine::Postgres => {
            let options = PgConnectOptions::from_str(admin).expect("a URL of Postgres");
            ("postgres", options.get_host().to_owned(), options.get_port())
        }
        _ => {
            let options = MySqlConnectOptions::from_str(admin).expect("a URL of MySQL");
            ("mysql", options.get_host().to_owned(), options.get_port())
        }
    };
    format!("{scheme}://{ROLE}:{PASSWORD}@{host}:{port}/{database}")
}

/// What stands after a URL's database, such as `?ssl-mode=disabled`: what holds for the administrator's way to
/// the server holds for the role's.
fn parameters(admin: &str) -> String {
    admin.split_once('?').map(|(_, given)| format!("?{given}")).unwrap_or_default()
}

/// The same server and user, another database.
fn with_database(admin: &str, name: &str) -> String {
    let (scheme, rest) = admin.split_once("://").expect("a URL has a scheme");
    let server = rest.split(['/', '?']).next().unwrap_or_default();
    format!("{scheme}://{server}/{name}{}", parameters(admin))
}

static KEEPER: OnceLock<UnboundedSender<Wish>> = OnceLock::new();

/// Whoever creates and drops the databases of this process: a thread of its own, since every test has a runtime
/// of its own and none of them outlives the others.
fn keeper(engine: Engine, admin: &str) -> &'static UnboundedSender<Wish> {
    KEEPER.get_or_init(|| {
        let (sender, wishes) = unbounded_channel();
        let admin = admin.to_owned();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(keep(engine, &admin, wishes));
        });
        sender
    })
}

async fn keep(engine: Engine, admin: &str, mut wishes: UnboundedReceiver<Wish>) {
    let server = prepared(engine, admin).await;
    let (mut bare, mut furnished) = (Vec::new(), Vec::new());
    while let Some(wish) = wishes.recv().await {
        match (wish, &server) {
            (Wish::Create(wanted, done), Ok(server)) => {
                let kept = if wanted == Furnished::Maybe { furnished.pop() } else { None };
                let created = match kept.or_else(|| bare.pop()) {
                    Some(name) => Ok(name),
                    None => create(engine, server).await,
                };
                drop(done.send(created.map_err(|error| error.to_string())));
            }
            (Wish::Create(_, done), Err(error)) => drop(done.send(Err(error.to_string()))),
            (Wish::Empty(name), Ok(_)) if is_emptied(engine, admin, &name).await => furnished.push(name),
            (Wish::Drop(name), Ok(_)) if engine == Engine::Postgres && is_cleared(admin, &name).await => {
                bare.push(name);
            }
            // One that cannot be dropped now is dropped by a later run.
            (Wish::Drop(name) | Wish::Empty(name), Ok(server)) => {
                drop(server.try_execute(&dropping(engine, &name)).await);
            }
            (Wish::Drop(_) | Wish::Empty(_), Err(_)) => {}
        }
    }
}

/// Postgres takes 50 ms to make a database, and much less to clear one so that it can be used again.
async fn is_cleared(admin: &str, name: &str) -> bool {
    let sql = format!(
        "set lock_timeout = '2s'; set client_min_messages = warning; drop schema if exists {SCHEMA}, {SECOND_SCHEMA} cascade"
    );
    let Ok(database) = Database::connect(Engine::Postgres, &with_database(admin, name), SCHEMA).await else {
        return false;
    };
    let cleared = database.try_execute(&sql).await;
    database.close().await;
    cleared.is_ok()
}

/// Takes all rows out of all tables and begins to count anew, as after they were made.
async fn is_emptied(engine: Engine, admin: &str, name: &str) -> bool {
    let Ok(database) = Database::connect(engine, &with_database(admin, name), SCHEMA).await else {
        return false;
    };
    let emptied = match database.try_tables().await {
        Ok(mut tables) => {
            // It tells which tables were made.
            tables.retain(|table| table != "refinery_schema_history");
            database.try_execute(&emptying(engine, &tables)).await
        }
        Err(error) => Err(error),
    };
    database.close().await;
    emptied.is_ok()
}

fn emptying(engine: Engine, tables: &[String]) -> String {
    if engine == Engine::Postgres {
        let truncated = match tables {
            [] => String::new(),
            some => format!("truncate {} restart identity", some.join(", ")),
        };
        return format!(
            "set lock_timeout = '2s'; set client_min_messages = warning; \
             drop schema if exists {SECOND_SCHEMA} cascade; {truncated}"
        );
    }
    let deleted = tables.iter().map(|table| format!("delete from {table};"));
    let counted = tables.iter().find(|table| *table == "sync_runs");
    let counted = counted.map(|table| format!("alter table {table} auto_increment = 1;"));
    let waiting = "set lock_wait_timeout = 2, innodb_lock_wait_timeout = 2;".to_owned();
    std::iter::once(waiting).chain(deleted).chain(counted).collect()
}

/// The server, with the role, and without what killed tests left behind.
async fn prepared(engine: Engine, admin: &str) -> Result<Database, sqlx::Error> {
    let server = Database::connect(engine, admin, "public").await?;
    let (role, databases) = match engine {
        Engine::Postgres => (
            // Two targets may come to an empty server at once.
            format!(
                "do $$ begin create role {ROLE} login password '{PASSWORD}'; \
                 exception when duplicate_object or unique_violation then null; end $$"
            ),
            r"select datname from pg_database where datname like 'km\_%'",
        ),
        _ => (
            format!(
                "create user if not exists '{ROLE}'@'%' identified by '{PASSWORD}'; \
                 grant {GRANTS} on `km\\_%`.* to '{ROLE}'@'%'"
            ),
            r"select schema_name from information_schema.schemata where schema_name like 'km\_%'",
        ),
    };
    server.try_execute(&role).await?;
    come_with_tls(engine, admin, ROLE).await;
    let now = Utc::now().timestamp();
    for name in server.texts(databases).await {
        let born = name.split('_').nth(1).and_then(|seconds| seconds.parse::<i64>().ok());
        if born.is_some_and(|born| now - born > LEFT_BEHIND_SECONDS) {
            server.try_execute(&dropping(engine, &name)).await?;
        }
    }
    Ok(server)
}

/// MySQL takes a password without TLS from those only who came with TLS before, and remembers them.
async fn come_with_tls(engine: Engine, admin: &str, role: &str) {
    if engine == Engine::Mysql {
        let url = url_of_role(engine, admin, "information_schema").replace(ROLE, role);
        if let Ok(first) = Database::connect(engine, &url, SCHEMA).await {
            first.close().await;
        }
    }
}

/// Lets the role that only uses tables into a database in which an administrator has made them.
pub async fn let_plain_role_in(engine: Engine, administrator: &Database, database: &str) {
    administrator.execute(&grants_to_plain_role(engine, database)).await;
    come_with_tls(engine, &admin(engine), PLAIN_ROLE).await;
}

async fn create(engine: Engine, server: &Database) -> Result<String, sqlx::Error> {
    let name = format!("km_{}_{:08x}", Utc::now().timestamp(), fastrand::u32(..));
    match engine {
        Engine::Postgres => {
            server.try_execute(&format!("create database {name}")).await?;
            server.try_execute(&format!("grant connect, create on database {name} to {ROLE}")).await?;
        }
        // Not what the tables are to be in: they say so themselves.
        _ => server.try_execute(&format!("create database {name} character set latin1")).await?,
    }
    Ok(name)
}

fn grants_to_plain_role(engine: Engine, database: &str) -> String {
    match engine {
        Engine::Sqlite => String::new(),
        Engine::Postgres => format!(
            "do $$ begin create role {PLAIN_ROLE} login password '{PASSWORD}'; \
             exception when duplicate_object or unique_violation then null; end $$; \
             grant usage on schema {SCHEMA} to {PLAIN_ROLE}; \
             grant select, insert, update, delete on all tables in schema {SCHEMA} to {PLAIN_ROLE}"
        ),
        Engine::Mysql | Engine::Mariadb => format!(
            "create user if not exists '{PLAIN_ROLE}'@'%' identified by '{PASSWORD}'; \
             grant select, insert, update, delete on {database}.* to '{PLAIN_ROLE}'@'%'"
        ),
    }
}

fn dropping(engine: Engine, name: &str) -> String {
    match engine {
        Engine::Postgres => format!("drop database if exists {name} with (force)"),
        _ => format!("drop database if exists {name}"),
    }
}
