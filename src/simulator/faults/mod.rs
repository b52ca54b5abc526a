//! Faults on demand: which requests they hit and what then goes wrong. Seeded, so that a run with faults
//! can be repeated. Applying them to a page and to a reply is in [`pages`] and [`replies`].

mod pages;
mod parse;
mod replies;
mod route;

use parking_lot::{Mutex, MutexGuard};
use std::ops::RangeInclusive;
use std::time::Duration;

pub(super) use pages::{BadDisguise, ListMember, mutate, turn_back, undisguise};
pub use pages::{Mutation, PageFault, Which};
pub use replies::Junk;
pub(super) use replies::blank_reply;
pub(super) use route::Route;

use super::modes::Blank;
use super::request::Version;

/// A fault: what goes wrong, and for which requests.
///
/// ```
/// use kitmirror::simulator::{Action, Fault, Mutation, Which};
///
/// let third_page_fails = Fault::status(503).on("/v4/subscribers").nth(3);
/// let two_cut_bodies = Fault::new(Action::CutBody { bytes: 100 }).on("/v4/tags/*/subscribers").times(2);
/// let poison = Fault::rows(Which::Nth(7), Mutation::Drop("id".into())).on("subscribers").every(5);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    action: Action,
    route: Route,
    query: Option<String>,
    version: Option<Version>,
    requests: Option<RangeInclusive<u64>>,
    every: Option<u64>,
    chance: Option<f64>,
    times: Option<u64>,
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// This status instead of an answer.
    Status(u16, Blank),
    /// 429 with this `Retry-After`, instead of an answer.
    TooMany(RetryHint, Blank),
    /// A redirect of that status to that URL; the query of the request goes along.
    Redirect(u16, String),
    /// Status 200 and this body instead of an answer.
    Junk(Junk),
    /// The right answer with another status.
    AnswerWith(u16),
    /// The right answer under another content type.
    ContentType(String),
    /// The right answer, later.
    Delay(Duration),
    /// No answer; the connection stays open.
    StallBeforeHeaders,
    /// So many bytes of the body, then nothing; the connection stays open.
    StallBody {
        /// Bytes sent before.
        after: usize,
    },
    /// The body in small pieces.
    Drip {
        /// Bytes at a time.
        bytes: usize,
        /// Pause between them.
        pause: Duration,
    },
    /// Reset before a byte is sent.
    ResetBeforeHeaders,
    /// Reset after the headers and so many bytes of the body.
    ResetInBody {
        /// Bytes of the body that are sent.
        bytes: u64,
    },
    /// Close in good order after so many bytes of the body, with the length of the whole promised.
    CutBody {
        /// Bytes of the body that are sent.
        bytes: usize,
    },
    /// The first bytes of the body as if they were all.
    TruncateBody {
        /// Bytes of the body that are sent.
        bytes: usize,
    },
    /// Answer, then reset the connection when it is used again.
    ResetNextRequest,
    /// The answer, then blanks without end.
    EndlessBody,
    /// A JSON body of so many bytes.
    HugeBody(u64),
    /// A gzip body of so many bytes once unpacked.
    GzipBomb(u64),
    /// So many extra headers.
    ManyHeaders(usize),
    /// One extra header of so many bytes.
    HugeHeader(usize),
    /// An extra header.
    Header(String, String),
    /// No `Date` header.
    NoDate,
    /// The paging goes wrong.
    Page(PageFault),
    /// Some rows go wrong.
    Rows(Which, Mutation),
}

/// What a 429 says about waiting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RetryHint {
    /// Nothing.
    Absent,
    /// So many seconds.
    Seconds(i64),
    /// An HTTP date that many seconds ahead, by the simulator's clock.
    DateIn(i64),
    /// Whatever this is: `0`, `-1`, `999999`, `soon`.
    Text(String),
}

impl Fault {
    /// This action for every request.
    pub fn new(action: Action) -> Self {
        Self {
            action,
            route: Route::any(),
            query: None,
            version: None,
            requests: None,
            every: None,
            chance: None,
            times: None,
        }
    }

    /// An error status in the version's own error format.
    pub fn status(status: u16) -> Self {
        Self::new(Action::Status(status, Blank::Json))
    }

    /// A 429 without `Retry-After` and without a body.
    pub fn too_many() -> Self {
        Self::new(Action::TooMany(RetryHint::Absent, Blank::Empty))
    }

    /// Paging gone wrong.
    pub fn page(fault: PageFault) -> Self {
        Self::new(Action::Page(fault))
    }

    /// Rows gone wrong.
    pub fn rows(which: Which, mutation: Mutation) -> Self {
        Self::new(Action::Rows(which, mutation))
    }

