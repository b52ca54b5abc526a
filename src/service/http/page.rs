//! The page for people: what is fresh, what is not, and what to do about it, at one look. Without any script.

mod line;
mod runs;

use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest as _, Sha256};
use std::sync::LazyLock;

use super::View;
use crate::model::{Time, objects};
use crate::output;
use crate::service::pulse::Phase;
use line::Line;
use runs::{BAR, WIDTH};

/// The style, between the tags.
const STYLE: &str = include_str!("page.css");

/// What the page may load: its style, known by its digest, and the icon that is written in it.
pub(super) fn policy() -> &'static str {
    static POLICY: LazyLock<String> = LazyLock::new(|| {
        let digest = BASE64.encode(Sha256::digest(STYLE));
        format!(
            "default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; \
             form-action 'none'; frame-ancestors 'none'"
        )
    });
    &POLICY
}

/// The page. What comes from elsewhere is escaped by the template.
///
/// # Errors
/// Those of writing it, which do not occur.
pub(super) fn html(view: &View) -> askama::Result<String> {
    Page::of(view).render()
}

#[derive(Template)]
#[template(path = "page.html")]
struct Page {
    style: &'static str,
    mood: Mood,
    icon: String,
    verdict: String,
    doing: String,
    notices: Vec<Notice>,
    account: Option<String>,
    rows: Vec<Line>,
    read_at: Option<String>,
    version: &'static str,
    width: usize,
}

/// How a tired reader should feel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Well,
    Busy,
    Unwell,
}

impl Mood {
    /// The class in the style, and the symbol.
    fn name(self) -> &'static str {
        match self {
            Mood::Well => "ok",
            Mood::Busy => "syncing",
            Mood::Unwell => "failed",
        }
    }
}

/// What is the matter, with the service as a whole or with one object.
struct Notice {
    what: String,
    advice: Option<String>,
}

impl Page {
    fn of(view: &View) -> Self {
        let status = view.seen.read.as_ref().map(|read| &read.glance.status);
        let rows: Vec<Line> = objects::ALL.iter().filter_map(|object| Line::of(view, object)).collect();
        let (mood, verdict) = verdict(view, &rows);
        let account = status.and_then(|status| {
            let account = output::escaped(status.account.as_deref()?);
            Some(format!("{account} · API {}", status.api_version.as_deref().unwrap_or("v4")))
        });
        Page {
            style: STYLE,
            mood,
            icon: icon(mood),
            verdict,
            doing: doing(view),
            notices: notices(view),
            account,
            rows,
            read_at: view.seen.read.as_ref().map(|read| utc(read.at)),
            version: env!("CARGO_PKG_VERSION"),
            width: WIDTH,
        }
    }

    fn title(&self) -> String {
        let symbol = match self.mood {
            Mood::Well => '✓',
            Mood::Busy => '…',
            Mood::Unwell => '✗',
        };
        format!("{symbol} {} – kitmirror", self.verdict)
    }
}

fn verdict(view: &View, rows: &[Line]) -> (Mood, String) {
    let told = |mood, verdict: &str| (mood, verdict.to_owned());
    match view.beat.phase {
        Phase::Paused { .. } => return told(Mood::Unwell, "Paused until somebody helps"),
        Phase::Stopping => return told(Mood::Busy, "Stopping"),
        Phase::Starting if view.seen.read.is_none() => return told(Mood::Busy, "Starting"),
        Phase::WaitingForDatabase { .. } => return told(Mood::Unwell, "The database does not answer"),
        _ if view.seen.trouble.is_some() => return told(Mood::Unwell, "The mirror cannot be read"),
        Phase::Starting | Phase::WaitingForKit { .. } | Phase::Standby { .. } | Phase::Working => {}
    }
    match rows.iter().filter(|row| row.needs_attention()).collect::<Vec<_>>().as_slice() {
        [] if rows.is_empty() => return told(Mood::Busy, "Nothing is scheduled yet"),
        [] => {}
        [one] => return (Mood::Unwell, format!("{} needs attention", one.name)),
        several => {
            let verdict = format!("{} of {} objects need attention", several.len(), rows.len());
            return (Mood::Unwell, verdict);
        }
    }
    let never = rows.iter().filter(|row| row.fresh.is_none()).count();
    match never {
        0 => told(Mood::Well, "Everything is fresh"),
        _ => (Mood::Busy, format!("{} of {} objects are loaded", rows.len() - never, rows.len())),
    }
}

