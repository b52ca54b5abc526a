//! The whole way of a row, as its owner sees it: the simulated Kit in this process, the program itself as a child, a
//! mirror on each engine. See README.md here.

mod support;

use kitmirror::model::ApiVersion;
use kitmirror::simulator::{AccountPlan, Serving, Simulator, V3_SECRET, V4_KEY};
use std::process::Stdio;
use std::time::{Duration, Instant};
use support::{Engine, Home, Result, engines, peak, words};
use tokio::process::Command;

/// As fast as it goes: the most that the program takes for a Kit on this machine.
const REQUESTS_PER_MINUTE: &str = "10000000";
/// How often the child's memory is looked at. Its peak is kept by the system, so only what it grows by at last is missed.
const LOOKED_AT: Duration = Duration::from_millis(5);
/// Quiet cycles of a kind, of which the middle one counts.
const ROUNDS: usize = 5;

/// What is done to a mirror, one after the other.
const PASSES: [(&str, &[&str]); 4] = [
    ("first load", &["sync", "--full"]),
    ("full again", &["sync", "--full"]),
    ("quiet", &["sync"]),
    ("reconcile", &["sync", "--reconcile"]),
];

/// Cycles in which nothing is new. A list of members whose count at Kit has not moved is left out once it was read ten
/// minutes after its count; nobody waits for that here.
const CYCLES: [(&str, &[&str]); 2] =
    [("after a load", &["sync"]), ("settled", &["sync", "--set", "visibility_lag=0s"])];

fn main() -> Result<()> {
    let asked = Asked::of(&words())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async { if asked.growth { growth(&asked).await } else { loads(&asked).await } })
}

/// What is to be measured.
struct Asked {
    growth: bool,
    engines: Vec<Engine>,
    /// A line for each engine that is left out.
    left_out: Vec<String>,
    versions: Vec<ApiVersion>,
    sizes: Vec<u64>,
    custom_fields: Option<usize>,
}

impl Asked {
    fn of(words: &[String]) -> Result<Self> {
        let (engines, left_out) = engines(words);
        let (versions, sizes) = (Vec::new(), Vec::new());
        let mut asked = Asked { growth: false, engines, left_out, versions, sizes, custom_fields: None };
        for word in words {
            let version = ApiVersion::ALL.into_iter().find(|version| version.name() == word);
            if let Some(version) = version {
                asked.versions.push(version);
            } else if let Ok(size) = word.parse() {
                asked.sizes.push(size);
            } else if let Some(count) = word.strip_prefix("fields=") {
                asked.custom_fields = Some(count.parse()?);
            } else if word == "growth" {
                asked.growth = true;
            } else if !Engine::ALL.iter().any(|engine| engine.name() == word) {
                let words = "engines, v4, v3, numbers of subscribers, fields=N, growth";
                return Err(format!("{word} means nothing here; there are {words}").into());
            }
        }
        if asked.versions.is_empty() {
            asked.versions = vec![ApiVersion::V4, ApiVersion::V3];
        }
        Ok(asked)
    }

    fn sizes(&self, usual: &[u64]) -> Vec<u64> {
        if self.sizes.is_empty() { usual.to_vec() } else { self.sizes.clone() }
    }

    fn account(&self, subscribers: u64) -> AccountPlan {
        let plan = AccountPlan::new(subscribers);
        match self.custom_fields {
            Some(count) => plan.custom_fields(count),
            None => plan,
        }
    }
}

// --- What is measured -----------------------------------------------------------------------------------------

/// Every pass over accounts of all sizes, with both versions of the API, on all engines.
async fn loads(asked: &Asked) -> Result<()> {
    println!(
        "| engine | API | subscribers | pass | seconds | rows read | rows/s | requests | peak, MiB | rows written |"
    );
    println!("|---|---|---:|---|---:|---:|---:|---:|---:|---:|");
    for engine in &asked.engines {
        for version in &asked.versions {
            for subscribers in asked.sizes(&[10_000, 100_000]) {
                let mirror = Mirror::of(*engine, *version, asked.account(subscribers)).await?;
                let passes = async {
                    for (what, arguments) in PASSES {
                        let ran = mirror.run(arguments).await?;
                        println!(
                            "| {} | {version} | {subscribers} | {what} | {:.2} | {} | {:.0} | {} | {} | {} |",
                            engine.name(),
                            ran.took.as_secs_f64(),
                            ran.rows_read,
                            ran.rows_read as f64 / ran.took.as_secs_f64(),
                            ran.requests,
                            ran.peak.map_or(String::new(), |value| format!("{value:.0}")),
                            ran.rows_written,
                        );
                    }
                    Ok(())
                };
                let passed: Result<()> = passes.await;
                mirror.remove().await?;
                passed?;
            }
        }
    }
    println!();
    for line in &asked.left_out {
        println!("{line}");
    }
    Ok(())
}

