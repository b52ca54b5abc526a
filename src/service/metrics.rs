//! What the service counts and shows in numbers: names, labels and their one registration. Listens to the runs;
//! what only the database, the schedules and the log know is looked up when somebody scrapes.

use parking_lot::Mutex;
use prometheus::core::Collector;
use prometheus::{
    Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};
use std::collections::BTreeMap;
use std::sync::Arc;

use super::http::{View, lag_seconds, lag_then, schedule_of};
use super::pulse::Phase;
use crate::error::{Error, Kind, Result};
use crate::kit::Meter;
use crate::model::time::now;
use crate::model::{Object, Source, objects, time};
use crate::output;
use crate::replication::{ObjectReport, Observer, PageWritten};

/// How `sync_status` may call the state of an object.
const STATES: [&str; 5] = ["ok", "syncing", "stale", "failed", "unavailable"];

/// Upper bounds of the durations of runs, in seconds: from an incremental one that finds nothing to the full load of
/// a large account with v3.
const DURATIONS: [f64; 11] = [0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 43_200.0];

/// All metrics of the process.
pub struct Metrics {
    registry: Registry,
    counted: Counted,
    looked_up: LookedUp,
    /// Runs under way and what of their meters is counted already.
    meters: Mutex<BTreeMap<&'static str, Metered>>,
    /// Held while what is looked up is written and read: two who scrape at once would mix theirs. The skipped ticks
    /// as they were seen last, which begin anew when the settings are read again.
    scrape: Mutex<BTreeMap<&'static str, u64>>,
}

/// What grows as work is done.
struct Counted {
    requests: IntCounterVec,
    retries: IntCounterVec,
    throttled: IntCounterVec,
    pages: IntCounterVec,
    rows_read: IntCounterVec,
    rows_written: IntCounterVec,
    quarantined: IntCounterVec,
    runs: IntCounterVec,
    durations: HistogramVec,
}

/// What is looked up at each scrape.
struct LookedUp {
    ready: IntGauge,
    database_up: IntGauge,
    phase: IntGaugeVec,
    state: IntGaugeVec,
    rows: IntGaugeVec,
    in_quarantine: IntGaugeVec,
    lag: IntGaugeVec,
    last_success: GaugeVec,
    reconcile_lag: IntGaugeVec,
    held_deletions: IntGaugeVec,
    interval: IntGaugeVec,
    next_run: GaugeVec,
    running: IntGaugeVec,
    skipped: IntCounterVec,
    lost_lines: IntCounter,
}

/// The meter of a run under way.
struct Metered {
    meter: Arc<Meter>,
    requests: u64,
    retries: u64,
    throttled: u64,
}

