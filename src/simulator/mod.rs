//! A local Kit API: v3 and v4 on one port, an account made of rules, faults on demand, a journal of truth.
//!
//! Kit has no sandbox, so this is a feature of its own: `kitmirror simulate` and `kitmirror demo` use it,
//! and so does every test. It is written from the API reference and imports nothing from the rest of the
//! crate: a wrong belief there must not meet the same wrong belief here.
//!
//! A base account of ten or ten million subscribers is a pure function of seed and index and is never held
//! in memory ([`base`], [`members`]); whatever happens later is kept as versions over it ([`account`],
//! [`changes`]). A list is a merge of both ([`lists`]), served by two faces ([`v3`], [`v4`]). Open questions
//! about the real API are [`Modes`], everything that can go wrong is a [`Fault`].

mod account;
mod answer;
mod base;
mod catalogue;
mod changes;
mod churn;
mod clock;
mod cursor;
mod faults;
mod history;
mod json;
mod limit;
mod listing;
mod lists;
mod log;
mod members;
mod modes;
mod people;
mod plan;
mod quirks;
mod random;
mod reply;
mod request;
mod rows;
mod run;
mod server;
mod slots;
mod state;
#[cfg(test)]
mod tests;
mod truth;
mod v3;
mod v4;
mod wire;
mod words;
mod world;

use std::net::SocketAddr;
use std::sync::Arc;

pub use account::Account;
pub use catalogue::{Broadcast, CustomField, Form, LegacyForm, Sequence, Tag};
pub use changes::NewSubscriber;
pub use churn::Churn;
pub use clock::SimClock;
pub use faults::{Action, Fault, FaultId, Faults, Junk, Mutation, PageFault, RetryHint, Which};
pub use log::Request;
pub use members::{Parent, ParentKind};
pub use modes::{
    BeyondEnd, Blank, Bumps, Direction, Edge, Granularity, Lag, Modes, RetryAfter, Scope, SequenceRows,
    StaleCursor, TagCursor, TimeCursor, TooManyRows, V3TagTime,
};
pub use plan::{ACCESS_TOKEN, AccountPlan, Credentials, V3_KEY, V3_SECRET, V4_KEY};
pub use random::{Change, ChangeKind};
pub use request::{Credential, Version};
pub use server::Serving;
pub use state::State;
pub use truth::{JournalEntry, Record, Subject, Truth, TruthMember, TruthSubscriber};

/// An answer, for callers without a network.
#[derive(Debug, Clone)]
pub struct Told {
    /// HTTP status.
    pub status: u16,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// The body, as it would be unpacked.
    pub body: String,
    /// Whether a fault breaks the connection, so that no caller would have heard all of this.
    pub is_broken: bool,
}

use limit::Allowance;
use world::{Incoming, World};

/// A simulated Kit. Cloning gives another handle to the same one.
#[derive(Debug, Clone)]
pub struct Simulator {
    world: Arc<World>,
}

impl Simulator {
    /// A simulator with an account as planned.
    pub fn new(plan: AccountPlan) -> Self {
        Self { world: Arc::new(World::new(&plan)) }
    }

    /// Listens on `addr`; port 0 takes any free one.
    pub async fn serve(&self, addr: SocketAddr) -> std::io::Result<Serving> {
        server::serve(self.world.clone(), addr).await
    }

    /// Listens on a free port of 127.0.0.1.
    pub async fn serve_locally(&self) -> std::io::Result<Serving> {
        self.serve(([127, 0, 0, 1], 0).into()).await
    }

    /// The clock of the simulated world.
    pub fn clock(&self) -> &SimClock {
        &self.world.clock
    }

    /// Changes the account; what is changed is stamped with the clock's time. Do not ask the simulator
    /// anything from within.
    pub fn change<R>(&self, change: impl FnOnce(&mut Account) -> R) -> R {
        change(&mut self.world.account_mut())
    }

    /// Reads the truth about the account. Do not ask the simulator anything from within.
    pub fn read<R>(&self, read: impl FnOnce(&Account) -> R) -> R {
        read(&self.world.account())
    }

    /// The faults.
    pub fn faults(&self) -> &Faults {
        &self.world.faults
    }

    /// Changes how the API behaves where the documents are silent.
    pub fn set_modes(&self, set: impl FnOnce(&mut Modes)) {
        set(&mut self.world.account_mut().modes);
    }

    /// How the API behaves where the documents are silent.
    pub fn modes(&self) -> Modes {
        self.world.account().modes.clone()
    }

    /// Allows so many requests in any rolling minute, or any number.
    pub fn set_limit(&self, per_minute: Option<u32>) {
        self.world.limits.allow(per_minute.map_or(Allowance::Unlimited, Allowance::PerMinute));
    }

    /// Allows what Kit allows: 120 a minute, 600 with a token. So it is from the start.
    pub fn set_usual_limit(&self) {
        self.world.limits.allow(Allowance::Usual);
    }

    /// Accepts these credentials from now on, and no others.
    pub fn set_credentials(&self, credentials: Credentials) {
        self.world.set_credentials(credentials);
    }

    /// Makes random changes while somebody reads.
    pub fn churn(&self, churn: Churn) {
        self.world.hooks.churn(churn);
    }

    /// Makes a change right after the n-th request of that route, counted from now and from 1.
    pub fn after_request(&self, route: &str, nth: u64, change: impl FnOnce(&mut Account) + Send + 'static) {
        self.world.hooks.after_nth(route, nth, change);
    }

    /// Makes a change after every so many requests of that route.
    pub fn every_request(&self, route: &str, every: u64, change: impl FnMut(&mut Account) + Send + 'static) {
        self.world.hooks.every(route, every, change);
    }

    /// Ends all changes that were planned between requests.
    pub fn clear_churn(&self) {
        self.world.hooks.clear();
    }

    /// The requests so far, refused ones included; the oldest are forgotten after 50,000.
    pub fn requests(&self) -> Vec<Request> {
        self.world.log.all()
    }

    /// How many requests there were since the start, forgotten ones included.
    pub fn request_count(&self) -> u64 {
        self.world.log.total()
    }

    /// Forgets the requests so far.
    pub fn clear_requests(&self) {
        self.world.log.clear();
    }

    /// Asks without any network: status and body for a path with its query, under the right credentials
    /// of the version. Faults of the connection have no effect here; the rest is as on the wire.
    pub fn ask(&self, path_and_query: &str) -> (u16, String) {
        let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
        let credentials = self.world.credentials();
        if !path.starts_with("/v3") {
            return self.ask_as(path, query, &[("x-kit-api-key", credentials.v4_key.as_str())]);
        }
        let joint = if query.is_empty() { "" } else { "&" };
        self.ask_as(path, &format!("{query}{joint}api_secret={}", credentials.v3_secret), &[])
    }

    /// As [`Simulator::ask`], with nothing but these headers.
    pub fn ask_as(&self, path: &str, query: &str, headers: &[(&str, &str)]) -> (u16, String) {
        let told = self.tell(path, query, headers);
        (told.status, told.body)
    }

    /// As [`Simulator::ask_as`], with the headers of the answer and whether its connection breaks.
    pub fn tell(&self, path: &str, query: &str, headers: &[(&str, &str)]) -> Told {
        let headers: Vec<_> =
            headers.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let (number, reply) = self.world.answer(Incoming { method: "GET", path, query, headers: &headers });
        self.world.log.amend(number, |request| request.status = reply.status);
        Told {
            status: reply.status,
            is_broken: reply.breaks(),
            headers: reply.headers,
            body: String::from_utf8_lossy(&reply.body).into_owned(),
        }
    }
}
