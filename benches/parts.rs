//! The parts of a row's way that only compute, each by itself: see README.md here.

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use kitmirror::error::Result;
use kitmirror::kit::{Ledger, Limiter, Memory, Page, Precedence, parse};
use kitmirror::model::objects::SUBSCRIBERS;
use kitmirror::model::{ApiVersion, Endpoint, Mapping, Time, time};
use kitmirror::simulator::{AccountPlan, Simulator};
use parking_lot::Mutex;
use std::fmt;
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;
use tokio::runtime::{Builder, Runtime};

fn main() {
    divan::main();
}

// --- Pages ----------------------------------------------------------------------------------------------------

/// A page of subscribers, as large as the API version makes them.
struct Subscribers {
    version: ApiVersion,
    custom_fields: usize,
}

/// 140 is as many custom fields as Kit allows.
const PAGES: [Subscribers; 3] = [
    Subscribers { version: ApiVersion::V4, custom_fields: 3 },
    Subscribers { version: ApiVersion::V4, custom_fields: 140 },
    Subscribers { version: ApiVersion::V3, custom_fields: 3 },
];

impl fmt::Display for Subscribers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} rows, {} fields", self.version, self.rows(), self.custom_fields)
    }
}

impl Subscribers {
    fn rows(&self) -> usize {
        match self.version {
            ApiVersion::V4 => 1000,
            ApiVersion::V3 => 50,
        }
    }

    fn endpoint(&self) -> &'static Endpoint {
        SUBSCRIBERS.endpoint(self.version).expect("subscribers are a list in both versions")
    }

    /// What the simulated Kit answers.
    fn body(&self) -> String {
        let kit = Simulator::new(AccountPlan::new(2000).custom_fields(self.custom_fields));
        let (status, body) = kit.ask(match self.version {
            ApiVersion::V4 => "/v4/subscribers?status=all&per_page=1000",
            ApiVersion::V3 => "/v3/subscribers?sort_order=asc",
        });
        assert_eq!(status, 200, "{body}");
        body
    }

    fn page(&self, body: String) -> Page {
        let Endpoint { list, paging, .. } = self.endpoint();
        parse(body, list, *paging, Time::UNIX_EPOCH).expect("the simulator answers with pages")
    }
}

/// Body → page.
#[divan::bench(args = &PAGES)]
fn page(bencher: Bencher<'_, '_>, subscribers: &Subscribers) {
    let body = subscribers.body();
    assert_eq!(subscribers.page(body.clone()).listed, subscribers.rows());
    bencher
        .counter(ItemsCount::new(subscribers.rows()))
        .counter(BytesCount::of_str(&body))
        .with_inputs(|| body.clone())
        .bench_values(|body| subscribers.page(body));
}

/// Records → rows.
#[divan::bench(args = &PAGES)]
fn rows(bencher: Bencher<'_, '_>, subscribers: &Subscribers) {
    let page = subscribers.page(subscribers.body());
    let mapping = Mapping::new(&SUBSCRIBERS, subscribers.endpoint(), subscribers.version, "");
    assert_eq!(mapping.rows(page.records()).rows.len(), subscribers.rows());
    bencher
        .counter(ItemsCount::new(subscribers.rows()))
        .counter(BytesCount::new(page.records().map(str::len).sum::<usize>()))
        .bench(|| mapping.rows(page.records()));
}

// --- Dates ----------------------------------------------------------------------------------------------------

/// As Kit writes them, as its documents do, and with an offset.
const DATES: [&str; 4] = [
    "2026-09-15T12:00:00Z",
    "2018-02-15T19:40:24.913Z",
    "2023-01-27 11:43:55 UTC",
    "2023-02-10T00:00:00-05:00",
];

/// A date takes less time than a look at the clock is sure of: they are read by the thousand.
const DATES_AT_ONCE: u32 = 1000;

#[divan::bench(args = DATES, sample_size = DATES_AT_ONCE)]
fn date_read(bencher: Bencher<'_, '_>, text: &str) {
    bencher.counter(ItemsCount::new(1_usize)).bench(|| time::parse(black_box(text)));
}

#[divan::bench(sample_size = DATES_AT_ONCE)]
fn date_written(bencher: Bencher<'_, '_>) {
    let date = time::parse(DATES[0]).expect("a date");
    bencher.counter(ItemsCount::new(1_usize)).bench(|| time::text(black_box(date)));
}

// --- The limiter ----------------------------------------------------------------------------------------------

/// What Kit allows a token in a minute, and a job that fits into it: it goes at once.
const LIMIT: u32 = 600;
const REQUESTS: u64 = 100;

#[divan::bench]
fn limiter(bencher: Bencher<'_, '_>) {
    acquire(bencher, || Limiter::new(LIMIT));
}

/// With a ledger that only this process reads: what a database adds to it is the database's.
#[divan::bench]
fn limiter_with_ledger(bencher: Bencher<'_, '_>) {
    acquire(bencher, || {
        let limiter = Limiter::new(LIMIT);
        limiter.remember_in(Arc::new(InMemory::default()));
        limiter
    });
}

fn acquire(bencher: Bencher<'_, '_>, limiter: impl Fn() -> Limiter + Sync) {
    let runtime: Runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
    bencher.counter(ItemsCount::new(REQUESTS)).with_inputs(limiter).bench_local_refs(|limiter| {
        runtime.block_on(async {
            let _job = limiter.expect(REQUESTS);
            for _ in 0..REQUESTS {
                limiter.acquire(Precedence::Following).await.expect("a ledger in memory takes everything");
            }
        });
    });
}

#[derive(Default)]
struct InMemory(Mutex<Memory>);

impl Ledger for InMemory {
    fn record(&self, memory: Memory) -> Pin<Box<dyn Future<Output = Result<()>> + Send + '_>> {
        *self.0.lock() = memory;
        Box::pin(ready(Ok(())))
    }
}
