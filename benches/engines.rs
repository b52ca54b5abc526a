//! How fast rows get into each engine, beside the engine's own bulk loader on the same rows: see README.md here.

mod support;

use kitmirror::model::objects::SUBSCRIBERS;
use kitmirror::model::{Batch, Row, Time, Value, time};
use kitmirror::store::{Access, Commit, MetStep, Place, Progress, Store, Written};
use sqlx::mysql::MySqlConnection;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, Row as _, raw_sql};
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::{Engine, Home, Result, engines, mysql_options, peak, words};

/// Rows of a commit: a page of Kit's.
const PAGE: u64 = 1000;
const FIRST_ID: u64 = 4_287_000_000;
/// The columns that the loaders are given, in the order of their files.
const COLUMNS: &str = "id, email_address, first_name, state, created_at, fields, _first_seen_at, _synced_at";

fn main() -> Result<()> {
    let words = words();
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let given = words.iter().find_map(|word| word.parse().ok());
    let rows: u64 = given.or_else(|| number("KITMIRROR_BENCH_ROWS")).unwrap_or(1_000_000);
    let rounds = number("KITMIRROR_BENCH_ROUNDS").unwrap_or(1).max(1);
    let (engines, left_out) = engines(&words);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;

    let folder = tempfile::tempdir()?;
    let people = People::write(rows, folder.path())?;
    println!(
        "{rows} subscribers of {} bytes, {PAGE} in each commit, rounds: {rounds} (medians)\n",
        people.bytes / rows
    );
    println!(
        "| engine | what | rows/s | of loader | of loader, same table | memory, MiB | written, bytes/row | rows written |"
    );
    println!("|---|---|---:|---:|---:|---:|---:|---:|");
    for engine in engines {
        let measured: Vec<Vec<Measure>> =
            (0..rounds).map(|_| runtime.block_on(round(engine, &people))).collect::<Result<_>>()?;
        show(engine.name(), rows, &medians(&measured));
    }
    println!();
    for line in left_out {
        println!("{line}");
    }
    Ok(())
}

// --- What is measured -----------------------------------------------------------------------------------------

/// One way of bringing all rows in, and what it took.
#[derive(Clone)]
struct Measure {
    what: String,
    kind: What,
    took: Duration,
    /// The most memory this process had meanwhile, in MiB.
    memory: Option<f64>,
    /// What the engine says it wrote to its log, in bytes per row.
    written: Option<f64>,
    /// How many of the rows it wrote.
    touched: Option<u64>,
}

#[derive(Clone, Copy, PartialEq)]
enum What {
    /// The loader at its best.
    Loader,
    LoaderOther,
    /// The loader into a table like that of the mirror.
    LoaderSame,
    Mirror,
}

fn loader(what: &str, kind: What, took: Duration) -> Measure {
    Measure { what: what.to_owned(), kind, took, memory: None, written: None, touched: None }
}

/// Of the same measures of all rounds, the one in the middle.
fn medians(rounds: &[Vec<Measure>]) -> Vec<Measure> {
    (0..rounds[0].len())
        .map(|at| {
            let mut same: Vec<&Measure> = rounds.iter().map(|round| &round[at]).collect();
            same.sort_by_key(|measure| measure.took);
            same[same.len() / 2].clone()
        })
        .collect()
}

fn show(engine: &str, rows: u64, measures: &[Measure]) {
    let best =
        |kind| measures.iter().filter(|measure| measure.kind == kind).map(|measure| measure.took).min();
    let share = |of: Option<Duration>, measure: &Measure| match of {
        Some(of) => format!("{:.0} %", 100.0 * of.as_secs_f64() / measure.took.as_secs_f64()),
        None => String::new(),
    };
    for measure in measures {
        println!(
            "| {engine} | {} | {:.0} | {} | {} | {} | {} | {} |",
            measure.what,
            rows as f64 / measure.took.as_secs_f64(),
            share(best(What::Loader), measure),
            share(best(What::LoaderSame), measure),
            measure.memory.map_or(String::new(), |value| format!("{value:.0}")),
            measure.written.map_or(String::new(), |value| format!("{value:.0}")),
            measure.touched.map_or(String::new(), |value| value.to_string()),
        );
    }
}

// --- The rows -------------------------------------------------------------------------------------------------

/// The same people, as rows of the mirror and as files for the loaders.
struct People {
    count: u64,
    /// Of their values, as text.
    bytes: u64,
    /// Tabs, `\N`, times without a zone: for servers.
    tabbed: PathBuf,
    /// Commas and quotes: for SQLite.
    commas: PathBuf,
}