fn doing(view: &View) -> String {
    let schedules = &view.beat.schedules;
    match &view.beat.phase {
        Phase::Starting => "Nothing is open yet.".to_owned(),
        Phase::WaitingForDatabase { .. } => "It is asked again and again.".to_owned(),
        Phase::WaitingForKit { .. } => "Kit does not answer; it is asked again and again.".to_owned(),
        Phase::Standby { .. } => "Standing by: another kitmirror writes to this mirror.".to_owned(),
        Phase::Paused { .. } => "Nothing can be read from Kit.".to_owned(),
        Phase::Stopping => "The page in hand is being finished.".to_owned(),
        Phase::Working => {
            let running: Vec<&str> =
                schedules.iter().filter(|(_, one)| one.running).map(|(name, _)| *name).collect();
            let next = schedules.iter().filter_map(|(name, one)| one.next.map(|next| (next, *name))).min();
            match (running.as_slice(), next) {
                ([], Some((next, name))) => format!("Next: {name}, {}.", ahead(next, view.now)),
                ([], None) => "Waiting for the schedule.".to_owned(),
                (running, _) => format!("Reading {}.", running.join(", ")),
            }
        }
    }
}

fn notices(view: &View) -> Vec<Notice> {
    let of_phase = match &view.beat.phase {
        Phase::WaitingForDatabase { error } | Phase::WaitingForKit { error } => {
            Some(Notice { what: sentence(error), advice: None })
        }
        Phase::Paused { error, advice } => {
            Some(Notice { what: sentence(error), advice: Some(advice.clone()) })
        }
        Phase::Standby { holder } => {
            Some(Notice { what: format!("It is held by {}.", output::escaped(holder)), advice: None })
        }
        Phase::Starting | Phase::Working | Phase::Stopping => None,
    };
    let waits = matches!(view.beat.phase, Phase::WaitingForDatabase { .. });
    let of_database = view
        .seen
        .trouble
        .as_ref()
        .filter(|_| !waits)
        .map(|trouble| Notice { what: sentence(&trouble.error), advice: Some(trouble.advice.clone()) });
    of_phase.into_iter().chain(of_database).collect()
}

/// The verdict in the browser's tab: by its shape as well as by its colour.
fn icon(mood: Mood) -> String {
    let (colour, drawing) = match mood {
        Mood::Well => ("#2e7d5b", "M9 16.5l5 5 9-11"),
        Mood::Busy => ("#3b6ea8", "M9 16h0M16 16h0M23 16h0"),
        Mood::Unwell => ("#b3402e", "M11 11l10 10M21 11l-10 10"),
    };
    let svg = format!(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'><circle cx='16' cy='16' r='15' fill='{colour}'/>\
         <path d='{drawing}' fill='none' stroke='#fff' stroke-width='4' stroke-linecap='round'/></svg>"
    );
    format!("data:image/svg+xml;base64,{}", BASE64.encode(svg))
}

/// `in 3 min`; a moment that is past is due.
fn ahead(next: Time, now: Time) -> String {
    match (next - now).num_seconds() {
        ..=0 => "due".to_owned(),
        seconds => format!("in {}", output::duration(seconds)),
    }
}

