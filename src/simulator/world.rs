//! The way of one request through the simulator, without any network: log, credentials, rate limit,
//! faults, the face, faults again, and the changes that happen in the meantime.

use parking_lot::{Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::{Duration, Instant, SystemTime};

use chrono::{DateTime, TimeDelta, Utc};

use super::account::Account;
use super::answer::{Answer, Envelope, Failure, Page, Rows};
use super::churn::Hooks;
use super::clock::SimClock;
use super::faults::{Action, BadDisguise, Faults, PageFault, blank_reply, mutate, turn_back, undisguise};
use super::limit::Limits;
use super::log::{Request, RequestLog};
use super::modes::{Modes, RetryAfter, StaleCursor};
use super::plan::{AccountPlan, Credentials};
use super::reply::Reply;
use super::request::{Asked, Credential, Version, authenticate};
use super::{v3, v4};

const JSON: &str = "application/json; charset=utf-8";

/// Everything one simulator holds.
#[derive(Debug)]
pub(super) struct World {
    pub(super) clock: SimClock,
    pub(super) faults: Faults,
    pub(super) hooks: Hooks,
    pub(super) limits: Limits,
    pub(super) log: RequestLog,
    account: RwLock<Account>,
    credentials: RwLock<Credentials>,
    /// When each cursor was last given out; only kept while cursors expire.
    issued: Mutex<HashMap<String, i64>>,
}

/// A request as it comes from the network.
#[derive(Debug, Clone, Copy)]
pub(super) struct Incoming<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    pub(super) headers: &'a [(String, String)],
}

impl<'a> Incoming<'a> {
    fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

impl World {
    pub(super) fn new(plan: &AccountPlan) -> Self {
        Self {
            clock: SimClock::starting_at(plan.starts_at),
            faults: Faults::seeded(plan.seed),
            hooks: Hooks::default(),
            limits: Limits::default(),
            log: RequestLog::default(),
            account: RwLock::new(Account::new(plan)),
            credentials: RwLock::new(plan.credentials.clone()),
            issued: Mutex::default(),
        }
    }

    pub(super) fn account(&self) -> RwLockReadGuard<'_, Account> {
        self.account.read()
    }

