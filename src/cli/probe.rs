//! `check --probe`: finds out, by reading only, what Kit's documents leave open. A question is one entry of
//! a table; what is found holds no address, no name and no id, and says what it means for the mirror.

mod dates;
mod reply;
#[cfg(test)]
mod tests;
mod v3;
mod v4;

use base64::Engine as _;
use parking_lot::Mutex;
use serde::Serialize;
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::kit::{KitClient, Meter};
use crate::model::ApiVersion;
use crate::output;
use dates::{OfDay, Sample};
use reply::List;

/// Requests a probe may take. With the one for the account that makes thirty.
const MOST_REQUESTS: u64 = 29;
/// How long a 429 is waited out before the request is sent again, once.
const THROTTLED_WAIT: Duration = Duration::from_secs(10);

/// One question, and how it is answered.
struct Probe {
    id: &'static str,
    question: &'static str,
    /// What either answer means for kitmirror, where the answer itself does not say.
    means: &'static str,
    ask: Ask,
}

type Ask = for<'a> fn(&'a Asker<'_>) -> Asking<'a>;
type Asking<'a> = Pin<Box<dyn Future<Output = Result<Answer, Unanswered>> + Send + 'a>>;

/// What was found out about a question.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Answer {
    settled: bool,
    text: String,
    means: Option<&'static str>,
}

impl Answer {
    /// The account's data decide it.
    fn settled(text: impl Into<String>) -> Self {
        Answer { settled: true, text: text.into(), means: None }
    }

    /// They do not, which is a finding as well.
    fn open(text: impl Into<String>) -> Self {
        Answer { settled: false, text: text.into(), means: None }
    }

    /// What just this answer means.
    fn means(self, means: &'static str) -> Self {
        Answer { means: Some(means), ..self }
    }
}

/// Why a question got no answer.
#[derive(Debug)]
enum Unanswered {
    /// Kit answered with this status.
    Status(u16),
    /// Kit answered something else than a list.
    Shape,
    /// Too many requests had been sent before it was its turn.
    OverBudget,
    /// The request failed.
    Failed(Error),
}

/// A finding as it is shown.
#[derive(Debug, Serialize)]
pub struct Finding {
    id: &'static str,
    question: &'static str,
    settled: bool,
    finding: String,
    means: &'static str,
}

/// All findings.
#[derive(Debug, Serialize)]
pub struct Findings {
    api_version: ApiVersion,
    requests: u64,
    findings: Vec<Finding>,
}

/// Asks every question of the API that the credential opens.
///
/// # Errors
/// Those of the database, in which sent requests are noted. That Kit does not answer is a finding.
pub async fn run(kit: &KitClient) -> Result<Findings> {
    let asker = Asker::new(kit);
    let probes: &[Probe] = match kit.version() {
        ApiVersion::V3 => v3::PROBES,
        ApiVersion::V4 => v4::PROBES,
    };
    let mut findings = Vec::with_capacity(probes.len());
    for probe in probes {
        let answer = match (probe.ask)(&asker).await {
            Ok(answer) => answer,
            Err(unanswered) => Answer::open(unanswered.in_words()?),
        };
        findings.push(Finding {
            id: probe.id,
            question: probe.question,
            settled: answer.settled,
            finding: answer.text,
            means: answer.means.unwrap_or(probe.means),
        });
    }
    Ok(Findings { api_version: kit.version(), requests: asker.meter.requests(), findings })
}

impl Unanswered {
    /// Without the path, which may hold an id. An error of the database ends the probe.
    fn in_words(self) -> Result<String> {
        Ok(match self {
            Unanswered::Status(status) => format!("not found out: Kit answered {status}"),
            Unanswered::Shape => "not found out: Kit answered something else than a list".to_owned(),
            Unanswered::OverBudget => "not asked: the requests of the probe were used up".to_owned(),
            Unanswered::Failed(error) if error.kind().policy().exit_code == 3 => return Err(error),
            Unanswered::Failed(error) => format!("not found out: {}", error.kind().name()),
        })
    }
}

impl From<Error> for Unanswered {
    fn from(error: Error) -> Self {
        Unanswered::Failed(error)
    }
}

impl Findings {
    /// As a table for people.
    pub fn print(&self) {
        let rows = self.findings.iter().map(|finding| {
            vec![finding.question.to_owned(), finding.finding.clone(), finding.means.to_owned()]
        });
        output::line(format_args!(
            "\nWhat the documents of API {} leave open, asked in {} requests that only read:\n",
            self.api_version, self.requests
        ));
        output::line(output::table(&["question", "finding", "for kitmirror"], rows.collect(), &[]));
        output::line("\nThis holds no personal data. Send it to the maintainers if it surprises you.");
    }
}

/// Sends the requests of a probe, each only once.
struct Asker<'k> {
    kit: &'k KitClient,
    meter: Meter,
    lists: Mutex<HashMap<String, Arc<List>>>,
}

impl<'k> Asker<'k> {
    fn new(kit: &'k KitClient) -> Self {
        Asker { kit, meter: Meter::default(), lists: Mutex::default() }
    }

