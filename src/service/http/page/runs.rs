//! The last runs of an object as a drawing, and the same in words.

use super::utc;
use crate::model::Time;
use crate::output;
use crate::service::http::mirror::RUNS;
use crate::store::Run;

/// Widths in the drawing of the bars, in its own units: of a bar, of a bar with the gap behind it, and of all of it.
pub(super) const BAR: usize = 5;
const STEP: usize = 7;
pub(super) const WIDTH: usize = RUNS * STEP;
/// Where bars begin, upwards and downwards.
const BASE: usize = 20;

/// The last runs as bars: up when complete, across the line when records were set aside, down when not complete; the
/// taller, the longer.
pub(super) struct Runs {
    pub(super) bars: Vec<Bar>,
    pub(super) said: String,
}

pub(super) struct Bar {
    pub(super) x: usize,
    pub(super) y: usize,
    pub(super) height: usize,
    pub(super) class: &'static str,
    pub(super) title: String,
}

impl Runs {
    pub(super) fn of(runs: &[&Run], now: Time) -> Self {
        let shown = &runs[runs.len().saturating_sub(RUNS)..];
        let empty = RUNS - shown.len();
        let bars = shown.iter().enumerate().map(|(at, run)| Bar::of(run, (empty + at) * STEP, now)).collect();
        Runs { bars, said: said(shown) }
    }
}

impl Bar {
    fn of(run: &Run, x: usize, now: Time) -> Self {
        let took = run.started_at.map(|started| run.finished_at.unwrap_or(now) - started);
        let millis = took.map_or(0, |took| took.num_milliseconds().max(0));
        // From a tenth of a second to hours: a step for each doubling.
        let tall = (4 + (millis / 100).max(1).ilog2() as usize).min(18);
        let class = match run.outcome.as_str() {
            "complete" => "complete",
            "incomplete" => "incomplete",
            "running" => "running",
            "stopped" | "interrupted" => "cut",
            _ => "failed",
        };
        let (y, height) = match class {
            "failed" => (BASE + 2, 8),
            "cut" => (BASE + 2, 4),
            "incomplete" => (BASE - tall, tall + 6),
            _ => (BASE - tall, tall),
        };
        let started = run.started_at.map_or_else(String::new, utc);
        let title = format!(
            "{started}, {}: {}, {:.1} s, {} rows read, {} changed",
            run.mode,
            run.outcome,
            millis as f64 / 1000.0,
            output::grouped(run.rows_read),
            output::grouped(run.rows_changed)
        );
        Bar { x, y, height, class, title }
    }
}

/// The bars in words.
fn said(runs: &[&Run]) -> String {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for run in runs {
        match counts.iter_mut().find(|(outcome, _)| *outcome == run.outcome) {
            Some((_, count)) => *count += 1,
            None => counts.push((&run.outcome, 1)),
        }
    }
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let counts: Vec<String> = counts.iter().map(|(outcome, count)| format!("{count} {outcome}")).collect();
    match runs.len() {
        0 => "No run yet".to_owned(),
        number => format!("Last {number} runs: {}", counts.join(", ")),
    }
}
