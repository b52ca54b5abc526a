//! What only a socket shows: headers, the rate limit, compression, and answers that are cut, stalled or
//! endless.

use std::io::Read as _;
use std::time::{Duration, Instant};

use chrono::TimeDelta;

use super::client::{Received, ask, connect, receive, send};
use crate::simulator::{
    AccountPlan, Action, Blank, Fault, RetryAfter, RetryHint, Serving, Simulator, V3_SECRET,
};

const LIST: &str = "/v4/subscribers?status=all&per_page=10";

async fn started() -> (Simulator, Serving) {
    let simulator = super::still(AccountPlan::small());
    let serving = simulator.serve_locally().await.expect("a free port");
    (simulator, serving)
}

async fn faulty(action: Action) -> (Received, Simulator) {
    let (simulator, serving) = started().await;
    simulator.faults().add(Fault::new(action));
    (ask(&serving, LIST, "").await, simulator)
}

#[tokio::test]
async fn both_versions_answer_on_one_port_with_the_usual_headers() {
    let (simulator, serving) = started().await;
    assert!(serving.v4_url().ends_with("/v4") && serving.v3_url().ends_with("/v3"));
    let answer = ask(&serving, LIST, "").await;
    assert_eq!(answer.status(), Some(200));
    assert_eq!(answer.header("date").as_deref(), Some("Tue, 15 Sep 2026 12:00:00 GMT"));
    assert!(answer.header("etag").is_some_and(|tag| tag.starts_with("W/\"")));
    assert!(answer.header("x-request-id").is_some());
    assert_eq!(answer.header("content-type").as_deref(), Some("application/json; charset=utf-8"));
    let etag = answer.header("etag").expect("a tag");
    assert_eq!(ask(&serving, LIST, &format!("If-None-Match: {etag}\r\n")).await.status(), Some(304));
    let v3 = ask(&serving, &format!("/v3/subscribers?api_secret={V3_SECRET}"), "").await;
    assert_eq!(v3.status(), Some(200));
    let requests = simulator.requests();
    assert_eq!(requests.iter().map(|request| request.status).collect::<Vec<_>>(), [200, 304, 200]);
    assert_eq!(requests[0].header("host"), Some("sim"));
}

#[tokio::test]
async fn the_date_header_can_be_wrong_or_missing() {
    let (simulator, serving) = started().await;
    simulator.clock().set_skew(TimeDelta::days(1));
    assert_eq!(
        ask(&serving, LIST, "").await.header("date").as_deref(),
        Some("Wed, 16 Sep 2026 12:00:00 GMT")
    );
    simulator.set_modes(|modes| modes.date_missing = true);
    let answer = ask(&serving, LIST, "").await;
    assert_eq!((answer.status(), answer.header("date")), (Some(200), None));
    assert!(serde_json::from_slice::<serde_json::Value>(answer.body()).is_ok());
}

#[tokio::test]
async fn the_121st_request_within_a_minute_is_refused() {
    let (simulator, serving) = started().await;
    simulator.set_usual_limit();
    for _ in 0..120 {
        assert_eq!(simulator.ask("/v4/tags").0, 200);
    }
    let refused = ask(&serving, LIST, "").await;
    assert_eq!((refused.status(), refused.body().len(), refused.header("retry-after")), (Some(429), 0, None));
    assert_eq!(simulator.ask("/v3/tags").0, 200, "another credential has its own window");
    simulator.set_modes(|modes| modes.limit_retry_after = RetryAfter::Seconds);
    let wait = ask(&serving, LIST, "").await.header("retry-after").and_then(|text| text.parse::<u64>().ok());
    assert!(wait.is_some_and(|seconds| (50..=61).contains(&seconds)), "{wait:?}");
    assert_eq!(simulator.requests().last().map(|request| request.status), Some(429));
    simulator.set_limit(None);
    assert_eq!(simulator.ask("/v4/tags").0, 200);
}

#[tokio::test]
async fn large_answers_are_compressed_for_those_who_accept_it() {
    let (simulator, serving) = started().await;
    let path = "/v4/subscribers?status=all";
    let answer = ask(&serving, path, "Accept-Encoding: gzip\r\n").await;
    assert_eq!(answer.header("content-encoding").as_deref(), Some("gzip"));
    let mut text = String::new();
    flate2::read::GzDecoder::new(answer.body()).read_to_string(&mut text).expect("gzip");
    assert_eq!(text, simulator.ask(path).1);
    assert!(answer.body().len() * 3 < text.len());
    simulator.set_modes(|modes| modes.gzip = false);
    assert_eq!(ask(&serving, path, "Accept-Encoding: gzip\r\n").await.header("content-encoding"), None);
}

#[tokio::test]
async fn a_connection_is_reset_before_headers_after_them_and_at_any_byte() {
    let (cut, simulator) = faulty(Action::ResetBeforeHeaders).await;
    assert_eq!((cut.bytes.len(), cut.error), (0, Some(std::io::ErrorKind::ConnectionReset)));
    assert_eq!(simulator.requests()[0].status, 0);
    for bytes in [0, 1, 1_000] {
        let (cut, _) = faulty(Action::ResetInBody { bytes }).await;
        assert_eq!((cut.status(), cut.body().len() as u64), (Some(200), bytes));
        assert!(cut.error.is_some(), "a reset, not an end");
        let promised: u64 = cut.header("content-length").and_then(|n| n.parse().ok()).expect("a length");
        assert!(promised > bytes);
    }
}

