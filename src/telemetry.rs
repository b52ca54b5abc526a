//! Logging: text for people, JSON for machines, both through a writer of the caller's choice.
//!
//! Two promises hold whatever the user asks for: other crates, which would log URLs with a secret in them, stay at
//! `warn`, and no value can forge a line or drive a terminal. When and where to log is each module's own matter.

use std::fmt::{self, Write as _};

use tracing::field::Field;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::Registry;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::filter::{EnvFilter, LevelFilter, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::{Writer, debug_fn, format};
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use crate::config::LogFormat;

/// Starts logging for the whole process.
///
/// `level` is the least important level that is written; the variable `RUST_LOG` refines it per target, except
/// for other crates than ours. `ansi` colours the text format. `writer` gets each line in one write; give one
/// that suspends the progress bars where there are any. An unusable `RUST_LOG` is left out, with a warning.
///
/// # Errors
/// If logging has been started before.
pub fn init<W>(level: &str, format: LogFormat, ansi: bool, writer: W) -> Result<(), TryInitError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let refinement = std::env::var("RUST_LOG").unwrap_or_default();
    let (filter, refused) = filter(level, &refinement);
    subscriber(filter, format, ansi, writer).try_init()?;
    if refused {
        tracing::warn!("RUST_LOG is not a list of filters such as `kitmirror=debug`; it is left out");
    }
    Ok(())
}

/// Whether a line may be shown at all. Others than ours are held at `warn`.
///
/// At `debug`, HTTP crates print request URLs, and a v3 URL carries the account's secret in its query; database
/// crates print statements and connection parameters. No wish for more output is worth that.
fn within_cap(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    // What a database server says by itself may quote a value, and is told by the error that follows it.
    if target.starts_with("sqlx::postgres::notice") {
        return false;
    }
    let ours = target.strip_prefix("kitmirror").is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
    ours || *metadata.level() <= Level::WARN
}

/// The filter for a level and its refinement, and whether the refinement had to be left out.
fn filter(level: &str, refinement: &str) -> (EnvFilter, bool) {
    // Of two directives for the same target the later one counts.
    let wanted = EnvFilter::builder().parse(format!("{level},{refinement}"));
    let refused = wanted.is_err();
    (wanted.unwrap_or_else(|_| EnvFilter::new(level)), refused)
}

fn subscriber<W>(filter: EnvFilter, format: LogFormat, ansi: bool, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    // A failed write must not be reported with `eprintln!`, which panics when stderr is what failed.
    let lines =
        tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(ansi).log_internal_errors(false);
    // At `info` our messages stand for themselves; who asks for more wants to know where a line is from.
    let detailed = filter.max_level_hint().is_none_or(|level| level > LevelFilter::INFO);
    // What a line is within (object, partition, page) is such detail, too. Machines get it always.
    let within = detailed || format == LogFormat::Json;
    let cap = filter_fn(move |metadata| within_cap(metadata) && (within || !metadata.is_span()));
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match format {
        LogFormat::Text => {
            let line = self::format().compact().with_timer(UtcSeconds).with_target(detailed).with_ansi(ansi);
            Box::new(lines.event_format(line).fmt_fields(debug_fn(write_field).delimited(" ")))
        }
        LogFormat::Json => Box::new(lines.json().flatten_event(true)),
    };
    // Filters of the whole, not of the one layer: such a one remembers for the thread that it refused what was only asked
    // about (as a driver does before it passes on a server's notice), and refuses the next event of ours in its place.
    tracing_subscriber::registry().with(lines).with(filter).with(cap)
}

/// Time of the text lines: whole seconds, as people compare them with other logs.
struct UtcSeconds;

impl FormatTime for UtcSeconds {
    fn format_time(&self, line: &mut Writer<'_>) -> fmt::Result {
        write!(line, "{}", chrono::Utc::now().format("%Y-%m-%dT%H:%M:%SZ"))
    }
}

/// Writes one field of a text line, or the message, which has no name in front.
fn write_field(line: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    match field.name() {
        "message" => {}
        // A name with a dot is for machines: the message says the same in words. So are the bookkeeping fields
        // of records that come from the `log` crate.
        name if name.contains('.') => return Ok(()),
        name if line.has_ansi_escapes() => write!(line, "{DIM}{name}={PLAIN}")?,
        name => write!(line, "{name}=")?,
    }
    write!(Escaping(line), "{value:?}")
}

/// Colour sequences of ours; all others are escaped.
const DIM: &str = "\x1b[2m";
const PLAIN: &str = "\x1b[0m";

/// Passes text on with everything escaped that could end the line, drive a terminal or reorder what is read.
///
/// tracing-subscriber itself escapes some of this in messages and nothing in fields shown with `%`. Names and
/// subjects come from Kit, where anybody who subscribes may choose them.
struct Escaping<W>(W);

