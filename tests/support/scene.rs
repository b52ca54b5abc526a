//! A simulated account and the mirror of it, with the steps that tests of passes are made of: load, let
//! time go by, run again, hold the tables against the truth.

use super::judge::{Judge, Strictness};
use super::kit;
use super::mirror::{Api, Mirror, complete};
use chrono::{DateTime, TimeDelta, Utc};
use kitmirror::model::objects;
use kitmirror::replication::{ObjectReport, Report, Stop, Whole};
use kitmirror::simulator::{Account, AccountPlan, Modes, Serving, Simulator};
use kitmirror::store::Outcome;
use std::collections::BTreeSet;

/// One account, one mirror, one API.
pub struct Scene {
    pub kit: Simulator,
    pub serving: Serving,
    pub mirror: Mirror,
    pub api: Api,
}

impl Scene {
    /// An account as planned, whose clock stands still, and an empty mirror.
    pub async fn new(plan: AccountPlan, api: Api) -> Self {
        let (kit, serving) = kit(plan).await;
        kit.clock().freeze();
        Scene { kit, serving, mirror: Mirror::furnished().await, api }
    }

    /// The same after a first full load, an hour later.
    pub async fn loaded(plan: AccountPlan, api: Api) -> Self {
        let scene = Self::new(plan, api).await;
        scene.sync().await;
        scene.later(TimeDelta::hours(1));
        scene
    }

    /// The same with answers to open questions about the API.
    pub async fn loaded_with(plan: AccountPlan, api: Api, set: impl FnOnce(&mut Modes)) -> Self {
        let scene = Self::new(plan, api).await;
        scene.kit.set_modes(set);
        scene.sync().await;
        scene.later(TimeDelta::hours(1));
        scene
    }

    /// Time goes by.
    pub fn later(&self, step: TimeDelta) {
        self.kit.clock().advance(step);
    }

    /// The simulated time.
    pub fn now(&self) -> DateTime<Utc> {
        self.kit.clock().now()
    }

    /// Something happens to the account.
    pub fn change<R>(&self, change: impl FnOnce(&mut Account) -> R) -> R {
        self.kit.change(change)
    }

    /// Somebody who signed up when the account was young and is in that state.
    pub fn old_subscriber(&self, state: &str) -> i64 {
        let found = self.kit.read(|account| {
            account.subscribers().find(|person| person.state == state).map(|person| person.id)
        });
        found.expect("somebody in every state")
    }

    /// The first of its tags.
    pub fn first_tag(&self) -> i64 {
        self.kit.read(|account| account.tags()[0].id)
    }

    /// The first of its forms.
    pub fn first_form(&self) -> i64 {
        self.kit.read(|account| account.forms()[0].id)
    }

    /// The first of its sequences.
    pub fn first_sequence(&self) -> i64 {
        self.kit.read(|account| account.sequences()[0].id)
    }

    /// A run over all objects that must be complete.
    pub async fn sync(&self) -> Report {
        self.mirror.sync(&self.serving, self.api).await
    }

    /// A full load of all objects that must be complete.
    pub async fn sync_full(&self) -> Report {
        self.mirror.sync_full(&self.serving, self.api).await
    }

    /// A reconcile of all objects that must be complete.
    pub async fn reconcile(&self) -> Report {
        complete(self.try_reconcile().await)
    }

    /// A reconcile of all objects, whatever becomes of it.
    pub async fn try_reconcile(&self) -> Report {
        self.try_reconcile_of(&objects::names()).await
    }

    /// A reconcile of some objects, whatever becomes of it.
    pub async fn try_reconcile_of(&self, wanted: &[&str]) -> Report {
        let whole = Some(Whole::Reconcile);
        self.mirror.run(&self.serving, self.api, whole, wanted).await.expect("the session opens")
    }

    /// A run over all objects, whatever becomes of it.
    pub async fn try_sync(&self) -> Report {
        self.mirror.run(&self.serving, self.api, None, &objects::names()).await.expect("the session opens")
    }

    /// A run over some objects, whatever becomes of it.
    pub async fn try_objects(&self, wanted: &[&str]) -> Report {
        self.mirror.run(&self.serving, self.api, None, wanted).await.expect("the session opens")
    }