impl Metrics {
    /// With a zero for everything that may be counted of these objects, so that a rate has a beginning.
    ///
    /// # Errors
    /// `Internal` if two metrics had one name.
    pub fn new(objects: &[&'static Object]) -> Result<Self> {
        Metrics::registered(objects)
            .map_err(|error| Error::new(Kind::Internal, "could not register the metrics").because(error))
    }

    fn registered(objects: &[&'static Object]) -> prometheus::Result<Self> {
        let registry = Registry::new();
        let r = &registry;
        let (counted, looked_up) = (Counted::registered(r)?, LookedUp::registered(r)?);
        let build = gauge(r, "build_info", "1, with the version that runs.", &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let start = Gauge::new("kitmirror_start_timestamp_seconds", "When the process began to count.")?;
        register(r, start)?.set(now().timestamp() as f64);
        for object in objects.iter().filter(|object| !matches!(object.source, Source::ViewOf(_))) {
            counted.begin_at_zero(object.name);
            looked_up.skipped.with_label_values(&[object.name]);
        }
        Ok(Metrics { registry, counted, looked_up, meters: Mutex::default(), scrape: Mutex::default() })
    }

    /// Everything in Prometheus' text format.
    pub(super) fn text(&self, view: &View) -> String {
        let mut skipped = self.scrape.lock();
        for (object, metered) in self.meters.lock().iter_mut() {
            metered.count(object, &self.counted);
        }
        self.looked_up.look_up(view, &mut skipped);
        // Writing to a string does not fail, and what is registered is well-formed.
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }
}

const OBJECT: &[&str] = &["object"];

fn register<C: Collector + Clone + 'static>(registry: &Registry, metric: C) -> prometheus::Result<C> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn counter(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> prometheus::Result<IntCounterVec> {
    register(registry, IntCounterVec::new(Opts::new(format!("kitmirror_{name}"), help), labels)?)
}

fn gauge(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntGaugeVec> {
    register(registry, IntGaugeVec::new(Opts::new(format!("kitmirror_{name}"), help), labels)?)
}

impl Counted {
    /// All of them, each registered under its name.
    fn registered(r: &Registry) -> prometheus::Result<Self> {
        Ok(Counted {
            requests: counter(r, "requests_total", "Requests sent to Kit, repeated ones included.", OBJECT)?,
            retries: counter(r, "retries_total", "Requests that were sent again.", OBJECT)?,
            throttled: counter(r, "throttled_total", "Answers 429, too many requests.", OBJECT)?,
            pages: counter(r, "pages_total", "Pages committed.", OBJECT)?,
            rows_read: counter(r, "rows_read_total", "Records read and committed.", OBJECT)?,
            rows_written: counter(
                r,
                "rows_written_total",
                "Rows that were new, had changed or were found gone. Unchanged ones are not written.",
                &["object", "change"],
            )?,
            quarantined: counter(
                r,
                "rows_quarantined_total",
                "Records that could not be stored and were quarantined.",
                OBJECT,
            )?,
            runs: counter(r, "runs_total", "Runs that ended.", &["object", "mode", "outcome"])?,
            durations: register(
                r,
                HistogramVec::new(
                    HistogramOpts::new("kitmirror_run_duration_seconds", "How long runs took.")
                        .buckets(DURATIONS.to_vec()),
                    OBJECT,
                )?,
            )?,
        })
    }

    fn begin_at_zero(&self, object: &str) {
        for counter in
            [&self.requests, &self.retries, &self.throttled, &self.pages, &self.rows_read, &self.quarantined]
        {
            counter.with_label_values(&[object]);
        }
        for change in ["inserted", "updated", "deleted"] {
            self.rows_written.with_label_values(&[object, change]);
        }
        self.durations.with_label_values(&[object]);
    }
}

impl Metered {
    /// Counts what has come since the last time.
    fn count(&mut self, object: &str, counted: &Counted) {
        let (requests, retries) = (self.meter.requests(), self.meter.retries());
        let throttled = self.meter.throttled();
        counted.requests.with_label_values(&[object]).inc_by(requests - self.requests);
        counted.retries.with_label_values(&[object]).inc_by(retries - self.retries);
        counted.throttled.with_label_values(&[object]).inc_by(throttled - self.throttled);
        (self.requests, self.retries, self.throttled) = (requests, retries, throttled);
    }
}

impl LookedUp {
    /// All of them, each registered under its name.
    fn registered(r: &Registry) -> prometheus::Result<Self> {
        Ok(LookedUp {
            ready: register(r, IntGauge::new("kitmirror_ready", "1 while /readyz answers 200.")?)?,
            database_up: register(
                r,
                IntGauge::new("kitmirror_database_up", "1 while the mirror can be read.")?,
            )?,
            phase: gauge(r, "phase", "1 for what the service is doing, 0 for the rest.", &["phase"])?,
            state: gauge(
                r,
                "object_state",
                "1 for the state of the object in sync_status, 0 for the rest.",
                &["object", "state"],
            )?,
            rows: gauge(r, "rows", "Live rows in the mirror.", OBJECT)?,
            in_quarantine: gauge(r, "quarantined_records", "Records in quarantine.", OBJECT)?,
            lag: gauge(r, "lag_seconds", "Seconds since the object was last complete.", OBJECT)?,
            last_success: register(
                r,
                GaugeVec::new(
                    Opts::new(
                        "kitmirror_last_success_timestamp_seconds",
                        "When the object was last complete.",
                    ),
                    OBJECT,
                )?,
            )?,
            reconcile_lag: gauge(
                r,
                "reconcile_lag_seconds",
                "Seconds since rows that are gone at Kit were last looked for and marked.",
                OBJECT,
            )?,
            held_deletions: gauge(
                r,
                "held_deletions",
                "Rows that the last reconcile did not meet and left as they are.",
                OBJECT,
            )?,
            interval: gauge(r, "interval_seconds", "Seconds between two runs by the schedule.", OBJECT)?,
            next_run: register(
                r,
                GaugeVec::new(
                    Opts::new("kitmirror_next_run_timestamp_seconds", "When the object is due next."),
                    OBJECT,
                )?,
            )?,
            running: gauge(r, "running", "1 while a run of the object is under way.", OBJECT)?,
            skipped: counter(r, "skipped_ticks_total", "Ticks that found the object busy.", OBJECT)?,
            lost_lines: register(
                r,
                IntCounter::new(
                    "kitmirror_log_lines_lost_total",
                    "Log lines that were lost because nobody read them in time.",
                )?,
            )?,
        })
    }

    fn look_up(&self, view: &View, skipped: &mut BTreeMap<&'static str, u64>) {
        self.ready.set(i64::from(view.reasons.is_empty()));
        self.database_up.set(i64::from(view.seen.trouble.is_none()));
        for name in Phase::NAMES {
            self.phase.with_label_values(&[name]).set(i64::from(name == view.beat.phase.name()));
        }
        self.lost_lines.inc_by(output::lost_lines().saturating_sub(self.lost_lines.get()));
        // Of objects that are not asked for any more since the settings were read again, nothing is told.
        [&self.interval, &self.running, &self.state, &self.rows, &self.in_quarantine]
            .into_iter()
            .chain([&self.lag, &self.reconcile_lag, &self.held_deletions])
            .for_each(|gauge| gauge.reset());
        [&self.next_run, &self.last_success].into_iter().for_each(|gauge| gauge.reset());
        for object in objects::ALL {
            let Some(schedule) = schedule_of(&view.beat, object) else { continue };
            let label = &[object.name];
            if let Some(interval) = schedule.interval_seconds {
                self.interval.with_label_values(label).set(interval as i64);
            }
            if let Some(next) = schedule.next {
                self.next_run.with_label_values(label).set(next.timestamp() as f64);
            }
            self.running.with_label_values(label).set(i64::from(schedule.running));
            if !matches!(object.source, Source::ViewOf(_)) {
                let before = skipped.insert(object.name, schedule.skipped).unwrap_or(0);
                let more = schedule.skipped.checked_sub(before).unwrap_or(schedule.skipped);
                self.skipped.with_label_values(label).inc_by(more);
            }
            self.look_up_object(view, object);
        }
    }

    /// What the database says. While it does not answer, what it said last: the lag grows all the same.
    fn look_up_object(&self, view: &View, object: &Object) {
        let Some(read) = &view.seen.read else { return };
        let Some(status) = read.glance.status.objects.iter().find(|status| status.object == object.name)
        else {
            return;
        };
        let label = &[object.name];
        self.rows.with_label_values(label).set(status.rows);
        self.in_quarantine.with_label_values(label).set(status.quarantined);
        for state in STATES {
            self.state.with_label_values(&[object.name, state]).set(i64::from(state == status.state));
        }
        if let Some(lag) = lag_seconds(status, read.at, view.now) {
            self.lag.with_label_values(label).set(lag);
        }
        if let Some(lag) = lag_then(status.reconcile_lag_seconds, read.at, view.now) {
            self.reconcile_lag.with_label_values(label).set(lag);
        }
        self.held_deletions.with_label_values(label).set(status.held_deletions.unwrap_or(0));
        if let Some(at) = status.last_complete_at.as_deref().and_then(time::parse) {
            self.last_success.with_label_values(label).set(at.timestamp() as f64);
        }
    }
}

impl Observer for Metrics {
    fn object_started(&self, object: &'static str, _partitions: usize, meter: &Arc<Meter>) {
        let metered = Metered { meter: Arc::clone(meter), requests: 0, retries: 0, throttled: 0 };
        let before = self.meters.lock().insert(object, metered);
        // Of a run that ended without a word.
        if let Some(mut before) = before {
            before.count(object, &self.counted);
        }
    }

    fn page_written(&self, page: &PageWritten<'_>) {
        let (counted, label) = (&self.counted, &[page.object]);
        counted.pages.with_label_values(label).inc_by(page.pages);
        counted.rows_read.with_label_values(label).inc_by(page.records);
        counted.rows_written.with_label_values(&[page.object, "inserted"]).inc_by(page.written.inserted);
        counted.rows_written.with_label_values(&[page.object, "updated"]).inc_by(page.written.updated);
        counted.rows_written.with_label_values(&[page.object, "deleted"]).inc_by(page.written.deleted);
        counted.quarantined.with_label_values(label).inc_by(page.written.quarantined);
    }

    fn object_done(&self, report: &ObjectReport) {
        if let Some(mut metered) = self.meters.lock().remove(report.object) {
            metered.count(report.object, &self.counted);
        }
        let (mode, outcome) = (report.mode.name(), report.outcome.name());
        self.counted.runs.with_label_values(&[report.object, mode, outcome]).inc();
        let seconds = report.duration_ms as f64 / 1000.0;
        self.counted.durations.with_label_values(&[report.object]).observe(seconds);
    }
}
