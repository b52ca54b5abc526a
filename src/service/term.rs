//! A term: from taking the lease to giving it up. One session is open all the while; runs begin when the roster says
//! so, and when the term ends, for whatever reason, each of them finishes the page in hand first.

use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use super::pulse::{Phase, Pulse};
use super::remedy::Remedy;
use super::results::{Next, Results};
use super::roster::{Due, Errand, Past, Roster};
use super::session::Session;
use super::ticks::Ticks;
use crate::config::Settings;
use crate::error::{Error, Kind, Result};
use crate::kit::{Heartbeat, Meter};
use crate::model::time::now;
use crate::model::{Object, objects};
use crate::replication::{ObjectReport, Observer, PageWritten, Report, Request, Stop, Whole};
use crate::store::{Outcome, Store};

/// A start that only has to catch up begins somewhere within this: twenty services of one machine do not begin as one.
const SPREAD: Duration = Duration::from_secs(5);
/// How often Kit is asked whose account it is.
const ACCOUNT_CHECKED_EVERY: Duration = Duration::from_secs(60 * 60);

/// The moment within [`SPREAD`] that this start has drawn.
fn spread() -> Duration {
    SPREAD.mul_f64(fastrand::f64())
}

/// Why a term ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// Somebody asked for it.
    Stopped,
    /// The settings are to be read again.
    Reload,
    /// This has to be made good first.
    Because(Error),
}

/// What a term works with.
pub(super) struct Term<'t> {
    pub settings: &'t Settings,
    pub pulse: &'t Pulse,
    pub observer: &'t Arc<dyn Observer>,
    pub reload: &'t Notify,
    /// The whole service is to stop.
    pub stop: &'t Stop,
    /// This term is to end; the session was opened with it.
    pub over: Stop,
}

/// A task of a term that is over.
enum Done {
    Run(Errand, Report),
    Account(Result<()>),
}

/// What changes during a term.
struct Course {
    session: Arc<Session>,
    roster: Arc<Mutex<Roster>>,
    listener: Arc<Listener>,
    heartbeat: Option<Heartbeat>,
    tasks: JoinSet<Done>,
    /// Calls of the heartbeat under way; nobody waits for them.
    calls: JoinSet<()>,
    /// No run begins before.
    hold: Instant,
    results: Results,
}

