//! A small model of a source and of crashes, over which the pass is run: random histories of rows that
//! arrive during passes, become visible late and share instants, and of processes that die between pages and
//! come back much later. No history may lose a row. Rows that leave while a list is read are the business of
//! the end-to-end tests.

use chrono::TimeDelta;
use fastrand::Rng;
use std::collections::BTreeSet;

use super::pass::{End, Pass, Seen, Terms, Turn};
use crate::kit::{Following, PageRequest, Position};
use crate::model::{ApiVersion, Mapping, Object, Time, objects, time};
use crate::store::{Progress, State};

/// A page that was asked for: from which end, when, and what it says.
type Asked = (End, Time, (Following, u64, Vec<Row>));

/// One row at the source.
#[derive(Debug, Clone, Copy)]
struct Row {
    id: i64,
    created: Time,
    visible: Time,
}

/// A list at the source, and what the database would hold.
struct World {
    rng: Rng,
    now: Time,
    rows: Vec<Row>,
    per_page: usize,
    /// How the date filter reads its day.
    exclusive: bool,
    zone: TimeDelta,
    stored: BTreeSet<i64>,
    state: Option<State>,
    /// Pages that were read from the far end.
    from_afar: usize,
}

/// How late a row may become visible. Well under the overlap.
const LATEST: TimeDelta = TimeDelta::hours(6);
const OVERLAP: TimeDelta = TimeDelta::hours(24);

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let per_page = rng.usize(2..7);
        let (exclusive, zone) = (rng.bool(), TimeDelta::hours(rng.i64(-12..=14)));
        let now = time::parse("2024-05-03T09:00:00Z").expect("a time");
        let mut world = World {
            rng,
            now,
            rows: Vec::new(),
            per_page,
            exclusive,
            zone,
            stored: BTreeSet::new(),
            state: None,
            from_afar: 0,
        };
        for _ in 0..world.rng.usize(0..40) {
            world.arrive(TimeDelta::days(-40));
        }
        world.rows.sort_by_key(|row| row.created);
        for (at, row) in world.rows.iter_mut().enumerate() {
            row.id = at as i64 + 1;
            row.visible = row.created;
        }
        world
    }

    fn arrive(&mut self, back: TimeDelta) {
        let created = self.now + back * self.rng.i32(0..1000) / 1000;
        let created = time::parse(&created.format("%Y-%m-%dT%H:%M:%SZ").to_string()).expect("whole seconds");
        let late =
            if self.rng.u8(0..4) == 0 { LATEST * self.rng.i32(0..1000) / 1000 } else { TimeDelta::zero() };
        let burst = if self.rng.u8(0..8) == 0 { self.rng.usize(2..12) } else { 1 };
        for _ in 0..burst {
            self.rows.push(Row { id: self.rows.len() as i64 + 1, created, visible: created + late });
        }
    }

    /// Time goes on; rows arrive.
    fn pass_time(&mut self, at_most: TimeDelta) {
        self.now += at_most * self.rng.i32(1..1000) / 1000;
        if self.rng.bool() {
            self.arrive(TimeDelta::zero());
        }
    }

    /// What the source answers.
    fn serve(&self, request: &PageRequest, version: ApiVersion) -> (Following, u64, Vec<Row>) {
        let param = |name: &str| {
            request.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
        };
        let since =
            ["created_after", "updated_after", "from", "updated_from"].iter().find_map(|name| param(name));
        let since = since.map(|day| {
            let midnight = time::start_of(day.parse().expect("a day")) - self.zone;
            if self.exclusive { midnight + TimeDelta::days(1) } else { midnight }
        });
        let mut rows: Vec<Row> = self
            .rows
            .iter()
            .filter(|row| row.visible <= self.now && since.is_none_or(|since| row.created >= since))
            .copied()
            .collect();
        rows.sort_by_key(|row| (row.created, row.id));
        if param("sort_field") == Some("id") {
            rows.sort_by_key(|row| row.id);
        }
        if param("sort_order") == Some("desc") {
            rows.reverse();
        }
        let total = rows.len() as u64;
        match version {
            ApiVersion::V4 => {
                let is_left = |id: i64| match (&request.position, param("sort_order")) {
                    (Position::After(cursor), Some("desc")) => id < cursor.parse().expect("our cursor"),
                    (Position::After(cursor), _) => id > cursor.parse().expect("our cursor"),
                    _ => true,
                };
                let rest: Vec<Row> = rows.into_iter().filter(|row| is_left(row.id)).collect();
                let page: Vec<Row> = rest.iter().take(self.per_page).copied().collect();
                let next =
                    (rest.len() > page.len()).then(|| page.last().map(|row| row.id.to_string())).flatten();
                (Following::Cursor { next }, total, page)
            }
            ApiVersion::V3 => {
                let number = match request.position {
                    Position::Number(number) => number as usize,
                    _ => 1,
                };
                let page =
                    rows.iter().skip((number - 1) * self.per_page).take(self.per_page).copied().collect();
                (Following::Numbered { total_pages: Some(total.div_ceil(self.per_page as u64)) }, total, page)
            }
        }
    }

    /// One pass, which may die between any two commits. `false` if it did.
    fn pass(&mut self, object: &'static Object, version: ApiVersion) -> bool {
        let partition = if object.parent().is_some() { "42" } else { "" };
        let endpoint = object.endpoint(version).expect("it has requests");
        let fingerprint = object.shape(version);
        let terms = Terms {
            object,
            endpoint,
            version,
            partition,
            fingerprint: &fingerprint,
            overlap: OVERLAP,
            now: self.now,
            opened_at: self.now,
            asked: super::plan::Mode::Incremental,
            counted: None,
        };
        let mut pass = Pass::open(&terms, self.state.as_ref());
        let mut asked: Vec<Asked> = Vec::new();
        let mut leg = pass.leg_number();
        for _ in 0..500 {
            if self.rng.u8(0..12) == 0 {
                return false;
            }
            self.pass_time(TimeDelta::seconds(90));
            if leg != pass.leg_number() {
                asked.clear();
                leg = pass.leg_number();
            }
            for end in [End::Near, End::Far] {
                if asked.iter().all(|(one, ..)| *one != end) && pass.wants(end, asked.len()) {
                    asked.push((end, self.now, self.serve(&pass.request_at(end), version)));
                }
            }
            let first = self.rng.usize(0..asked.len());
            let (end, served_at, (following, total, rows)) = asked.swap_remove(first);
            self.from_afar += usize::from(end == End::Far);
            let records: Vec<String> = rows.iter().map(|row| record(row, version)).collect();
            let batch =
                Mapping::new(object, endpoint, version, partition).rows(records.iter().map(String::as_str));
            assert_eq!(batch.rows.len(), rows.len(), "{:?}", batch.quarantined);
            let turn = Turn {
                following: &following,
                total: Some(total),
                served_at,
                records: rows.len(),
                batch: &batch,
                seen: Seen { known: None, others: true },
            };
            let progress = match end {
                End::Near => pass.absorb(&turn).expect("the list comes to its end"),
                End::Far => pass.absorb_far(&turn),
            };
            self.stored.extend(rows.iter().map(|row| row.id));
            let state = self.state.get_or_insert_default();
            match progress {
                Progress::More { checkpoint } => state.checkpoint = Some(checkpoint),
                Progress::Done { watermark, began_at, .. } => {
                    assert!(
                        watermark.is_none_or(|mark| mark <= began_at),
                        "the watermark stays below the ceiling"
                    );
                    state.watermark = state.watermark.max(watermark);
                    state.began_at = Some(began_at);
                    state.completed_at = Some(self.now);
                    state.fingerprint = Some(fingerprint);
                    state.checkpoint = None;
                    return true;
                }
            }
        }
        panic!("the pass does not end");
    }
}

