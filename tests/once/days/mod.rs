//! Days that pass in milliseconds: the program's own code on one thread and a clock that jumps, a simulated Kit with
//! lag, churn and faults, a real SQLite, and deaths at any place. All of a day comes from its seed; a day that fails
//! prints it, with the least that it takes to fail.

mod day;
mod life;
mod pace;
mod unanswered;

use crate::support::judge::{Judge, Strictness};
use crate::support::{Api, Mirror, oracle};
use chrono::TimeDelta;
use day::{Day, Reads, Step};
use kitmirror::chaos::Bug;
use kitmirror::config::{self, Environment, Input, Settings};
use kitmirror::model::objects;
use kitmirror::simulator::{ACCESS_TOKEN, Lag, Simulator, V3_SECRET, V4_KEY};
use life::{Ended, World, live};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Days on which something was wrong once.
const KEPT: &[u64] = &[39, 201, 262, 678, 3690];

/// How many days the test command tries.
const USUAL: u64 = 1_000;

/// K-01, K-02, M01–M04, M06–M12, M14, M17, M18, M20, M25, M30, D01, H-04, H-06, H-08, H-09, T-05. A thousand days, each
/// with lives that die, are overtaken or lose their database, and none of them loses a row.
#[test]
fn no_day_loses_a_row() {
    let count = number("KITMIRROR_TEST_SEEDS").unwrap_or(USUAL);
    let first = number("KITMIRROR_TEST_SEED").unwrap_or(1);
    let failed = first_failing(None, KEPT.iter().copied().chain(first..first + count));
    if let Some((seed, what)) = failed {
        panic!("the day of seed {seed} failed: {what}\n{}", told(&shrunk(Day::of(seed), None)));
    }
}

/// A day is what its seed says: the same requests at the same moments, and the same rows.
#[test]
fn a_seed_always_takes_the_same_way() {
    for seed in [3, 14, 159] {
        let [one, other] = [(), ()].map(|()| trace(&Day::of(seed)));
        let differs = one.iter().zip(&other).find(|(one, other)| one != other);
        assert_eq!(differs, None, "seed {seed}");
        assert_eq!(one.len(), other.len(), "seed {seed}");
    }
}

/// Each of the mistakes that replicators make is noticed within a thousand days.
#[test]
fn every_planted_bug_is_noticed() {
    for bug in Bug::ALL {
        let noticed = first_failing(Some(*bug), 1..=USUAL);
        let (seed, what) = noticed.unwrap_or_else(|| panic!("{bug:?} was not noticed in {USUAL} days"));
        assert_eq!(pass(&Day::of(seed), None), Ok(()), "the day fails without {bug:?} as well");
        println!("{:>2} {bug:?}: noticed on day {seed}: {what}", *bug as isize);
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number of days"))
}

/// The first of these days that fails, tried on all cores.
fn first_failing(bug: Option<Bug>, seeds: impl Iterator<Item = u64>) -> Option<(u64, String)> {
    let seeds: Vec<u64> = seeds.collect();
    let next = AtomicU64::new(0);
    let failed: Mutex<Option<(u64, String)>> = Mutex::new(None);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while failed.lock().expect("nobody panics").is_none() {
                    let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed) as usize) else { return };
                    if let Err(what) = pass(&Day::of(*seed), bug) {
                        let mut failed = failed.lock().expect("nobody panics");
                        if failed.as_ref().is_none_or(|(earlier, _)| seed < earlier) {
                            *failed = Some((*seed, what));
                        }
                    }
                }
            });
        }
    });
    failed.into_inner().expect("nobody panics")
}

/// Takes away from a failing day whatever it does not need to fail.
fn shrunk(mut day: Day, bug: Option<Bug>) -> Day {
    let mut tries = 0;
    'smaller: loop {
        for smaller in day.smaller() {
            tries += 1;
            if tries > 400 {
                return day;
            }
            if pass(&smaller, bug).is_err() {
                day = smaller;
                continue 'smaller;
            }
        }
        return day;
    }
}