impl Term<'_> {
    /// Keeps the schedules until the service is stopped or something has to be made good.
    pub async fn serve(self, session: Session, ticks: &Ticks) -> Ended {
        let mut course = match self.course(session).await {
            Ok(course) => course,
            Err((session, error)) => {
                session.close().await;
                return Ended::Because(error);
            }
        };
        self.pulse.enter(Phase::Working);
        let ended = self.follow(&mut course, ticks).await;
        self.over.request();
        // A database that does not answer is not waited for once more by each run, and for the farewell.
        let away = match &ended {
            Ended::Because(error) => matches!(Remedy::of(error.kind(), true), Remedy::AskDatabase(_)),
            Ended::Stopped | Ended::Reload => false,
        };
        if matches!(ended, Ended::Stopped) {
            self.pulse.enter(Phase::Stopping);
        }
        if away {
            course.tasks.abort_all();
        }
        while course.tasks.join_next().await.is_some() {}
        // Nobody else holds it once the tasks are over.
        match Arc::into_inner(course.session) {
            Some(session) if away => session.abandon(),
            Some(session) => session.close().await,
            None => {}
        }
        for name in &self.settings.objects {
            if let Some(object) = objects::named(name) {
                self.pulse
                    .schedule(object.name, |schedule| (schedule.running, schedule.next) = (false, None));
            }
        }
        ended
    }

    async fn course(&self, session: Session) -> Result<Course, (Session, Error)> {
        let heartbeat = self.settings.heartbeat_url.clone().map(Heartbeat::new).transpose();
        let known = async {
            let past = past(&session.store).await?;
            Ok::<_, Error>((past, unfinished(&session.store, self.settings).await?, heartbeat?))
        };
        let (past, unfinished, heartbeat) = match known.await {
            Ok(known) => known,
            Err(error) => return Err((session, error)),
        };
        let roster = Roster::new(self.settings, &past, now());
        // Where something was never complete, somebody is waiting for it.
        let spread = if roster.owes() { Duration::ZERO } else { spread() };
        let roster = Arc::new(Mutex::new(roster));
        let listener = Listener {
            roster: Arc::clone(&roster),
            pulse: self.pulse.clone(),
            observer: Arc::clone(self.observer),
        };
        Ok(Course {
            session: Arc::new(session),
            roster,
            listener: Arc::new(listener),
            heartbeat,
            tasks: JoinSet::new(),
            calls: JoinSet::new(),
            hold: Instant::now() + spread,
            results: Results::with(unfinished),
        })
    }

    async fn follow(&self, course: &mut Course, ticks: &Ticks) -> Ended {
        let session = Arc::clone(&course.session);
        let mut checked =
            tokio::time::interval_at(Instant::now() + ACCOUNT_CHECKED_EVERY, ACCOUNT_CHECKED_EVERY);
        checked.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            self.begin(course);
            let ended = tokio::select! {
                biased;
                () = self.stop.requested() => Some(Ended::Stopped),
                () = session.overtaken() => Some(Ended::Because(overtaken())),
                () = self.reload.notified() => Some(Ended::Reload),
                Some(done) = course.tasks.join_next() => self.finished(course, done).map(Ended::Because),
                _ = checked.tick() => {
                    let (session, over) = (Arc::clone(&session), self.over.clone());
                    course.tasks.spawn(async move {
                        tokio::select! {
                            biased;
                            () = over.requested() => Done::Account(Ok(())),
                            checked = session.check_account() => Done::Account(checked),
                        }
                    });
                    None
                }
                () = ticks.next() => None,
            };
            if let Some(ended) = ended {
                return ended;
            }
        }
    }

    /// Begins whatever is due and free.
    fn begin(&self, course: &mut Course) {
        while course.calls.try_join_next().is_some() {}
        let mut roster = course.roster.lock();
        roster.look(now());
        while Instant::now() >= course.hold
            && let Some(errand) = roster.take()
        {
            self.pulse.enter(Phase::Working);
            let request = request(&errand);
            let (session, listener) = (Arc::clone(&course.session), Arc::clone(&course.listener));
            let over = self.over.clone();
            course.tasks.spawn(async move {
                let report = session.replicate(&request, &*listener, &over).await;
                Done::Run(errand, report)
            });
        }
        roster.tell(self.pulse);
    }

    /// Takes note of a task that is over; gives the error that ends the term, if it is one.
    fn finished(&self, course: &mut Course, done: Result<Done, JoinError>) -> Option<Error> {
        match done {
            Ok(Done::Run(errand, report)) => self.ran(course, &errand, report),
            Ok(Done::Account(Ok(()))) => None,
            Ok(Done::Account(Err(error))) => match Remedy::of(error.kind(), true) {
                Remedy::AskKit => {
                    tracing::debug!("Could not check the account: {}", error.one_line());
                    None
                }
                Remedy::AskDatabase(_) | Remedy::StandBy | Remedy::Pause | Remedy::End => Some(error),
            },
            Err(_) => Some(Error::new(Kind::Internal, "a run ended in a panic")),
        }
    }

    fn ran(&self, course: &mut Course, errand: &Errand, report: Report) -> Option<Error> {
        {
            // What has a report was freed with it, and may be another run's by now.
            let mut roster = course.roster.lock();
            let unreported = |name: &str| !report.objects.iter().any(|one| one.object == name);
            let left = errand.objects.iter().filter(|object| unreported(object.name));
            left.for_each(|object| roster.done(object.name));
        }
        match course.results.take(errand, report) {
            Next::Schedules { all_complete: true } => beat(course),
            Next::Schedules { all_complete: false } => {}
            Next::Again { unread, after, error } => {
                course.roster.lock().owe(&unread, errand.due);
                course.hold = Instant::now() + after;
                self.pulse.enter(Phase::WaitingForKit { error: error.one_line() });
                tracing::warn!("{}; asking again in {:.0} s", error.one_line(), after.as_secs_f64());
            }
            Next::Over(error) => return Some(error),
        }
        None
    }
}