    /// The account for a change, which is stamped with the time of now.
    pub(super) fn account_mut(&self) -> RwLockWriteGuard<'_, Account> {
        let mut account = self.account.write();
        account.set_now(self.clock.now());
        account
    }

    pub(super) fn set_credentials(&self, credentials: Credentials) {
        *self.credentials.write() = credentials;
    }

    pub(super) fn credentials(&self) -> Credentials {
        self.credentials.read().clone()
    }

    /// Answers a request and returns its number in the log.
    pub(super) fn answer(&self, incoming: Incoming<'_>) -> (u64, Reply) {
        let now = self.clock.now();
        let asked = Asked::parse(incoming.path, incoming.query);
        let number = self.log.arrive(Request {
            number: 0,
            arrived: Instant::now(),
            at: now,
            method: incoming.method.into(),
            path: incoming.path.into(),
            query: incoming.query.into(),
            headers: incoming.headers.to_vec(),
            version: asked.as_ref().map(|asked| asked.version),
            credential: Credential::None,
            status: 0,
            rows: None,
            faults: Vec::new(),
        });
        let modes = self.account().modes.clone();
        let mut reply = match asked {
            Some(asked) if incoming.method == "GET" || incoming.method == "HEAD" => {
                self.reply(number, incoming, asked, &modes, now)
            }
            Some(asked) => finished(not_found(asked.version)),
            None => Reply::new(404, "text/plain", "There is only /v3 and /v4.\n"),
        };
        let request_id = format!("sim-{number:08}");
        reply = reply
            .with("x-request-id", request_id)
            .with("cache-control", "max-age=0, private, must-revalidate");
        let shown = self.clock.shown_to_clients() + TimeDelta::seconds(modes.date_skew_seconds);
        reply = reply.with("date", http_date(shown));
        reply.orders.without_date |= modes.date_missing;
        (number, reply)
    }

    fn reply(
        &self,
        number: u64,
        incoming: Incoming<'_>,
        mut asked: Asked,
        modes: &Modes,
        now: DateTime<Utc>,
    ) -> Reply {
        match authenticate(&asked, &self.credentials(), |name| incoming.header(name)) {
            Ok(credential) => asked.credential = credential,
            Err(refusal) => return finished(Answer::Failure(refusal)),
        }
        self.log.amend(number, |request| request.credential = asked.credential);
        if let Err(wait) = self.limits.admit(asked.credential, Instant::now()) {
            return limited(asked.version, modes, wait, now);
        }
        let mut strike = self.faults.strike(asked.version, incoming.path, incoming.query);
        if !strike.actions.is_empty() {
            let names = strike.names();
            self.log.amend(number, |request| request.faults = names);
        }
        let instead =
            strike.actions.iter().find_map(|(action, _)| action.instead(asked.version, incoming.query, now));
        let mut reply = match instead {
            Some(reply) => reply,
            None => {
                let mut answer = self.face(&mut asked, modes, now, &strike.actions);
                if let Answer::Page(page) = &mut answer {
                    for (action, serial) in &strike.actions {
                        match action {
                            Action::Page(fault) => fault.apply(page, &asked, *serial, &mut strike.chance),
                            Action::Rows(which, mutation) => {
                                mutate(&mut page.rows, which, mutation, &mut strike.chance);
                            }
                            _ => {}
                        }
                    }
                    let rows = page.rows.len();
                    self.log.amend(number, |request| request.rows = Some(rows));
                }
                finished(answer)
            }
        };
        let plain = strike.actions.iter().any(|(action, _)| action.counts_bytes());
        dress(&mut reply, incoming, modes, plain);
        for (action, _) in &strike.actions {
            action.spoil(&mut reply);
        }
        self.hooks.run(incoming.path, |change| change(&mut self.account_mut()));
        reply
    }

    /// What the face says, given that cursors may be made up by faults, or too old.
    fn face(
        &self,
        asked: &mut Asked,
        modes: &Modes,
        now: DateTime<Utc>,
        actions: &[(Action, u64)],
    ) -> Answer {
        if actions.iter().any(|(action, _)| *action == Action::Page(PageFault::RepeatPage)) {
            turn_back(asked);
        }
        let mut real = asked.clone();
        if asked.version == Version::V4 {
            for name in ["after", "before"] {
                let Some(cursor) = asked.query.get(name).filter(|cursor| !cursor.is_empty()) else {
                    continue;
                };
                if self.is_stale(cursor, modes, now) {
                    match modes.stale_cursor {
                        StaleCursor::BadRequest => return failed(400, "The cursor has expired"),
                        StaleCursor::NotFound => return failed(404, "Not Found"),
                        StaleCursor::Unprocessable => return failed(422, "The cursor is invalid"),
                        StaleCursor::FirstPage => real.query.set(name, None),
                        StaleCursor::Empty => return self.emptied(&real, now),
                    }
                    continue;
                }
                match undisguise(cursor) {
                    Ok(cursor) => real.query.set(name, cursor),
                    Err(BadDisguise) => return failed(422, "The cursor is invalid"),
                }
            }
        }
        let answer = self.ask_account(&real, now);
        if modes.cursor_ttl_seconds.is_some()
            && let Answer::Page(Page { envelope: Envelope::Cursors(cursors), .. }) = &answer
        {
            let mut issued = self.issued.lock();
            for cursor in [&cursors.start_cursor, &cursors.end_cursor].into_iter().flatten() {
                issued.insert(cursor.trim_matches('"').to_string(), now.timestamp());
            }
        }
        answer
    }

    fn ask_account(&self, asked: &Asked, now: DateTime<Utc>) -> Answer {
        // Lists depend on the time only while changes show late.
        if self.account().now != now.timestamp() {
            self.account.write().set_now(now);
        }
        let account = self.account();
        match asked.version {
            Version::V3 => v3::answer(&account, asked),
            Version::V4 => v4::answer(&account, asked),
        }
    }

    /// The last page of the list, if the list ended where the client stands.
    fn emptied(&self, asked: &Asked, now: DateTime<Utc>) -> Answer {
        let mut asked = asked.clone();
        asked.query.set("after", None);
        asked.query.set("before", None);
        let mut answer = self.ask_account(&asked, now);
        if let Answer::Page(page) = &mut answer {
            page.rows = Rows::default();
            if let Envelope::Cursors(cursors) = &mut page.envelope {
                cursors.has_next_page = Some("false".into());
                (cursors.start_cursor, cursors.end_cursor) = (Some("null".into()), Some("null".into()));
            }
        }
        answer
    }

    fn is_stale(&self, cursor: &str, modes: &Modes, now: DateTime<Utc>) -> bool {
        let Some(ttl) = modes.cursor_ttl_seconds else { return false };
        let issued = self.issued.lock();
        issued.get(cursor).is_some_and(|at| now.timestamp() - at > ttl)
    }
}

fn finished(answer: Answer) -> Reply {
    let (status, body) = answer.render();
    Reply::new(status, JSON, body)
}

fn failed(status: u16, text: &str) -> Answer {
    Answer::Failure(Failure::v4(status, text))
}

fn not_found(version: Version) -> Answer {
    Answer::Failure(match version {
        Version::V3 => Failure::v3(404, "Not Found", "The entity you were trying to find doesn't exist"),
        Version::V4 => Failure::v4(404, "Not Found"),
    })
}

/// The 429 of the rate limit.
fn limited(version: Version, modes: &Modes, wait: Duration, now: DateTime<Utc>) -> Reply {
    let reply = blank_reply(version, 429, modes.limit_body);
    let seconds = wait.as_secs() + 1;
    match modes.limit_retry_after {
        RetryAfter::Absent => reply,
        RetryAfter::Seconds => reply.with("retry-after", seconds.to_string()),
        RetryAfter::Date => {
            let date = now + TimeDelta::seconds(seconds as i64);
            reply.with("retry-after", http_date(date))
        }
    }
}

/// A time as headers write it; what they cannot write becomes the nearest that they can.
fn http_date(time: DateTime<Utc>) -> String {
    const YEAR_9999: i64 = 253_402_300_799;
    let seconds = time.timestamp().clamp(0, YEAR_9999) as u64;
    httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

/// ETag, 304 and compression.
fn dress(reply: &mut Reply, incoming: Incoming<'_>, modes: &Modes, plain: bool) {
    if reply.status == 200 {
        let mut hasher = DefaultHasher::new();
        reply.body.hash(&mut hasher);
        let etag = format!("W/\"{:016x}\"", hasher.finish());
        if modes.etags && incoming.header("if-none-match") == Some(etag.as_str()) {
            (reply.status, reply.body) = (304, Vec::new());
        }
        reply.headers.push(("etag".into(), etag));
    }
    let accepted = incoming.header("accept-encoding").is_some_and(|codings| codings.contains("gzip"));
    // A packet's worth is not worth the work.
    if modes.gzip && accepted && !plain && reply.body.len() > 1_400 {
        reply.compress();
    }
}