impl<W: fmt::Write> fmt::Write for Escaping<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for piece in text.split_inclusive(is_unsafe_to_show) {
            match piece.char_indices().next_back().filter(|(_, c)| is_unsafe_to_show(*c)) {
                Some((end, c)) => write!(self.0, "{}{}", &piece[..end], c.escape_debug())?,
                None => self.0.write_str(piece)?,
            }
        }
        Ok(())
    }
}

fn is_unsafe_to_show(c: char) -> bool {
    c.is_control()
        // Line and paragraph separator, and the embeddings, overrides and isolates of bidirectional text. Plain
        // right-to-left text needs none of these.
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use tracing::subscriber::with_default;

    use super::*;

    /// A writer that keeps every write apart.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<String>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().push(String::from_utf8(bytes.to_vec()).unwrap());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged_with(
        level: &str,
        refinement: &str,
        format: LogFormat,
        ansi: bool,
        act: impl FnOnce(),
    ) -> Vec<String> {
        let lines = Lines::default();
        let writer = lines.clone();
        let (filter, _) = filter(level, refinement);
        with_default(subscriber(filter, format, ansi, move || writer.clone()), act);
        Arc::try_unwrap(lines.0)
            .map_or_else(|shared| shared.lock().unwrap().clone(), |own| own.into_inner().unwrap())
    }

    fn logged(act: impl FnOnce()) -> Vec<String> {
        logged_with("info", "", LogFormat::Text, false, act)
    }

    const CANARY: &str = "canary-5ecret";

    #[test]
    fn crates_that_print_urls_stay_at_warn_whatever_the_user_asks() {
        let wishes = [
            "trace",
            "reqwest=trace,hyper_util=trace,h2=trace,rustls=trace,sqlx=trace",
            "sqlx::query=debug",
            "[]=trace",
        ];
        for wish in wishes {
            for format in [LogFormat::Text, LogFormat::Json] {
                let lines = logged_with("trace", wish, format, false, || {
                    let url = format!("https://api.convertkit.com/v3/tags?api_secret={CANARY}");
                    tracing::debug!(target: "reqwest::connect", %url, "starting new connection");
                    tracing::trace!(target: "hyper::client", "GET {url}");
                    tracing::info!(target: "hyper_util::client::legacy", url, "pooled");
                    tracing::trace!(target: "h2::proto", url, "frame");
                    tracing::debug!(target: "rustls::client", url, "hello");
                    tracing::debug!(target: "sqlx::query", url, "summary");
                    tracing::info!(target: "sqlx_postgres::connection", url, "notice");
                    tracing::info!(target: "refinery_core::traits", url, "applying");
                    tracing::debug!(target: "a_crate_to_come", url, "chatting");
                    tracing::debug!(target: "kitmirrored", url, "of another name");
                    let _entered = tracing::debug_span!(target: "hyper::proto", "request", url).entered();
                    tracing::trace!(target: "kitmirror::kit", "ours is shown");
                    tracing::warn!(target: "sqlx::query", "slow statement");
                });
                let text = lines.concat();
                assert!(!text.contains(CANARY), "{wish}: {text}");
                assert!(text.contains("ours is shown"), "{wish}: {text}");
                assert!(text.contains("slow statement"), "{wish}: {text}");
            }
        }
    }

    /// A driver asks whether a server's notice would be shown before it passes it on.
    #[test]
    fn what_is_refused_before_it_is_said_takes_no_line_of_ours_with_it() {
        let lines = logged(|| {
            for _ in 0..3 {
                assert!(!tracing::enabled!(target: "sqlx::postgres::notice", Level::WARN));
                tracing::warn!(target: "kitmirror::store", "the database went away");
            }
        });
        assert_eq!(lines.len(), 3, "{lines:?}");
    }

    #[test]
    fn a_value_cannot_forge_a_line_or_drive_a_terminal() {
        let name =
            "x\n2024-05-04T10:00:01Z  INFO all is well\r\u{1b}[2J\u{7}\u{9b}31m\u{7f}\u{202e}\u{2028}\0";
        for ansi in [false, true] {
            let lines = logged_with("debug", "", LogFormat::Text, ansi, || {
                let _entered = tracing::info_span!("object", span_name = %name).entered();
                tracing::info!(shown = %name, debugged = ?name, plain = name, "Wrote {name}");
            });
            assert_eq!(lines.len(), 1, "one event is one write");
            let line = lines[0].replace("\u{1b}[2m", "").replace("\u{1b}[32m", "").replace("\u{1b}[0m", "");
            let line = line.replace("\u{1b}[1m", "").replace("\u{1b}[3m", "");
            let body = line.strip_suffix('\n').expect("a line ends once");
            assert!(!body.chars().any(is_unsafe_to_show), "{body:?}");
            assert_eq!(body.matches("\\u{1b}[2J").count(), 5, "escaped, not dropped: {body}");
        }
    }

    #[test]
    fn ordinary_text_of_any_language_is_left_as_it_is() {
        let lines = logged(|| tracing::info!(name = %"שלום 🎉 naïve \"quoted\" C:\\temp", "ok"));
        assert!(lines[0].ends_with("ok name=שלום 🎉 naïve \"quoted\" C:\\temp\n"), "{lines:?}");
    }

    #[test]
    fn a_text_line_has_utc_seconds_level_message_and_fields() {
        let lines = logged(|| tracing::info!(rows = 50, "Wrote page"));
        let (time, rest) = lines[0].split_once(' ').unwrap();
        chrono::NaiveDateTime::parse_from_str(time, "%Y-%m-%dT%H:%M:%SZ").unwrap();
        assert_eq!(rest, " INFO Wrote page rows=50\n");
    }

    #[test]
    fn names_for_machines_are_left_out_of_text_and_others_are_dim_where_there_is_colour() {
        let event = || tracing::info!(object.name = "tags", rows = 50, "Wrote page");
        let plain = logged(event).concat();
        assert!(plain.ends_with(" rows=50\n") && !plain.contains("object.name"), "{plain:?}");
        let coloured = logged_with("info", "", LogFormat::Text, true, event).concat();
        assert!(coloured.ends_with(" \u{1b}[2mrows=\u{1b}[0m50\n"), "{coloured:?}");
    }

    #[test]
    fn what_a_line_is_within_is_shown_once_somebody_asks_for_detail_and_to_machines_always() {
        let event = || {
            let _object = tracing::info_span!("object", object = %"tags").entered();
            let _page = tracing::info_span!("page", page = 3).entered();
            tracing::info!("here");
        };
        assert!(logged(event)[0].ends_with("INFO here\n"), "{:?}", logged(event));
        let text = logged_with("debug", "", LogFormat::Text, false, event).concat();
        assert!(text.contains("object=tags") && text.contains("page=3"), "{text}");
        let json = logged_with("info", "", LogFormat::Json, false, event).concat();
        assert!(
            json.contains(r#"{"object":"tags","name":"object"}"#) && json.contains(r#""page":3"#),
            "{json}"
        );
    }

    #[test]
    fn the_target_is_shown_once_somebody_asks_for_detail() {
        let event = || tracing::info!(target: "kitmirror::store", "here");
        assert!(!logged(event)[0].contains("kitmirror::store"));
        assert!(logged_with("debug", "", LogFormat::Text, false, event)[0].contains("kitmirror::store"));
        assert!(
            logged_with("info", "kitmirror=debug", LogFormat::Text, false, event)[0]
                .contains("kitmirror::store")
        );
    }

    #[test]
    fn rust_log_refines_the_level() {
        let events = || {
            tracing::debug!(target: "kitmirror::kit", "kit");
            tracing::debug!(target: "kitmirror::store", "store");
            tracing::info!(target: "kitmirror::service", "service");
        };
        let text = logged_with("info", "kitmirror::kit=debug", LogFormat::Text, false, events).concat();
        assert!(text.contains("kit") && !text.contains(" store") && text.contains(" service"), "{text}");
        let text = logged_with("info", "warn", LogFormat::Text, false, events).concat();
        assert_eq!(text, "");
    }

    #[test]
    fn a_rust_log_that_makes_no_sense_is_left_out() {
        let (filter, refused) = filter("warn", "kitmirror=loud");
        assert!(refused);
        assert_eq!(filter.max_level_hint(), Some(LevelFilter::WARN));
        assert!(!super::filter("warn", "").1);
    }

    #[test]
    fn json_is_one_object_per_line_with_fields_at_the_top() {
        let lines = logged_with(
            "info",
            "",
            LogFormat::Json,
            true,
            || tracing::info!(rows = 50, name = %"a\nb", "Wrote"),
        );
        assert_eq!(lines.len(), 1);
        assert!(lines[0].starts_with('{') && lines[0].ends_with("}\n"));
        assert!(lines[0].contains(r#""rows":50"#) && lines[0].contains(r#""name":"a\nb""#), "{lines:?}");
        assert!(!lines[0].contains('\u{1b}'));
    }

    #[test]
    fn disabled_levels_are_decided_at_the_callsite() {
        let hint = subscriber(filter("info", "").0, LogFormat::Text, false, io::sink).max_level_hint();
        assert_eq!(hint, Some(LevelFilter::INFO));
    }
}