fn utc(time: Time) -> String {
    time.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn sentence(text: &str) -> String {
    let text = output::escaped(text.trim_end_matches('.'));
    format!("{text}.")
}

#[cfg(test)]
mod tests {
    use super::super::{Read, Seen, Trouble, reasons_against};
    use super::*;
    use crate::model::{Object, time};
    use crate::service::pulse::{Beat, Timetable};
    use crate::store::{Glance, MirrorStatus, ObjectStatus, Run};
    use chrono::TimeDelta;

    fn noon() -> Time {
        time::parse("2024-05-03T12:00:00Z").unwrap()
    }

    /// An object that was complete so many minutes ago.
    fn status(object: &Object, minutes: i64) -> ObjectStatus {
        ObjectStatus {
            object: object.name.to_owned(),
            state: "ok".to_owned(),
            rows: 1_204_377,
            newest_row: None,
            last_complete_at: Some(time::text(noon() - TimeDelta::minutes(minutes))),
            lag_seconds: Some(minutes * 60),
            last_reconcile_at: None,
            reconcile_lag_seconds: None,
            held_deletions: None,
            last_error: None,
            last_error_advice: None,
            last_mode: None,
            last_outcome: None,
            quarantined: 0,
        }
    }

    /// Twenty runs, a quarter of an hour apart, that took longer and longer; the third ended as told.
    fn runs(object: &Object, third: &str) -> Vec<Run> {
        let run = |at: i64| {
            let started_at = noon() - TimeDelta::minutes(15 * (20 - at));
            Run {
                object: object.name.to_owned(),
                mode: if at == 0 { "full" } else { "incremental" }.to_owned(),
                outcome: if at == 2 { third } else { "complete" }.to_owned(),
                started_at: Some(started_at),
                finished_at: Some(started_at + TimeDelta::milliseconds(90 << at.min(12))),
                rows_read: 1000 * at,
                rows_changed: at,
            }
        };
        (0..20).map(run).collect()
    }

    /// All objects fresh, in a service that works.
    fn well() -> View {
        let objects: Vec<ObjectStatus> = objects::ALL.iter().map(|object| status(object, 4)).collect();
        let status = MirrorStatus {
            account: Some("Alder & Finch Letters".to_owned()),
            api_version: Some("v4".to_owned()),
            objects,
        };
        let runs = objects::ALL.iter().flat_map(|object| runs(object, "incomplete")).collect();
        let schedule = Timetable {
            next: Some(noon() + TimeDelta::minutes(11)),
            interval_seconds: Some(900),
            ..Timetable::default()
        };
        let schedules = objects::names().into_iter().map(|name| (name, schedule.clone())).collect();
        view(Glance { status, runs }, Beat { phase: Phase::Working, schedules }, None)
    }

    fn view(glance: Glance, beat: Beat, trouble: Option<Trouble>) -> View {
        let seen = Seen { read: Some(Read { glance, at: noon() }.into()), trouble };
        let reasons = reasons_against(&seen, &beat, noon());
        View { seen, beat, reasons, now: noon() }
    }

    /// The same with one object of each other state.
    fn unwell() -> View {
        let mut view = well();
        let mut glance = Glance {
            status: view.seen.read.as_ref().unwrap().glance.status.clone(),
            runs: objects::ALL.iter().flat_map(|object| runs(object, "failed")).collect(),
        };
        let all = &mut glance.status.objects;
        all[0].state = "failed".to_owned();
        all[0].last_error =
            Some("forms: GET /forms: Kit answered 500 (<script>alert(\"&\")</script>)".to_owned());
        all[0].last_error_advice = Some("Run it again; report it if it persists.".to_owned());
        all[1] = ObjectStatus { state: "stale".to_owned(), ..status(objects::ALL[1], 52) };
        all[2].state = "unavailable".to_owned();
        all[2].last_error = Some("tags: GET /tags: Kit answered 403".to_owned());
        all[2].last_error_advice = Some("Leave it out with the `objects` setting.".to_owned());
        all[3] = ObjectStatus {
            state: "syncing".to_owned(),
            last_complete_at: None,
            lag_seconds: None,
            rows: 0,
            ..status(objects::ALL[3], 0)
        };
        all[4].quarantined = 17;
        all[5].held_deletions = Some(1_204);
        glance.runs.retain(|run| run.object != objects::ALL[3].name);
        glance.runs.last_mut().unwrap().outcome = "running".to_owned();
        glance.runs.last_mut().unwrap().finished_at = None;
        view.beat.schedules.get_mut(objects::ALL[8].name).unwrap().running = true;
        super::tests::view(glance, view.beat, None)
    }

    fn shown(view: &View, name: &str) -> String {
        let html = html(view).unwrap();
        let settings = || {
            let mut settings = insta::Settings::clone_current();
            settings.set_snapshot_path("../../../tests/snapshots");
            settings.set_prepend_module_to_snapshot(false);
            settings
        };
        // The style is looked at where it is written.
        settings().bind(|| insta::assert_snapshot!(name, html.replace(STYLE, "…")));
        html
    }

    #[test]
    fn a_mirror_that_is_fresh_says_so() {
        let html = shown(&well(), "page_well");
        assert!(html.contains("<h1>Everything is fresh</h1>"));
    }

    #[test]
    fn whoever_needs_attention_is_named_with_what_to_do() {
        let html = shown(&unwell(), "page_unwell");
        assert!(html.contains("<h1>4 of 10 objects need attention</h1>"));
        assert!(!html.contains("<script"), "escaped");
    }

    #[test]
    fn each_phase_has_its_page() {
        let phases = [
            (Phase::Starting, "Everything is fresh"),
            (
                Phase::WaitingForDatabase { error: "connection refused".to_owned() },
                "The database does not answer",
            ),
            (Phase::Standby { holder: "host-1/17/2024".to_owned() }, "Everything is fresh"),
            (Phase::Working, "Everything is fresh"),
            (
                Phase::Paused {
                    error: "Kit does not accept the credential".to_owned(),
                    advice: "Check the credential.".to_owned(),
                },
                "Paused until somebody helps",
            ),
            (Phase::Stopping, "Stopping"),
        ];
        let mut told = Vec::new();
        for (phase, verdict) in phases {
            let mut view = well();
            view.beat.phase = phase;
            let html = html(&view).unwrap();
            assert!(html.contains(&format!("<h1>{verdict}</h1>")), "{verdict}");
            let main = html.split("<section").skip(1).map(|part| part.split("</section>").next().unwrap());
            told.push(main.collect::<Vec<_>>().join("\n"));
        }
        assert!(told[1].contains("connection refused.") && told[2].contains("host-1/17/2024."));
        assert!(
            told[4].contains("Kit does not accept the credential.")
                && told[4].contains("Check the credential.")
        );
        told.dedup();
        assert_eq!(told.len(), 6, "no two are alike");
    }

    #[test]
    fn a_page_can_be_made_before_anything_was_read() {
        let seen = Seen { read: None, trouble: None };
        let beat = Beat { phase: Phase::Starting, schedules: Default::default() };
        let reasons = reasons_against(&seen, &beat, noon());
        let html = html(&View { seen, beat, reasons, now: noon() }).unwrap();
        assert!(html.contains("<h1>Starting</h1>") && !html.contains("<table"));

        let trouble =
            Trouble { error: "no route to host".to_owned(), advice: "Check database_url.".to_owned() };
        let well = well();
        let read = well.seen.read.as_ref().unwrap();
        let (glance, beat) = (read.glance.clone(), well.beat.clone());
        let html = super::html(&view(glance, beat, Some(trouble))).unwrap();
        assert!(html.contains("<h1>The mirror cannot be read</h1>") && html.contains("no route to host."));
        assert!(html.contains("<table"), "what was read before is still shown");
    }

    /// S-10.
    #[test]
    fn the_page_is_allowed_its_own_style_and_nothing_from_elsewhere() {
        let html = html(&unwell()).unwrap();
        let style = html.split("<style>").nth(1).unwrap().split("</style>").next().unwrap();
        let digest = BASE64.encode(Sha256::digest(style));
        assert!(policy().contains(&format!("style-src 'sha256-{digest}';")));
        for foreign in ["http://", "https://", "<script", " style=", " onload=", "@import", "url("] {
            assert!(!html.contains(foreign), "{foreign}");
        }
    }
}