    /// Asks for a list; a question that was asked before is answered from memory.
    async fn list(&self, target: &str, member: &str) -> Result<Arc<List>, Unanswered> {
        if let Some(known) = self.lists.lock().get(target) {
            return Ok(Arc::clone(known));
        }
        match self.raw(target).await? {
            (200, body) => {
                let list = Arc::new(List::read(&body, member).ok_or(Unanswered::Shape)?);
                let mut lists = self.lists.lock();
                lists.insert(target.to_owned(), Arc::clone(&list));
                Ok(list)
            }
            (status, _) => Err(Unanswered::Status(status)),
        }
    }

    /// How many rows a list has; `target` has a query.
    async fn count(&self, target: &str, member: &str) -> Result<u64, Unanswered> {
        let target = match self.kit.version() {
            ApiVersion::V3 => target.to_owned(),
            ApiVersion::V4 => format!("{target}&per_page=1&include_total_count=true"),
        };
        self.list(&target, member).await?.total.ok_or(Unanswered::Shape)
    }

    /// Asks for a path with its query, whatever the answer. No value in it needs percent-encoding by us:
    /// the client does that.
    async fn raw(&self, target: &str) -> Result<(u16, String), Unanswered> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let query: Vec<(&str, String)> = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name, value.to_owned()))
            .collect();
        let mut is_second = false;
        loop {
            if self.meter.requests() >= MOST_REQUESTS {
                return Err(Unanswered::OverBudget);
            }
            match self.kit.probe(path, &query, &self.meter).await? {
                (429, _) if !is_second => {
                    self.kit.limiter().narrow();
                    self.kit.limiter().pause(THROTTLED_WAIT);
                    is_second = true;
                }
                answer => return Ok(answer),
            }
        }
    }
}

/// What a date filter does: `filtered` ends with its name, and `sample` holds the times it looks at.
async fn date_filter(
    asker: &Asker<'_>,
    sample: Option<Sample>,
    filtered: &str,
    member: &str,
) -> Result<Answer, Unanswered> {
    let Some(sample) = sample else {
        return Ok(Answer::open("not enough data: the list does not come newest first"));
    };
    let now = asker.kit.source_now();
    let mut found = Vec::new();
    let mut is_settled = false;
    if let Some(lone) = sample.lone(now) {
        let mut counts = [0; 3];
        for (count, second) in counts.iter_mut().zip([-1, 0, 1]) {
            let from = (lone + chrono::TimeDelta::seconds(second)).format("%Y-%m-%dT%H:%M:%SZ");
            *count = asker.count(&format!("{filtered}={from}"), member).await?;
        }
        let of_day = OfDay::of(counts[0], counts[1], counts[2]);
        is_settled |= of_day != OfDay::Unclear;
        found.push(of_day.words().to_owned());
    }
    if let Some(day) = sample.telling_day(now) {
        let readings = sample.readings(day, asker.count(&format!("{filtered}={day}"), member).await?);
        is_settled |= readings.is_settled();
        found.push(readings.to_string());
    }
    Ok(match (found.is_empty(), is_settled) {
        (true, _) => Answer::open("not enough data: no row stands apart from the others in time"),
        (false, true) => Answer::settled(found.join("; ")),
        (false, false) => Answer::open(found.join("; ")),
    })
}

/// What [`date_filter`] finds is of no consequence.
const A_DAY_BEFORE: &str = "handled either way: passes ask from a whole day before the overlap";

/// The clock header, which every answer so far has shown or not.
async fn clock(asker: &Asker<'_>) -> Result<Answer, Unanswered> {
    Ok(match asker.kit.source_clock() {
        Some(_) => Answer::settled("yes, in a Date header"),
        None => Answer::settled("no").means("passes go by this machine's clock: keep it right"),
    })
}

/// What is inside a cursor, without its values.
fn cursor_shape(cursor: &str) -> String {
    use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
    let lenient = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let standard = GeneralPurpose::new(&base64::alphabet::STANDARD, lenient);
    let safe = GeneralPurpose::new(&base64::alphabet::URL_SAFE, lenient);
    let decoded = standard.decode(cursor).or_else(|_| safe.decode(cursor)).ok();
    let Some(text) = decoded.and_then(|bytes| String::from_utf8(bytes).ok()) else {
        return "not text in base64".to_owned();
    };
    match serde_json::from_str(&text) {
        Ok(serde_json::Value::Array(parts)) => {
            let kinds: Vec<&str> = parts.iter().map(kind).collect();
            format!("[{}]", kinds.join(", "))
        }
        Ok(value) => format!("a bare {}", kind(&value)),
        Err(_) if crate::model::time::parse(&text).is_some() => {
            "a bare time, without a tie-breaker".to_owned()
        }
        Err(_) => "text of another kind".to_owned(),
    }
}

fn kind(value: &serde_json::Value) -> &'static str {
    match value {
        serde_json::Value::Number(number) if number.is_i64() => "integer",
        serde_json::Value::Number(_) => "number",
        serde_json::Value::String(text) if crate::model::time::parse(text).is_some() => "time",
        serde_json::Value::String(_) => "text",
        serde_json::Value::Null => "null",
        serde_json::Value::Bool(_) => "truth",
        serde_json::Value::Array(_) | serde_json::Value::Object(_) => "list",
    }
}
