//! A life of the program: from its start to its end, or to the place where it dies. On this thread, on a clock that
//! jumps from one thing to the next.

use super::day::{Reads, Step};
use chrono::{DateTime, TimeDelta, Utc};
use kitmirror::chaos::{self, Bug, Days, Failpoint, Order};
use kitmirror::config::Settings;
use kitmirror::error::Error;
use kitmirror::kit::{Carried, Carrier};
use kitmirror::model::objects;
use kitmirror::replication::{Report, Request, Silent, Stop, Whole};
use kitmirror::service::{Session, client};
use kitmirror::simulator::Simulator;
use std::cell::Cell;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Longer than that no life lasts: whatever waits for longer hangs.
const LONGEST: Duration = Duration::from_secs(12 * 3_600);

/// How a life ended.
pub enum Ended {
    /// By itself.
    Ran(Result<Report, Error>),
    /// Without warning.
    Died,
    /// It was paused; another one worked meanwhile; then it went on. What was there in between and afterwards.
    Overtaken(Vec<String>, Vec<String>),
    /// It did not end.
    Hung,
}

/// What lives know of the world.
pub struct World<'w> {
    pub sim: &'w Simulator,
    pub settings: &'w Settings,
    pub bug: Option<Bug>,
    /// When requests arrived, of all lives.
    pub arrivals: Arc<Mutex<Vec<DateTime<Utc>>>>,
    /// All that is stored but what every start writes.
    pub contents: &'w dyn Fn() -> Vec<String>,
}

/// Lives, and tells how that ended and what time it is then.
pub fn live(world: &World<'_>, step: &Step, now: DateTime<Utc>) -> (Ended, DateTime<Utc>) {
    fastrand::seed(step.seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime");
    let ended = runtime.block_on(async {
        let began = Instant::now();
        let days = Days { shown: now.into(), since: began };
        let kit = Arc::new(Kit {
            sim: world.sim.clone(),
            now,
            began,
            arrivals: Arc::clone(&world.arrivals),
            there_and_back: step.latency,
            chance: Mutex::new(fastrand::Rng::with_seed(step.seed)),
        });
        let reached = Rc::new(Cell::new(0_u64));
        let (commits, paused) = (Cell::new(0_u64), Cell::new(false));
        let (dies_at, breaks, overtaken) = (step.dies_at, step.breaks, step.is_overtaken);
        let commits_take = step.commits_take;
        let mut disk = fastrand::Rng::with_seed(!step.seed);
        let at_the_place = Arc::new(Notify::new());
        // Whoever has no lease yet is not overtaken, but waits for his turn.
        let has_lease = Rc::new(Cell::new(false));
        let took_it = Rc::clone(&has_lease);
        let there = Arc::clone(&at_the_place);
        let ask = move |place: Failpoint| {
            if place == Failpoint::BeginDue {
                return Order::Wait(commits_take.mul_f64(disk.f64()));
            }
            reached.set(reached.get() + 1);
            if Some(reached.get()) == dies_at {
                there.notify_one();
                paused.set(true);
                return if overtaken { Order::Go } else { Order::Die };
            }
            if place == Failpoint::LeaseTaken && !paused.get() {
                took_it.set(true);
            }
            commits.set(commits.get() + u64::from(place == Failpoint::CommitDue));
            let breaks_here = match (place, breaks) {
                (Failpoint::CommitDue, Some((nth, false))) | (Failpoint::CommitMade, Some((nth, true))) => {
                    commits.get() == nth
                }
                _ => false,
            };
            if breaks_here { Order::Break } else { Order::Go }
        };
        let ended = chaos::simulate(days, world.bug, ask, async {
            let mut life = Box::pin(life(world, step.whole, Arc::clone(&kit)));
            tokio::select! {
                biased;
                () = at_the_place.notified() => {}
                ran = &mut life => return Ended::Ran(ran),
                () = tokio::time::sleep(LONGEST) => return Ended::Hung,
            }
            if !step.is_overtaken {
                return Ended::Died;
            }
            if self::life(world, None, kit).await.is_err() {
                // It was not let in, so nobody was overtaken.
                return Ended::Died;
            }
            let before = (world.contents)();
            if !has_lease.get() {
                return tokio::time::timeout(LONGEST, life).await.map_or(Ended::Hung, Ended::Ran);
            }
            match tokio::time::timeout(LONGEST, life).await {
                Ok(_) => Ended::Overtaken(before, (world.contents)()),
                Err(_) => Ended::Hung,
            }
        })
        .await;
        (ended, now + TimeDelta::from_std(began.elapsed()).expect("a day"))
    });
    // With all that was under way.
    drop(runtime);
    ended
}

async fn life(world: &World<'_>, whole: Option<Reads>, kit: Arc<Kit>) -> Result<Report, Error> {
    let stop = Stop::default();
    let client = client(world.settings)?.carried_by(kit);
    let session = Session::open_with(client, world.settings, &stop).await?;
    let whole = whole.map(|reads| match reads {
        Reads::Everything => Whole::Load,
        Reads::Reconcile => Whole::Reconcile,
    });
    // Small accounts: a handful of people is a large share of them.
    let accept_deletions = whole == Some(Whole::Reconcile);
    let request = Request { objects: objects::needed_for(&all()), whole, accept_deletions };
    let report = session.replicate(&request, &Silent, &stop).await;
    session.close().await;
    Ok(report)
}

fn all() -> Vec<String> {
    objects::names().into_iter().map(str::to_owned).collect()
}

/// The simulated Kit, asked without a network.
struct Kit {
    sim: Simulator,
    now: DateTime<Utc>,
    began: Instant,
    arrivals: Arc<Mutex<Vec<DateTime<Utc>>>>,
    /// The time it takes to answer; none of them means any time up to 0.6 s.
    there_and_back: Option<Duration>,
    chance: Mutex<fastrand::Rng>,
}

impl Carrier for Kit {
    fn carry<'a>(
        &'a self,
        url: &'a str,
        header: Option<(&'static str, &'a str)>,
    ) -> Pin<Box<dyn Future<Output = io::Result<Carried>> + Send + 'a>> {
        Box::pin(async move {
            let (there, back) = match self.there_and_back {
                Some(time) => (time / 2, time / 2),
                None => {
                    let mut chance = self.chance.lock().expect("nobody panics");
                    (Duration::from_millis(chance.u64(1..200)), Duration::from_millis(chance.u64(1..400)))
                }
            };
            tokio::time::sleep(there).await;
            let at = self.now + TimeDelta::from_std(self.began.elapsed()).expect("a day");
            self.arrivals.lock().expect("nobody panics").push(at);
            self.sim.clock().freeze_at(at);
            let path = url.strip_prefix("http://127.0.0.1:1").expect("the address in the settings");
            let (path, query) = path.split_once('?').unwrap_or((path, ""));
            let headers: Vec<(&str, &str)> = header.into_iter().collect();
            let told = self.sim.tell(path, query, &headers);
            tokio::time::sleep(back).await;
            if told.is_broken {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            Ok(Carried { status: told.status, headers: told.headers, body: told.body })
        })
    }
}