struct Person {
    id: u64,
    email: String,
    first_name: &'static str,
    state: &'static str,
    created_at: Time,
    fields: String,
}

impl Person {
    /// The one of a number. `version` is of those whose number is divisible by 100.
    fn of(number: u64, version: u64) -> Self {
        const FIRST: [&str; 12] = [
            "Anna",
            "Benjamin",
            "Chiara",
            "Dmitri",
            "Elif",
            "François",
            "Grace",
            "Hiroshi",
            "Ines",
            "Jürgen",
            "Katarzyna",
            "Léa",
        ];
        const LAST: [&str; 10] = [
            "Andersen", "Brown", "Costa", "Dubois", "Eriksson", "Fischer", "Garcia", "Haddad", "Ivanova",
            "Jones",
        ];
        const PLANS: [&str; 3] = ["free", "creator", "creator-pro"];
        // Scattered, and the same each time.
        let chance = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
        let pick = |of: &[&'static str], shift: u32| of[(chance >> shift) as usize % of.len()];
        let (first_name, last_name) = (pick(&FIRST, 0), pick(&LAST, 4));
        let version = if number.is_multiple_of(100) { version } else { 0 };
        Person {
            id: FIRST_ID + number,
            email: format!("{}.{:x}@example.com", last_name.to_lowercase(), chance % 0x1000_0000),
            first_name,
            state: match chance % 100 {
                0..80 => "active",
                80..92 => "cancelled",
                92..97 => "inactive",
                97..99 => "bounced",
                _ => "complained",
            },
            created_at: Time::from_timestamp(1_500_000_000 + number as i64 * 97, 0).unwrap_or_default(),
            fields: format!(
                r#"{{"last_name":"{last_name}","plan":"{}","purchases":"{version}","source":"landing-page-{}"}}"#,
                pick(&PLANS, 9),
                chance % 40
            ),
        }
    }

    fn row(self) -> Row {
        let text = |text: &str| Value::Text(text.into());
        Row {
            values: vec![
                Value::Int(self.id as i64),
                text(&self.email),
                text(self.first_name),
                text(self.state),
                Value::Time(self.created_at),
                Value::Absent,
                Value::Json(self.fields.into()),
                Value::Absent,
                Value::Absent,
            ],
            extra: Value::Null,
        }
    }
}

impl People {
    fn write(count: u64, folder: &Path) -> Result<Self> {
        let (tabbed, commas) = (folder.join("people.tsv"), folder.join("people.csv"));
        let mut tabs = BufWriter::new(File::create(&tabbed)?);
        let mut csv = BufWriter::new(File::create(&commas)?);
        let now = Time::from(std::time::SystemTime::now());
        let plain = |time: Time| time.format("%F %T%.6f").to_string();
        let mut bytes = 0;
        for number in 0..count {
            let Person { id, email, first_name, state, created_at, fields } = Person::of(number, 0);
            let (at, seen) = (plain(created_at), plain(now));
            let line = format!("{id}\t{email}\t{first_name}\t{state}\t{at}\t{fields}\t{seen}\t{seen}\n");
            bytes += line.len() as u64 - 8;
            tabs.write_all(line.as_bytes())?;
            let (at, seen, fields) = (time::text(created_at), time::text(now), fields.replace('"', "\"\""));
            writeln!(csv, "{id},{email},{first_name},{state},{at},\"{fields}\",{seen},{seen}")?;
        }
        tabs.flush()?;
        csv.flush()?;
        Ok(People { count, bytes, tabbed, commas })
    }

    fn pages(&self, version: u64) -> impl Iterator<Item = Vec<Row>> {
        let count = self.count;
        (0..count).step_by(PAGE as usize).map(move |from| {
            (from..count.min(from + PAGE)).map(|number| Person::of(number, version).row()).collect()
        })
    }
}

// --- The mirror -----------------------------------------------------------------------------------------------

/// A mirror's store, as the service has it.
struct Mirror {
    store: Store,
    run: i64,
}

impl Mirror {
    async fn open(url: &str) -> Result<Self> {
        let store = Store::open(&Place::of(url, None)?, Access::Create).await?;
        store.migrate().await?;
        store.acquire_lease("bench").await?.map_err(|_| "somebody else holds the lease")?;
        let run = store.begin_run(&SUBSCRIBERS, "full").await?;
        Ok(Mirror { store, run })
    }