fn told(day: &Day) -> String {
    let mut text = format!("the least it takes, with {:?} and\n{:?}\n{:?}\n", day.api, day.modes, day.plan);
    for step in &day.steps {
        let _ = writeln!(text, "{step:?}");
    }
    text + &pass(day, None).expect_err("it fails")
}

/// When requests arrived, and what is stored in the end.
fn trace(day: &Day) -> Vec<String> {
    let scene = Scene::of(day, None);
    scene.pass(day).expect("a day without a bug");
    let arrivals = scene.arrivals.lock().expect("nobody panics");
    let mirrored = scene.contents().into_iter().filter(|line| !line.contains("applied_on"));
    arrivals.iter().map(ToString::to_string).chain(mirrored).collect()
}

/// Lets a day pass. What was wrong, if anything was.
fn pass(day: &Day, bug: Option<Bug>) -> Result<(), String> {
    let scene = Scene::of(day, bug);
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| scene.pass(day)))
        .unwrap_or_else(|_| Err("a panic".to_owned()))
}

struct Scene {
    sim: Simulator,
    mirror: Mirror,
    settings: Settings,
    bug: Option<Bug>,
    arrivals: Arc<Mutex<Vec<chrono::DateTime<chrono::Utc>>>>,
    /// For whoever looks at the database beside the program.
    eyes: tokio::runtime::Runtime,
}

impl Scene {
    fn of(day: &Day, bug: Option<Bug>) -> Self {
        let eyes = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let sim = Simulator::new(day.plan.clone());
        sim.set_limit(None);
        sim.clock().freeze_at(day::MORNING.parse().expect("a time"));
        sim.set_modes(|modes| modes.clone_from(&day.modes));
        let mirror = eyes.block_on(Mirror::in_memory());
        let settings = settings(day, &mirror);
        Scene { sim, mirror, settings, bug, arrivals: Arc::default(), eyes }
    }

    fn pass(&self, day: &Day) -> Result<(), String> {
        let contents = || self.contents();
        let world = World {
            sim: &self.sim,
            settings: &self.settings,
            bug: self.bug,
            arrivals: Arc::clone(&self.arrivals),
            contents: &contents,
        };
        let mut now = self.sim.clock().now();
        let mut watermarks = oracle::Watermarks::new();
        let quiet =
            |hours, whole| Step { wait: TimeDelta::hours(hours), whole, seed: day.seed, ..Step::default() };
        // In the end everything is well for long enough, and what is there must be what Kit has.
        let end = [quiet(2, None), quiet(2, Some(Reads::Reconcile)), quiet(2, Some(Reads::Reconcile))];
        for (at, step) in day.steps.iter().chain(&end).enumerate() {
            let is_last = at == day.steps.len() + end.len() - 1;
            now = self.before(step, now);
            let (ended, later) = live(&world, step, now);
            now = later;
            self.sim.clock().freeze_at(now);
            self.sim.faults().clear();
            self.sim.clear_churn();
            let told = |what: String| format!("step {at}: {what}");
            let complete = match &ended {
                Ended::Hung => return Err(told("O9: it does not end".to_owned())),
                Ended::Overtaken(before, after) if before != after => {
                    let wrote = after.iter().find(|line| !before.contains(line));
                    return Err(told(format!("C-03: it was overtaken, and wrote {wrote:?}")));
                }
                Ended::Ran(Ok(report)) => {
                    let complete = report.is_complete();
                    if !complete && at >= day.steps.len() {
                        return Err(told(format!("all is well, and it is not complete: {report:?}")));
                    }
                    complete
                }
                Ended::Ran(Err(error)) if at >= day.steps.len() => {
                    return Err(told(format!("all is well, and it does not start: {}", error.one_line())));
                }
                Ended::Ran(Err(_)) | Ended::Died | Ended::Overtaken(..) => false,
            };
            self.eyes
                .block_on(async {
                    if !self.mirror.relations().await.iter().any(|name| name == "sync_status") {
                        return Ok(());
                    }
                    let database = self.mirror.database().await;
                    let mut judged =
                        oracle::at_any_moment(&database, &self.sim, day.api, &mut watermarks).await;
                    if complete && judged.is_ok() {
                        let members = !day.skips_members;
                        judged = oracle::after_a_complete_run(&database, &self.sim, day.api, members).await;
                    }
                    database.close().await;
                    judged
                })
                .map_err(told)?;
            if is_last {
                self.is_the_truth(day).map_err(told)?;
            }
        }
        oracle::rate(&self.arrivals.lock().expect("nobody panics"), day.requests_per_minute)?;
        self.tells_no_secret()
    }