#[tokio::test]
async fn a_body_ends_early_with_the_wrong_length_or_the_right_one() {
    let (cut, _) = faulty(Action::CutBody { bytes: 100 }).await;
    let promised: usize = cut.header("content-length").and_then(|n| n.parse().ok()).expect("a length");
    assert!(cut.body().len() == 100 && promised > 1_000);
    let (cut, _) = faulty(Action::TruncateBody { bytes: 100 }).await;
    assert_eq!((cut.body().len(), cut.header("content-length").as_deref()), (100, Some("100")));
}

#[tokio::test]
async fn an_answer_stalls_drips_or_comes_late() {
    let (stalled, _) = faulty(Action::StallBeforeHeaders).await;
    assert!(stalled.hung && stalled.bytes.is_empty());
    let (stalled, _) = faulty(Action::StallBody { after: 10 }).await;
    assert!(stalled.hung && stalled.body().len() == 10);
    let (dripped, _) = faulty(Action::Drip { bytes: 1, pause: Duration::from_secs(1) }).await;
    assert!(dripped.hung && dripped.body().len() == 1);
    let started = Instant::now();
    let (late, _) = faulty(Action::Delay(Duration::from_millis(300))).await;
    assert!(late.status() == Some(200) && started.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn bodies_are_endless_huge_or_bombs() {
    let (endless, _) = faulty(Action::EndlessBody).await;
    assert!(endless.bytes.len() > 32 << 20, "it goes on and on");
    let (huge, _) = faulty(Action::HugeBody(1_000_000)).await;
    assert_eq!(huge.header("transfer-encoding").as_deref(), Some("chunked"));
    assert!(huge.bytes.len() > 1_000_000);
    let (bomb, _) = faulty(Action::GzipBomb(200 << 20)).await;
    assert_eq!(bomb.header("content-encoding").as_deref(), Some("gzip"));
    assert!(bomb.body().len() < 1 << 20, "{} bytes on the wire", bomb.body().len());
}

#[tokio::test]
async fn headers_are_many_or_large() {
    let (many, _) = faulty(Action::ManyHeaders(10_000)).await;
    assert_eq!(many.text().matches("\r\nx-extra-").count(), 10_000);
    let (large, _) = faulty(Action::HugeHeader(1 << 20)).await;
    assert_eq!(large.header("x-huge").map(|value| value.len()), Some(1 << 20));
}

#[tokio::test]
async fn redirects_carry_the_query_and_429s_their_hint() {
    let (redirect, _) = faulty(Action::Redirect(302, "http://127.0.0.1:1/elsewhere".into())).await;
    assert_eq!(redirect.status(), Some(302));
    assert_eq!(
        redirect.header("location").as_deref(),
        Some("http://127.0.0.1:1/elsewhere?status=all&per_page=10")
    );
    for (hint, wanted) in [
        (RetryHint::Seconds(7), Some("7")),
        (RetryHint::Text("soon".into()), Some("soon")),
        (RetryHint::DateIn(60), Some("Tue, 15 Sep 2026 12:01:00 GMT")),
        (RetryHint::Absent, None),
    ] {
        let (refused, _) = faulty(Action::TooMany(hint, Blank::Empty)).await;
        assert_eq!((refused.status(), refused.header("retry-after").as_deref()), (Some(429), wanted));
    }
    for status in [204, 206, 304] {
        let (answer, _) = faulty(Action::AnswerWith(status)).await;
        assert_eq!(answer.status(), Some(status));
    }
}

#[tokio::test]
async fn a_kept_connection_is_reset_when_it_is_used_again() {
    let (simulator, serving) = started().await;
    simulator.faults().add(Fault::new(Action::ResetNextRequest).nth(1));
    let mut stream = connect(&serving).await;
    send(&mut stream, LIST, "").await;
    let first = receive(&mut stream).await;
    assert!(first.status() == Some(200) && first.hung, "the connection stays open");
    send(&mut stream, LIST, "").await;
    let second = receive(&mut stream).await;
    assert!(second.bytes.is_empty() && second.error.is_some(), "{second:?}");
    assert_eq!(simulator.request_count(), 1, "the second request was never heard");
}

#[tokio::test]
async fn it_stops_at_once_and_can_start_again_on_the_same_port() {
    let (simulator, serving) = started().await;
    simulator.faults().add(Fault::new(Action::StallBeforeHeaders).nth(1));
    let addr = serving.addr();
    let mut hanging = connect(&serving).await;
    send(&mut hanging, LIST, "").await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let started = Instant::now();
    serving.stop().await;
    assert!(started.elapsed() < Duration::from_secs(2));
    assert!(receive(&mut hanging).await.bytes.is_empty());
    assert!(tokio::net::TcpStream::connect(addr).await.is_err(), "nobody listens");
    let again = simulator.serve(addr).await.expect("the port is free");
    assert_eq!(ask(&again, LIST, "").await.status(), Some(200));
}