    /// All people, one commit after the other, and the index that was put off. Making the rows does not count.
    async fn load(&self, people: &People, version: u64) -> Result<(Duration, Written, f64)> {
        let mut written = Written::default();
        let began = Instant::now();
        self.store.put_off_indexes(&SUBSCRIBERS).await?;
        let mut took = began.elapsed();
        // The peak begins anew, where the system lets it.
        std::fs::write("/proc/self/clear_refs", "5").ok();
        for (page, rows) in people.pages(version).enumerate() {
            let batch = Batch { read: rows.len(), rows, quarantined: Vec::new() };
            let commit = Commit {
                object: &SUBSCRIBERS,
                partition: String::new(),
                batch: Arc::new(batch),
                pages: 1,
                progress: Progress::More { checkpoint: format!(r#"{{"page":{page}}}"#) },
                fingerprint: "bench".to_owned(),
                run: (self.run, 1, 0),
                met: MetStep::None,
                gone: Vec::new(),
                meanwhile: self.store.meanwhile(),
            };
            let began = Instant::now();
            written += self.store.commit_page(commit).await?;
            took += began.elapsed();
        }
        let began = Instant::now();
        self.store.complete_indexes(&SUBSCRIBERS).await?;
        took += began.elapsed();
        Ok((took, written, peak("self").unwrap_or_default()))
    }
}

/// The loads of a mirror: first, again, and again after one in a hundred has changed. `check` holds what the mirror
/// says it wrote against what the engine says.
async fn mirror_loads(url: &str, people: &People, witness: &mut Witness) -> Result<Vec<Measure>> {
    let mirror = Mirror::open(url).await?;
    let changed = people.count.div_ceil(100);
    let loads = [
        ("mirror, first load", 0, Written { inserted: people.count, ..Written::default() }),
        ("mirror, the same again", 0, Written::default()),
        ("mirror, 1 % changed", 1, Written { updated: changed, ..Written::default() }),
    ];
    let mut measures = Vec::new();
    for (what, version, expected) in loads {
        let before = witness.log().await?;
        let since = witness.mark().await?;
        let (took, written, memory) = mirror.load(people, version).await?;
        let bytes = witness.log().await?.saturating_sub(before);
        if written != expected {
            return Err(format!("{what}: {written:?} instead of {expected:?}").into());
        }
        measures.push(Measure {
            what: what.to_owned(),
            kind: What::Mirror,
            took,
            memory: Some(memory),
            written: Some(bytes as f64 / people.count as f64),
            touched: Some(witness.touched(since).await?),
        });
        witness.rest().await?;
    }
    mirror.store.release_lease().await?;
    mirror.store.close().await;
    Ok(measures)
}

/// Who tells how much the engine wrote.
enum Witness {
    Sqlite(sqlx::SqliteConnection),
    Postgres(PgConnection),
    Mysql(MySqlConnection),
}

impl Witness {
    /// Bytes logged so far: of SQLite, all that this process has written.
    async fn log(&mut self) -> Result<u64> {
        match self {
            Witness::Sqlite(_) => {
                let io = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
                let line = io.lines().find_map(|line| line.strip_prefix("wchar: "));
                Ok(line.and_then(|text| text.parse().ok()).unwrap_or_default())
            }
            Witness::Postgres(connection) => {
                let sql = "select cast(pg_current_wal_insert_lsn() - '0/0' as bigint)";
                let bytes: i64 = sqlx::query_scalar(sql).fetch_one(connection).await?;
                Ok(bytes as u64)
            }
            Witness::Mysql(connection) => status(connection, "Innodb_os_log_written").await,
        }
    }

    /// A point from which on [`Witness::touched`] counts.
    async fn mark(&mut self) -> Result<String> {
        match self {
            Witness::Postgres(connection) => {
                let sql = "select cast(pg_current_xact_id() as text)";
                Ok(sqlx::query_scalar(sql).fetch_one(connection).await?)
            }
            Witness::Mysql(connection) => Ok(changes(connection).await?.to_string()),
            // A moment in the form that SQLite's mirror stores.
            Witness::Sqlite(_) => Ok(time::text(Time::from(std::time::SystemTime::now()))),
        }
    }

    /// Rows written since. Postgres: row versions of later transactions, and rows they have locked. MySQL: rows
    /// inserted or updated, bookkeeping included. SQLite: by their time.
    async fn touched(&mut self, since: String) -> Result<u64> {
        let count = match self {
            Witness::Postgres(connection) => {
                let since: u64 = since.parse()?;
                let sql = format!(
                    "select count(*) from subscribers where cast(cast(xmin as text) as bigint) >= {0} \
                     or cast(cast(xmax as text) as bigint) >= {0}",
                    since % (1 << 32)
                );
                sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(connection).await?
            }
            Witness::Mysql(connection) => {
                let since: u64 = since.parse()?;
                (changes(connection).await? - since) as i64
            }
            Witness::Sqlite(connection) => {
                let sql = "select count(*) from subscribers where _synced_at >= ?";
                sqlx::query_scalar(sql).bind(since).fetch_one(connection).await?
            }
        };
        Ok(count as u64)
    }

    /// What the engine would do by itself sooner or later, so that it does not fall into what is measured next.
    async fn rest(&mut self) -> Result<()> {
        match self {
            Witness::Postgres(connection) => {
                connection.execute("vacuum (analyze) subscribers").await?;
                connection.execute("checkpoint").await?;
            }
            Witness::Sqlite(_) | Witness::Mysql(_) => {}
        }
        Ok(())
    }
}

// --- The engines ----------------------------------------------------------------------------------------------

/// Everything once, in a database of its own.
async fn round(engine: Engine, people: &People) -> Result<Vec<Measure>> {
    let home = Home::make(engine).await?;
    let measured = match engine {
        Engine::Sqlite => sqlite(&home, people).await,
        Engine::Postgres => postgres(&home.url, people).await,
        Engine::Mariadb | Engine::Mysql => mysql(&home.url, people).await,
    };
    let removed = home.remove().await;
    let measured = measured?;
    removed?;
    Ok(measured)
}

// --- SQLite ---------------------------------------------------------------------------------------------------

async fn sqlite(home: &Home, people: &People) -> Result<Vec<Measure>> {
    let plain = "create table people (id, email_address, first_name, state, created_at, fields, _first_seen_at, _synced_at);";
    let keyed = "create table people (id integer not null primary key, email_address text, first_name text, \
                 state text not null, created_at text not null, fields text, _first_seen_at text not null, \
                 _synced_at text not null) strict;";
    let indexed = format!(
        "{keyed} create index a on people (created_at); create index b on people (email_address); \
         create index c on people (state);"
    );
    let mut measures = Vec::new();
    for (what, kind, tables) in [
        (".import, no key", What::Loader, plain),
        (".import, key", What::LoaderOther, keyed),
        (".import, key and indexes", What::LoaderSame, &indexed),
    ] {
        let file = home.folder.path().join("loader.db");
        let shell = |script: String| run(Command::new("sqlite3").arg("-batch").arg(&file), &script);
        shell(format!("pragma journal_mode = wal;\n{tables}\n"))?;
        let began = Instant::now();
        shell(format!("pragma synchronous = full;\n.import --csv \"{}\" people\n", people.commas.display()))?;
        measures.push(loader(what, kind, began.elapsed()));
        let counted = sqlx::sqlite::SqliteConnectOptions::new().filename(&file).connect().await;
        let mut connection = counted?;
        let count: i64 = sqlx::query_scalar("select count(*) from people").fetch_one(&mut connection).await?;
        connection.close().await?;
        all_there(what, count, people)?;
        for end in ["", "-wal", "-shm"] {
            std::fs::remove_file(format!("{}{end}", file.display())).ok();
        }
    }
    // The file is made by the mirror; who watches it comes later.
    Mirror::open(&home.url).await?.store.release_lease().await?;
    let mut witness = Witness::Sqlite(
        sqlx::sqlite::SqliteConnectOptions::from_str(&home.url)?.read_only(true).connect().await?,
    );
    measures.extend(mirror_loads(&home.url, people, &mut witness).await?);
    Ok(measures)
}

/// Runs a client that takes its commands from its input.
fn run(command: &mut Command, input: &str) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{name}: {error}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    if output.status.success() && output.stderr.is_empty() {
        return Ok(());
    }
    Err(format!("{name}: {}", String::from_utf8_lossy(&output.stderr)).into())
}

fn all_there(what: &str, count: i64, people: &People) -> Result<()> {
    if count as u64 == people.count { Ok(()) } else { Err(format!("{what}: {count} rows").into()) }
}

// --- Postgres -------------------------------------------------------------------------------------------------

async fn postgres(url: &str, people: &People) -> Result<Vec<Measure>> {
    let mirror = Mirror::open(url).await?;
    mirror.store.release_lease().await?;
    mirror.store.close().await;
    let mut connection = PgConnectOptions::from_str(url)?.connect().await?;
    connection.execute("set timezone = 'UTC'").await?;
    let mut measures = Vec::new();
    for (what, kind, table) in [
        ("COPY, no key", What::Loader, "create table people as select * from subscribers with no data"),
        ("COPY, key", What::LoaderOther, "create table people (like subscribers, primary key (id))"),
        (
            "COPY, key and indexes",
            What::LoaderSame,
            "create table people (like subscribers including indexes)",
        ),
    ] {
        connection.execute(raw_sql(AssertSqlSafe(table))).await?;
        connection.execute("checkpoint").await?;
        let began = Instant::now();
        let mut copy = connection.copy_in_raw(&format!("copy people ({COLUMNS}) from stdin")).await?;
        copy.read_from(tokio::fs::File::open(&people.tabbed).await?).await?;
        let count = copy.finish().await?;
        measures.push(loader(what, kind, began.elapsed()));
        all_there(what, count as i64, people)?;
        connection.execute("drop table people").await?;
    }
    connection.execute("checkpoint").await?;
    let mut witness = Witness::Postgres(connection);
    measures.extend(mirror_loads(url, people, &mut witness).await?);
    Ok(measures)
}

// --- MySQL and MariaDB ----------------------------------------------------------------------------------------

async fn mysql(url: &str, people: &People) -> Result<Vec<Measure>> {
    let mirror = Mirror::open(url).await?;
    mirror.store.release_lease().await?;
    mirror.store.close().await;
    let mut connection = mysql_options(url)?.connect().await?;
    let without = "alter table people drop index subscribers_created_at, drop index subscribers_email_address, \
                   drop index subscribers_state";
    let client = Client::of(url)?;
    // MySQL's default is off. Only this program's client uses it, but other clients might meanwhile.
    let before = variable(&mut connection, "local_infile").await?;
    connection.execute("set global local_infile = 1").await?;
    let mut measures = Vec::new();
    let mut result = Ok(());
    for (what, kind, tables) in [
        ("LOAD DATA, key", What::Loader, vec!["create table people like subscribers", without]),
        ("LOAD DATA, key and indexes", What::LoaderSame, vec!["create table people like subscribers"]),
    ] {
        for sql in tables {
            connection.execute(sql).await?;
        }
        let began = Instant::now();
        result = client.load(people);
        if result.is_err() {
            break;
        }
        measures.push(loader(what, kind, began.elapsed()));
        let count: i64 = sqlx::query_scalar("select count(*) from people").fetch_one(&mut connection).await?;
        all_there(what, count, people)?;
        connection.execute("drop table people").await?;
    }
    if before == "OFF" {
        connection.execute("set global local_infile = 0").await?;
    }
    result?;
    let mut witness = Witness::Mysql(connection);
    measures.extend(mirror_loads(url, people, &mut witness).await?);
    Ok(measures)
}

/// The command line's client: the driver cannot send a file.
struct Client {
    url: reqwest::Url,
    program: &'static str,
}

impl Client {
    fn of(url: &str) -> Result<Self> {
        let there =
            |program: &&str| Command::new(program).arg("--version").stdout(Stdio::null()).status().is_ok();
        let program = ["mariadb", "mysql"]
            .into_iter()
            .find(there)
            .ok_or("neither mariadb nor mysql, the clients, is here")?;
        Ok(Client { url: reqwest::Url::parse(url)?, program })
    }

