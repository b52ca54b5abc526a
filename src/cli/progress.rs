//! Progress for people: bars on a terminal, nothing elsewhere (the log has a line per object). Log lines
//! are written above the bars.

use indicatif::{ProgressBar, ProgressStyle};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::time::Duration;

use crate::kit::Meter;
use crate::output::{self, BARS};
use crate::replication::{ObjectReport, Observer, PageWritten};
use crate::store::Outcome;

/// Bars for a run.
pub struct Progress {
    shown: bool,
    objects: Mutex<HashMap<&'static str, Bar>>,
}

struct Bar {
    bar: ProgressBar,
    /// Records of lists that are still being read, by partition: read so far, and how many there are.
    extents: HashMap<String, (u64, u64)>,
    partitions: usize,
    done: usize,
    records: u64,
    pages: u64,
}

impl Progress {
    /// Bars if stderr is a terminal and nobody asked for quiet.
    pub fn new(quiet: bool) -> Self {
        Progress { shown: !quiet && io::stderr().is_terminal(), objects: Mutex::default() }
    }

    /// Takes the bars away, those of unfinished objects as well: they would be drawn again below whatever is said next.
    pub fn finish(&self) {
        for (_, bar) in self.objects.lock().drain() {
            bar.bar.finish_and_clear();
            BARS.remove(&bar.bar);
        }
        let _ = BARS.clear();
    }

    fn with(&self, object: &'static str, change: impl FnOnce(&mut Bar)) {
        if let Some(bar) = self.objects.lock().get_mut(object) {
            change(bar);
        }
    }
}

impl Bar {
    fn show(&self) {
        let (read, total) = self.extents.values().fold((0_u64, 0_u64), |sum, extent| {
            (sum.0.saturating_add(extent.0), sum.1.saturating_add(extent.1))
        });
        if self.partitions > 1 {
            self.bar.set_length(self.partitions as u64);
            self.bar.set_position(self.done as u64);
        } else if total > 0 {
            self.bar.set_length(total.max(read));
            self.bar.set_position(read);
        }
        let lists = if self.partitions > 1 {
            format!(", {} of {} lists", self.done, self.partitions)
        } else {
            String::new()
        };
        let seconds = self.bar.elapsed().as_secs_f64().max(0.001);
        self.bar.set_message(format!(
            "{} rows, {} pages{lists}, {} rows/s",
            output::grouped(self.records as i64),
            output::grouped(self.pages as i64),
            output::grouped((self.records as f64 / seconds) as i64)
        ));
    }
}

impl Observer for Progress {
    fn object_started(&self, object: &'static str, partitions: usize, _meter: &Arc<Meter>) {
        if !self.shown {
            return;
        }
        let style = ProgressStyle::with_template("{prefix:<24} {bar:24} {msg}  {eta} left").ok();
        let bar = BARS.add(ProgressBar::new(partitions.max(1) as u64));
        if let Some(style) = style {
            bar.set_style(style);
        }
        bar.set_prefix(object);
        bar.enable_steady_tick(Duration::from_millis(250));
        let bar = Bar { bar, extents: HashMap::new(), partitions, done: 0, records: 0, pages: 0 };
        bar.show();
        self.objects.lock().insert(object, bar);
    }

    fn page_written(&self, page: &PageWritten<'_>) {
        self.with(page.object, |bar| {
            bar.records += page.records;
            bar.pages += page.pages;
            if let (Some(total), read) = page.extent {
                bar.extents.insert(page.partition.to_owned(), (read, total));
            }
            bar.show();
        });
    }

    fn partition_done(&self, object: &'static str, partition: &str) {
        self.with(object, |bar| {
            bar.done += 1;
            if bar.partitions > 1 {
                bar.extents.remove(partition);
            }
            bar.show();
        });
    }

    fn object_done(&self, report: &ObjectReport) {
        self.with(report.object, |bar| {
            if report.outcome == Outcome::Complete {
                bar.bar.finish_and_clear();
            } else {
                bar.bar.abandon();
            }
        });
    }
}