    /// Only for paths that match. `/v4/subscribers` is that path and no other, `/v4/tags/*/subscribers`
    /// has one segment for the star, anything else may stand anywhere in the path.
    pub fn on(mut self, route: &str) -> Self {
        self.route = Route::new(route);
        self
    }

    /// Only for requests in whose query this stands, as it is written there.
    pub fn asking(mut self, query: &str) -> Self {
        self.query = Some(query.to_owned());
        self
    }

    /// Only for one version.
    pub fn version(mut self, version: Version) -> Self {
        self.version = Some(version);
        self
    }

    /// Only for the n-th matching request, counted from 1.
    pub fn nth(self, n: u64) -> Self {
        self.requests(n..=n)
    }

    /// Only for these matching requests, counted from 1.
    pub fn requests(mut self, range: RangeInclusive<u64>) -> Self {
        self.requests = Some(range);
        self
    }

    /// From the n-th matching request on.
    pub fn from_nth(self, n: u64) -> Self {
        self.requests(n..=u64::MAX)
    }

    /// Only for every n-th matching request.
    pub fn every(mut self, n: u64) -> Self {
        self.every = Some(n.max(1));
        self
    }

    /// Only with that probability.
    pub fn chance(mut self, chance: f64) -> Self {
        self.chance = Some(chance);
        self
    }

    /// At most so many times.
    pub fn times(mut self, times: u64) -> Self {
        self.times = Some(times);
        self
    }

    /// Does it hit a request of that version, path and query, apart from counting?
    fn matches(&self, version: Version, path: &str, query: &str) -> bool {
        self.version.is_none_or(|wanted| wanted == version)
            && self.route.matches(path)
            && self.query.as_ref().is_none_or(|wanted| query.contains(wanted))
    }
}

/// Names a fault that was added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FaultId(u64);

/// The faults of a simulator.
#[derive(Debug)]
pub struct Faults(Mutex<Plan>);

#[derive(Debug)]
struct Plan {
    entries: Vec<Entry>,
    next: u64,
    chance: fastrand::Rng,
}

#[derive(Debug)]
struct Entry {
    id: FaultId,
    fault: Fault,
    seen: u64,
    fired: u64,
}

impl Faults {
    pub(super) fn seeded(seed: u64) -> Self {
        let chance = fastrand::Rng::with_seed(seed);
        Self(Mutex::new(Plan { entries: Vec::new(), next: 1, chance }))
    }

    /// Adds a fault. Those added earlier act first.
    pub fn add(&self, fault: Fault) -> FaultId {
        let mut plan = self.plan();
        let id = FaultId(plan.next);
        plan.next += 1;
        plan.entries.push(Entry { id, fault, seen: 0, fired: 0 });
        id
    }

    /// Takes a fault away.
    pub fn remove(&self, id: FaultId) {
        self.plan().entries.retain(|entry| entry.id != id);
    }

    /// Takes all faults away.
    pub fn clear(&self) {
        self.plan().entries.clear();
    }

    /// How often a fault has struck; nothing once it was taken away.
    pub fn fired(&self, id: FaultId) -> Option<u64> {
        self.plan().entries.iter().find(|entry| entry.id == id).map(|entry| entry.fired)
    }

    /// What strikes this request; counts it.
    pub(super) fn strike(&self, version: Version, path: &str, query: &str) -> Strike {
        let mut plan = self.plan();
        let Plan { entries, chance, .. } = &mut *plan;
        let mut strike = Strike { actions: Vec::new(), chance: fastrand::Rng::with_seed(0) };
        for entry in entries.iter_mut().filter(|entry| entry.fault.matches(version, path, query)) {
            entry.seen += 1;
            let fault = &entry.fault;
            let hit = fault.times.is_none_or(|times| entry.fired < times)
                && fault.requests.as_ref().is_none_or(|requests| requests.contains(&entry.seen))
                && fault.every.is_none_or(|every| entry.seen.is_multiple_of(every))
                && fault.chance.is_none_or(|share| chance.f64() < share);
            if hit {
                entry.fired += 1;
                strike.actions.push((fault.action.clone(), entry.fired));
            }
        }
        if !strike.actions.is_empty() {
            strike.chance = fastrand::Rng::with_seed(chance.u64(..));
        }
        strike
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.0.lock()
    }
}

/// The actions that hit one request, each with how often its fault has struck so far.
#[derive(Debug)]
pub(super) struct Strike {
    pub(super) actions: Vec<(Action, u64)>,
    pub(super) chance: fastrand::Rng,
}

impl Strike {
    /// For the request log.
    pub(super) fn names(&self) -> Vec<String> {
        let name = |action: &Action| {
            let mut name = format!("{action:?}");
            if let Some((end, _)) = name.char_indices().nth(80) {
                name.truncate(end);
            }
            name
        };
        self.actions.iter().map(|(action, _)| name(action)).collect()
    }
}