    fn load(&self, people: &People) -> Result<()> {
        let mut command = Command::new(self.program);
        command
            .args(["--no-defaults", "--protocol=tcp", "--local-infile=1", "--default-character-set=utf8mb4"])
            .arg(format!("--host={}", self.url.host_str().unwrap_or("127.0.0.1")))
            .arg(format!("--port={}", self.url.port().unwrap_or(3306)))
            .arg(format!("--user={}", self.url.username()))
            .arg(self.url.path().trim_start_matches('/'));
        if let Some(password) = self.url.password() {
            command.env("MYSQL_PWD", password);
        }
        let sql = format!(
            "load data local infile '{}' into table people character set utf8mb4 ({COLUMNS});\n",
            people.tabbed.display()
        );
        run(&mut command, &sql)
    }
}

async fn variable(connection: &mut MySqlConnection, name: &str) -> Result<String> {
    let sql = format!("show global variables like '{name}'");
    Ok(raw_sql(AssertSqlSafe(sql)).fetch_one(connection).await?.try_get_unchecked(1)?)
}

async fn status(connection: &mut MySqlConnection, name: &str) -> Result<u64> {
    let sql = format!("show global status like '{name}'");
    let text: String = raw_sql(AssertSqlSafe(sql)).fetch_one(connection).await?.try_get_unchecked(1)?;
    Ok(text.parse()?)
}

/// Rows there are, and how often one was updated.
async fn changes(connection: &mut MySqlConnection) -> Result<u64> {
    let count: i64 =
        sqlx::query_scalar("select count(*) from subscribers").fetch_one(&mut *connection).await?;
    Ok(count as u64 + status(connection, "Handler_update").await?)
}
