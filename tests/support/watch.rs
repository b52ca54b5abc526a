//! A status server over a mirror, asked byte by byte: what a probe, a scraper, a browser and an attacker send.

use super::mirror::Mirror;
use kitmirror::model::objects;
use kitmirror::service::http::{Serving, serve};
use kitmirror::service::{Metrics, Phase, Pulse};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A server in process, with the pulse and the metrics that a supervisor would have.
pub struct Watch {
    pub serving: Serving,
    pub pulse: Pulse,
    pub metrics: Arc<Metrics>,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Watch {
    /// On a free port of loopback, working, with a quarter of an hour between the runs of every object.
    pub async fn over(mirror: &Mirror) -> Self {
        Watch::listening(mirror, "127.0.0.1:0").await
    }

    pub async fn listening(mirror: &Mirror, listen: &str) -> Self {
        let pulse = Pulse::default();
        for object in objects::ALL {
            pulse.schedule(object.name, |schedule| schedule.interval_seconds = Some(900));
        }
        pulse.enter(Phase::Working);
        let metrics = Arc::new(Metrics::new(&objects::ALL).expect("no name is there twice"));
        let listen = listen.parse().expect("an address");
        let place = mirror.place_of_it();
        let serving = serve(listen, place, pulse.clone(), Arc::clone(&metrics)).await.expect("a free port");
        Watch { serving, pulse, metrics }
    }

    pub fn addr(&self) -> SocketAddr {
        self.serving.addr()
    }

    /// Asks as a browser on this machine would.
    pub async fn get(&self, path: &str) -> Answer {
        get(self.addr(), path).await
    }

    /// Sends these bytes and reads to the end.
    pub async fn send(&self, request: &str) -> Answer {
        send(self.addr(), request).await
    }

    /// Asks until the status is that one; what was read a moment ago serves for a second.
    pub async fn until(&self, path: &str, status: u16) -> Answer {
        until(self.addr(), path, status).await
    }

    /// Lets what was read a moment ago be forgotten.
    pub async fn rest(&self) {
        tokio::time::sleep(Duration::from_millis(1100)).await;
    }
}

/// Asks whoever listens there, as a browser on this machine would.
pub async fn get(addr: SocketAddr, path: &str) -> Answer {
    send(addr, &format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\n\r\n")).await
}

/// Sends these bytes and reads to the end.
pub async fn send(addr: SocketAddr, request: &str) -> Answer {
    let sent = async {
        let mut stream = TcpStream::connect(("127.0.0.1", addr.port())).await.expect("it listens");
        stream.write_all(request.as_bytes()).await.expect("it takes the request");
        let mut answer = Vec::new();
        // What was not read of a request that is refused makes the end of the connection a rude one.
        let _ = stream.read_to_end(&mut answer).await;
        answer
    };
    let answer = tokio::time::timeout(Duration::from_secs(20), sent).await.expect("it answers in time");
    Answer::read(&answer)
}

/// Asks until the status is that one.
pub async fn until(addr: SocketAddr, path: &str, status: u16) -> Answer {
    let began = Instant::now();
    loop {
        let answer = get(addr, path).await;
        if answer.status == status {
            return answer;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{path} never answered {status}: {answer:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

impl Answer {
    fn read(bytes: &[u8]) -> Self {
        let text = String::from_utf8(bytes.to_vec()).expect("an answer is text");
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status line");
        let header = |line: &str| {
            let (name, value) = line.split_once(": ").expect("a header");
            (name.to_ascii_lowercase(), value.to_owned())
        };
        Answer {
            status: status.parse().expect("a status"),
            headers: lines.map(header).collect(),
            body: body.to_owned(),
        }
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// Metrics by name and labels.
#[derive(Debug, Default)]
pub struct Samples {
    values: BTreeMap<(String, BTreeMap<String, String>), f64>,
}

/// Labels of a series, by their names.
type Labels<'s> = BTreeMap<&'s str, &'s str>;

impl Samples {
    /// Reads Prometheus' text format (0.0.4), and panics at what a scraper would stumble over or a linter complain of.
    pub fn parse(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line ends");
        let mut samples = Samples::default();
        let mut kinds: BTreeMap<&str, &str> = BTreeMap::new();
        let mut helped = Vec::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap_or_else(|| panic!("no help in {line}"));
                assert!(!helped.contains(&name), "{name} is helped twice");
                assert!(help.ends_with('.'), "{line}");
                helped.push(name);
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap_or_else(|| panic!("no type in {line}"));
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert!(is_name(name) && name.starts_with("kitmirror_"), "{name}");
                assert_eq!(kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
                assert!(helped.last() == Some(&name), "{name} has no help before its type");
                assert!(kinds.insert(name, kind).is_none(), "{name} has two types");
            } else {
                let (name, labels, value) = sample(line);
                let family = ["_bucket", "_sum", "_count"]
                    .iter()
                    .find_map(|suffix| name.strip_suffix(suffix).filter(|family| kinds.contains_key(family)))
                    .unwrap_or(name);
                assert!(kinds.contains_key(family), "{name} has no type");
                let known = samples.values.insert((name.to_owned(), labels), value);
                assert!(known.is_none(), "twice: {line}");
            }
        }
        samples.buckets_grow();
        samples
    }

    /// The value of a series.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.values.get(&(format!("kitmirror_{name}"), labels)).copied()
    }

    /// The value of a series that only says whose it is.
    #[track_caller]
    pub fn of(&self, name: &str, object: &str) -> f64 {
        self.value(name, &[("object", object)]).unwrap_or_else(|| panic!("no {name} of {object}"))
    }

    fn buckets_grow(&self) {
        let mut last: BTreeMap<(&str, Labels<'_>), Vec<(f64, f64)>> = BTreeMap::new();
        for ((name, labels), value) in &self.values {
            let Some(family) = name.strip_suffix("_bucket") else { continue };
            let bound = labels["le"].parse().expect("a bound");
            let others = labels.iter().filter(|(name, _)| *name != "le");
            let others = others.map(|(name, value)| (name.as_str(), value.as_str())).collect();
            last.entry((family, others)).or_default().push((bound, *value));
        }
        for ((family, labels), mut buckets) in last {
            buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
            assert!(buckets.is_sorted_by(|a, b| a.1 <= b.1), "{family} {labels:?}: {buckets:?}");
            let (bound, all) = buckets.last().expect("one at least");
            let labels =
                labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            let count = self.values.get(&(format!("{family}_count"), labels));
            assert_eq!((bound, Some(all)), (&f64::INFINITY, count), "{family}");
        }
    }
}

/// `name{label="value"} 1.5`.
fn sample(line: &str) -> (&str, BTreeMap<String, String>, f64) {
    let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value in {line}"));
    let value = value.parse().unwrap_or_else(|_| panic!("no number in {line}"));
    let Some((name, rest)) = series.split_once('{') else {
        assert!(is_name(series), "{line}");
        return (series, BTreeMap::new(), value);
    };
    let inner = rest.strip_suffix('}').unwrap_or_else(|| panic!("no end of labels in {line}"));
    let label = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or_else(|| panic!("no label in {line}"));
        let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        let value = value.unwrap_or_else(|| panic!("no quotes in {line}"));
        assert!(is_name(name) && !value.contains(['"', '\\', '\n']), "{line}");
        (name.to_owned(), value.to_owned())
    };
    assert!(is_name(name), "{line}");
    (name, inner.split(',').map(label).collect(), value)
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}