/// What a run is asked to do.
fn request(errand: &Errand) -> Request {
    let whole = (errand.due == Due::Reconcile).then_some(Whole::Reconcile);
    Request { whole, ..Request::of(errand.objects.clone()) }
}

/// Tells the monitor, if there is one, that all is well. Whether it hears is its own affair.
fn beat(course: &mut Course) {
    let Some(heartbeat) = course.heartbeat.clone() else { return };
    course.calls.spawn(async move {
        if let Err(why) = heartbeat.beat().await {
            tracing::warn!("The heartbeat was not heard: {why}. The mirror is not affected.");
        }
    });
}

/// When each object was read to its end.
async fn past(store: &Store) -> Result<BTreeMap<&'static str, Past>> {
    let mut past = BTreeMap::new();
    for object in objects::ALL.iter().filter(|object| object.filled_by().name == object.name) {
        let states = store.states(object).await?;
        let whole = states.iter().find(|state| state.partition.is_empty());
        let completed_at = whole.and_then(|state| state.completed_at);
        let reconciled_at = whole.and_then(|state| state.reconciled_at);
        past.insert(object.name, Past { completed_at, reconciled_at });
    }
    Ok(past)
}

/// The objects in the settings whose last run was not complete, or that have none.
async fn unfinished(store: &Store, settings: &Settings) -> Result<BTreeSet<&'static str>> {
    let runs = store.last_runs(1).await?;
    let was_complete = |object: &Object| {
        runs.iter().any(|run| run.object == object.name && run.outcome == Outcome::Complete.name())
    };
    let read = objects::needed_for(&settings.objects).into_iter().map(Object::filled_by);
    Ok(read.filter(|object| !was_complete(object)).map(|object| object.name).collect())
}

fn overtaken() -> Error {
    Error::new(Kind::LeaseLost, "another kitmirror has taken over this mirror")
}

/// Frees each object when its part of a run is over, and passes on what it hears.
struct Listener {
    roster: Arc<Mutex<Roster>>,
    pulse: Pulse,
    observer: Arc<dyn Observer>,
}

impl Listener {
    fn note(&self, change: impl FnOnce(&mut Roster)) {
        let mut roster = self.roster.lock();
        change(&mut roster);
        roster.tell(&self.pulse);
    }
}

impl Observer for Listener {
    fn object_started(&self, object: &'static str, partitions: usize, meter: &Arc<Meter>) {
        self.note(|roster| roster.begun(object));
        self.observer.object_started(object, partitions, meter);
    }

    fn page_written(&self, page: &PageWritten<'_>) {
        self.observer.page_written(page);
    }

    fn partition_done(&self, object: &'static str, partition: &str) {
        self.observer.partition_done(object, partition);
    }

    fn object_done(&self, report: &ObjectReport) {
        self.note(|roster| roster.done(report.object));
        self.observer.object_done(report);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    ///
    #[test]
    fn twenty_services_that_start_together_do_not_begin_together() {
        let begins = |seed| {
            fastrand::seed(seed);
            spread()
        };
        let mut begins: Vec<Duration> = (0..20).map(begins).collect();
        begins.sort();
        assert!(begins[19] <= SPREAD && begins[19] - begins[0] >= SPREAD / 2, "{begins:?}");
        let most = begins
            .iter()
            .map(|from| begins.iter().filter(|at| *at >= from && **at - *from < SPREAD / 10).count());
        assert!(most.max() <= Some(6), "{begins:?}");
    }
}