    /// A reconcile of all objects that stops right after the n-th request of a route, if there are so many.
    pub async fn reconcile_stopping_at(&self, route: &str, nth: u64) -> Report {
        let stop = Stop::default();
        let wish = stop.clone();
        self.kit.after_request(route, nth, move |_| wish.request());
        let whole = Some(Whole::Reconcile);
        let report = self.mirror.run_until(&self.serving, self.api, whole, &objects::names(), &stop).await;
        self.kit.clear_churn();
        report.expect("the session opens")
    }

    /// A run over some objects, full or not, that stops right after the n-th request of a route.
    pub async fn sync_stopping_at(
        &self,
        wanted: &[&str],
        whole: Option<Whole>,
        route: &str,
        nth: u64,
    ) -> Report {
        let stop = Stop::default();
        let wish = stop.clone();
        self.kit.after_request(route, nth, move |_| wish.request());
        let report = self.mirror.run_until(&self.serving, self.api, whole, wanted, &stop).await;
        self.kit.clear_churn();
        let report = report.expect("the session opens");
        assert!(report.stopped, "nobody was stopped: {report:#?}");
        report
    }

    /// Everything the lists show is there, each row as it is or was; nothing that never was.
    pub async fn holds_everything(&self) {
        self.judge(Strictness::Inserts).await.agrees();
    }

    /// The mirror is what is at Kit, and what is gone there is marked here.
    pub async fn mirrors_kit(&self) {
        self.judge(Strictness::Mirrored).await.agrees();
        self.counts_its_rows().await;
    }

    /// What `sync_status` says about numbers of rows is what the tables hold.
    pub async fn counts_its_rows(&self) {
        for object in objects::tables() {
            let table = object.table;
            let told = self
                .mirror
                .number(&format!("select \"rows\" from sync_status where object = '{table}'"))
                .await;
            let held =
                self.mirror.number(&format!("select count(*) from {table} where _deleted_at is null")).await;
            assert_eq!(told, held, "{table}");
        }
    }

    /// The mirror is what the lists show, no more and no less.
    pub async fn equals_kit(&self) {
        self.judge(Strictness::Equal).await.agrees();
    }

    pub async fn judge(&self, strictness: Strictness) -> Judge {
        Judge::compare(&self.mirror, &self.kit, self.api, strictness).await
    }

    /// The watermark of a partition, or nothing.
    pub async fn watermark(&self, object: &str, partition: &str) -> String {
        let sql = format!(
            "select watermark from sync_state where object = '{object}' and \"partition\" = '{partition}'"
        );
        self.mirror.texts(&sql).await.pop().unwrap_or_default()
    }

    /// The watermarks of all partitions of an object, with their partitions.
    pub async fn watermarks(&self, object: &str) -> Vec<String> {
        let sql = format!(
            "select \"partition\", watermark from sync_state where object = '{object}' order by \"partition\""
        );
        self.mirror.lines(&sql).await
    }

    /// The ids in a column of a table.
    pub async fn ids(&self, table: &str, column: &str) -> BTreeSet<i64> {
        let texts = self.mirror.texts(&format!("select {column} from {table}")).await;
        texts.iter().map(|text| text.parse().expect("an id")).collect()
    }

    /// Panics naming the ids of `wanted` that a table lacks.
    pub async fn holds_ids(&self, table: &str, column: &str, wanted: impl IntoIterator<Item = i64>) {
        let stored = self.ids(table, column).await;
        let missing: Vec<i64> = wanted.into_iter().filter(|id| !stored.contains(id)).collect();
        assert!(
            missing.is_empty(),
            "{} of {table} are missing, among them {:?}",
            missing.len(),
            missing.first()
        );
    }
}

/// An account with few parents, where it is the people that matter.
pub fn narrow(subscribers: u64) -> AccountPlan {
    AccountPlan::new(subscribers).tags(1).forms(1).sequences(1).broadcasts(2)
}

/// A few pages of people in both versions, two parents of each kind, quick to compare.
pub fn few() -> AccountPlan {
    AccountPlan::new(120).tags(2).forms(2).sequences(2).broadcasts(3)
}

/// Where the people are.
pub fn people(api: Api) -> &'static str {
    if api == Api::V3 { "/v3/subscribers" } else { "/v4/subscribers" }
}

/// What a report says of one object.
pub fn of<'r>(report: &'r Report, object: &str) -> &'r ObjectReport {
    report
        .objects
        .iter()
        .find(|one| one.object == object)
        .unwrap_or_else(|| panic!("no {object} in {report:#?}"))
}

/// The outcome of one object.
pub fn outcome(report: &Report, object: &str) -> Outcome {
    of(report, object).outcome
}