    /// Lets time go by, changes the account, and makes ready what goes wrong in the life to come.
    fn before(&self, step: &Step, now: chrono::DateTime<chrono::Utc>) -> chrono::DateTime<chrono::Utc> {
        let mut chance = fastrand::Rng::with_seed(step.seed);
        for change in 0..step.changes {
            let at = now + step.wait * change as i32 / step.changes as i32;
            self.sim.clock().freeze_at(at);
            self.sim.change(|account| account.random_change(&mut chance));
        }
        let now = now + step.wait;
        self.sim.clock().freeze_at(now);
        for fault in &step.faults {
            self.sim.faults().add(fault.clone());
        }
        if let Some(every) = step.churn {
            self.sim.every_request("", every, move |account| drop(account.random_change(&mut chance)));
        }
        now
    }

    /// O1–O3.
    fn is_the_truth(&self, day: &Day) -> Result<(), String> {
        let judge =
            self.eyes.block_on(Judge::compare(&self.mirror, &self.sim, day.api, Strictness::Mirrored));
        match judge.differences() {
            [] => Ok(()),
            [first, rest @ ..] => Err(format!("O3: {first}, and {} more", rest.len())),
        }
    }

    /// O7.
    fn tells_no_secret(&self) -> Result<(), String> {
        let bytes = std::fs::read(self.mirror.file()).expect("the database can be read");
        let told = [V3_SECRET, V4_KEY]
            .into_iter()
            .find(|secret| bytes.windows(secret.len()).any(|window| window == secret.as_bytes()));
        told.map_or(Ok(()), |secret| Err(format!("O7: {secret} stands in the database")))
    }

    fn contents(&self) -> Vec<String> {
        // Within a life, whose runtime is not to be used for looking at it.
        std::thread::scope(|scope| {
            let looking = scope.spawn(|| {
                let eyes = tokio::runtime::Builder::new_current_thread().enable_all().build();
                eyes.expect("a runtime").block_on(self.mirror.contents())
            });
            looking.join().expect("it can be read")
        })
    }
}

fn settings(day: &Day, mirror: &Mirror) -> Settings {
    let (key, secret, version) = match day.api {
        Api::V3 => ("KITMIRROR_KIT_API_SECRET", V3_SECRET, "v3"),
        Api::V4 => ("KITMIRROR_KIT_API_KEY", V4_KEY, "v4"),
        Api::Token => ("KITMIRROR_KIT_ACCESS_TOKEN", ACCESS_TOKEN, "v4"),
    };
    // The shortest time for which what Kit's lists do not show may be there all the same.
    let lag = if day.modes.lag == Lag::Kit { "61m" } else { "10m" };
    let recheck = if day.skips_members { "24h" } else { "0s" };
    let environment: Environment = [
        (key, secret.to_owned()),
        ("KITMIRROR_KIT_API_URL", format!("http://127.0.0.1:1/{version}")),
        ("KITMIRROR_DATABASE_URL", mirror.url()),
        ("KITMIRROR_REQUESTS_PER_MINUTE", day.requests_per_minute.to_string()),
        ("KITMIRROR_VISIBILITY_LAG", lag.to_owned()),
        ("KITMIRROR_MEMBER_RECHECK", recheck.to_owned()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    config::load(Input::new(&environment, &objects::names()))
        .expect("the settings of a test are right")
        .settings
}