/// What a cycle costs in which nothing is new, as the account grows: by its people, and by its tags.
async fn growth(asked: &Asked) -> Result<()> {
    let sizes = asked.sizes(&[1_000, 100_000, 1_000_000]);
    let people = sizes.into_iter().map(|subscribers| asked.account(subscribers));
    let tags = [10, 100, 2_000].map(|tags| asked.account(10_000).tags(tags));
    println!("| subscribers | tags | cycle | seconds | rows read | requests |");
    println!("|---:|---:|---|---:|---:|---:|");
    for plan in people.chain(tags) {
        let (subscribers, tags) = (plan.subscribers, plan.tags);
        let mirror = Mirror::of(Engine::Sqlite, ApiVersion::V4, plan).await?;
        mirror.run(&["sync", "--full"]).await?;
        for (what, arguments) in CYCLES {
            let mut cycles = Vec::new();
            for _ in 0..ROUNDS {
                cycles.push(mirror.run(arguments).await?);
            }
            cycles.sort_by_key(|ran| ran.took);
            let Ran { took, rows_read, requests, .. } = &cycles[ROUNDS / 2];
            let seconds = took.as_secs_f64();
            println!("| {subscribers} | {tags} | {what} | {seconds:.3} | {rows_read} | {requests} |");
        }
        mirror.remove().await?;
    }
    Ok(())
}

// --- The mirror -----------------------------------------------------------------------------------------------

/// An account, and the place of its mirror.
struct Mirror {
    home: Home,
    version: ApiVersion,
    kit: Serving,
}

/// What a run took and did.
struct Ran {
    took: Duration,
    /// The most memory that the process had, in MiB.
    peak: Option<f64>,
    requests: u64,
    rows_read: u64,
    /// New, changed, or marked as gone.
    rows_written: u64,
}

impl Mirror {
    async fn of(engine: Engine, version: ApiVersion, account: AccountPlan) -> Result<Self> {
        let simulator = Simulator::new(account);
        simulator.set_limit(None);
        Ok(Mirror { kit: simulator.serve_locally().await?, home: Home::make(engine).await?, version })
    }

    /// Runs the program to its end, which must be a good one.
    async fn run(&self, arguments: &[&str]) -> Result<Ran> {
        let (variable, credential, url) = match self.version {
            ApiVersion::V4 => ("KITMIRROR_KIT_API_KEY", V4_KEY, self.kit.v4_url()),
            ApiVersion::V3 => ("KITMIRROR_KIT_API_SECRET", V3_SECRET, self.kit.v3_url()),
        };
        let mut command = Command::new(env!("CARGO_BIN_EXE_kitmirror"));
        command
            .args(arguments)
            .args(["--json", "--quiet"])
            // Nothing of whoever measures may change what is measured.
            .env_clear()
            .envs([("KITMIRROR_DATABASE_URL", self.home.url.as_str()), ("KITMIRROR_KIT_API_URL", &url)])
            .envs([(variable, credential), ("KITMIRROR_REQUESTS_PER_MINUTE", REQUESTS_PER_MINUTE)])
            .current_dir(self.home.folder.path())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        let began = Instant::now();
        let child = command.spawn()?;
        let process = child.id().ok_or("the program ended before it began")?.to_string();
        let ended = child.wait_with_output();
        tokio::pin!(ended);
        let mut memory = None;
        let output = loop {
            tokio::select! {
                output = &mut ended => break output?,
                () = tokio::time::sleep(LOOKED_AT) => memory = peak(&process).or(memory),
            }
        };
        let took = began.elapsed();
        if !output.status.success() {
            return Err(format!("{}: {}", arguments.join(" "), output.status).into());
        }
        let report: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        let count = |name: &str| {
            let number = report["total"][name].as_u64();
            number.ok_or_else(|| format!("the report has no total of {name}: {report}"))
        };
        Ok(Ran {
            took,
            peak: memory,
            requests: count("requests")?,
            rows_read: count("rows_read")?,
            rows_written: count("rows_inserted")? + count("rows_updated")? + count("rows_deleted")?,
        })
    }

    async fn remove(self) -> Result<()> {
        self.kit.stop().await;
        self.home.remove().await
    }
}