fn record(row: &Row, version: ApiVersion) -> String {
    let (id, created) = (row.id, time::text(row.created));
    match version {
        ApiVersion::V4 => format!(r#"{{"id": {id}, "state": "active", "created_at": "{created}"}}"#),
        ApiVersion::V3 => format!(
            r#"{{"id": {id}, "state": "active", "created_at": "{created}", "subscriber": {{"id": {id}, "state": "active"}}}}"#
        ),
    }
}

/// How many pages of all the histories were read from the far end.
fn no_history_loses_a_row(
    object: &'static Object,
    version: ApiVersion,
    seeds: std::ops::Range<u64>,
) -> usize {
    let mut from_afar = 0;
    for seed in seeds {
        let mut world = World::new(seed);
        for _ in 0..world.rng.usize(3..12) {
            let pause = match world.rng.u8(0..6) {
                0 => TimeDelta::days(3),
                1 => TimeDelta::hours(5),
                _ => TimeDelta::minutes(20),
            };
            world.pass_time(pause);
            world.pass(object, version);
        }
        // Whatever is visible when the last passes begin must be there when they are complete.
        world.now += LATEST;
        let visible: Vec<i64> =
            world.rows.iter().filter(|row| row.visible <= world.now).map(|row| row.id).collect();
        while !world.pass(object, version) {}
        while !world.pass(object, version) {}
        let lost: Vec<&i64> = visible.iter().filter(|id| !world.stored.contains(*id)).collect();
        assert!(lost.is_empty(), "seed {seed}: lost {lost:?} of {}", visible.len());
        from_afar += world.from_afar;
    }
    from_afar
}

/// M04, M05, M06, M12, M13, M25: filters by day, walks by id, from both ends.
#[test]
fn no_history_of_v4_subscribers_loses_a_row() {
    assert!(no_history_loses_a_row(&objects::SUBSCRIBERS, ApiVersion::V4, 0..200) > 200);
}

/// M04, M05, M06, M12: filters by day, numbered pages read backwards.
#[test]
fn no_history_of_v3_subscribers_loses_a_row() {
    no_history_loses_a_row(&objects::SUBSCRIBERS, ApiVersion::V3, 0..200);
}

/// M04, M06, M12: no filter, newest first, with an early end.
#[test]
fn no_history_of_v3_memberships_loses_a_row() {
    no_history_loses_a_row(&objects::TAG_SUBSCRIPTIONS, ApiVersion::V3, 0..200);
}
