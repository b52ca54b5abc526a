//! Probes against a simulated account, under each answer the real API may give.

use base64::Engine as _;

use super::*;
use crate::kit::{Auth, ClientSettings};
use crate::simulator::{AccountPlan, Simulator, V3_SECRET, V4_KEY};

/// What probes find in an account that behaves like this.
async fn findings(version: ApiVersion, plan: AccountPlan, modes: &[&str]) -> Findings {
    let simulator = Simulator::new(plan);
    simulator.set_limit(None);
    for mode in modes {
        simulator.set_modes(|all| all.set(mode).unwrap());
    }
    let serving = simulator.serve_locally().await.unwrap();
    let (base_url, auth) = match version {
        ApiVersion::V3 => (serving.v3_url(), Auth::V3Secret(V3_SECRET.to_owned().into())),
        ApiVersion::V4 => (serving.v4_url(), Auth::V4Key(V4_KEY.to_owned().into())),
    };
    let kit = KitClient::new(ClientSettings { base_url, auth, requests_per_minute: 100_000 }).unwrap();
    run(&kit).await.unwrap()
}

fn about<'f>(findings: &'f Findings, id: &str) -> &'f str {
    &findings.findings.iter().find(|finding| finding.id == id).unwrap().finding
}

async fn told_apart(version: ApiVersion, cases: &[(&str, &str, &str)]) {
    for (mode, id, text) in cases {
        // A dozen people a day, so that every question can be decided.
        let plan = AccountPlan::new(900).spanning(chrono::TimeDelta::days(75));
        let found = findings(version, plan, &[mode]).await;
        let finding = about(&found, id);
        assert!(finding.contains(text), "{mode}: {id}: {finding}");
    }
}

#[tokio::test]
async fn what_v4_may_do_is_told_apart() {
    let cases = [
        ("filter_edge=inclusive", "created_after", "that very second included"),
        (
            "filter_edge=exclusive",
            "created_after",
            "that very second left out; a bare day is left out itself",
        ),
        (
            "filter_granularity=day",
            "created_after",
            "a time of day is ignored; a bare day is let through itself",
        ),
        ("filter_zone_hours=-8", "created_after", "a bare day is let through itself and begins by"),
        ("filter_edge=exclusive", "tagged_after", "that very second left out"),
        ("filter_edge=exclusive", "added_after", "that very second left out"),
        ("too_many_rows=clamp", "per_page", "it counts as 1000"),
        ("too_many_rows=422", "per_page", "refused with 422"),
        ("time_cursor=tie-breaker", "cursor_by_time", "[time, integer]"),
        ("time_cursor=strict-second", "cursor_by_time", "a bare time"),
        ("time_cursor=strict-second", "cursor_by_id", "[integer]"),
        ("count_scope=active", "subscriber_count", "active people only"),
        ("count_scope=all", "subscriber_count", "everybody"),
        ("date_missing=true", "clock", "no"),
        ("date_missing=false", "clock", "yes"),
    ];
    told_apart(ApiVersion::V4, &cases).await;
}

#[tokio::test]
async fn what_v3_may_do_is_told_apart() {
    let cases = [
        ("v3_subscriptions=all", "member_states", "yes"),
        ("v3_subscriptions=active", "member_states", "no: "),
        ("filter_edge=exclusive", "from", "that very second left out"),
        ("v3_order=asc", "default_order", "oldest first"),
        ("v3_order=desc", "default_order", "newest first"),
        ("beyond_end=empty", "beyond_the_end", "an empty one"),
        ("beyond_end=404", "beyond_the_end", "refused with 404"),
        ("v3_cancelled_at=true", "cancelled_time", "yes"),
        ("v3_cancelled_at=false", "cancelled_time", "no"),
        ("v3_tag_time=tag", "tag_time", "when the tag was made"),
        ("v3_tag_time=tagging", "tag_time", "when the person was tagged"),
    ];
    told_apart(ApiVersion::V3, &cases).await;
}

#[tokio::test]
async fn a_probe_takes_at_most_thirty_requests_and_shows_nothing_of_anybody() {
    for version in ApiVersion::ALL {
        for plan in [AccountPlan::new(3000), AccountPlan::new(3000).nasty(), AccountPlan::empty()] {
            let found = findings(version, plan, &[]).await;
            assert!(found.requests <= MOST_REQUESTS, "{version}: {}", found.requests);
            let shown = serde_json::to_string(&found).unwrap();
            assert!(!shown.contains('@'), "{shown}");
            // The simulator's ids have ten digits.
            let longest = shown.split(|c: char| !c.is_ascii_digit()).map(str::len).max();
            assert!(longest < Some(6), "{shown}");
            assert!(!shown.contains("used up"), "{shown}");
        }
    }
}

#[tokio::test]
async fn an_empty_account_decides_little_and_is_no_error() {
    for version in ApiVersion::ALL {
        let found = findings(version, AccountPlan::empty(), &[]).await;
        let open = found.findings.iter().filter(|finding| !finding.settled);
        assert!(open.clone().count() >= 4);
        for finding in open {
            assert!(finding.finding.starts_with("not enough data"), "{}: {}", finding.id, finding.finding);
        }
    }
}

#[test]
fn a_cursor_is_described_by_the_kinds_of_its_parts_only() {
    let described = |inside: &str| cursor_shape(&base64::engine::general_purpose::STANDARD.encode(inside));
    assert_eq!(described("[4287675149]"), "[integer]");
    assert_eq!(described("4287675149"), "a bare integer");
    assert_eq!(described("2023-01-27 11:43:55 UTC"), "a bare time, without a tie-breaker");
    assert_eq!(described(r#"["2023-01-27T11:43:55.000Z", 77]"#), "[time, integer]");
    assert_eq!(described("ann@example.com"), "text of another kind");
    assert_eq!(cursor_shape("%%%"), "not text in base64");
}

#[test]
fn every_question_has_an_id_of_its_own() {
    for probes in [v3::PROBES, v4::PROBES] {
        let mut ids: Vec<&str> = probes.iter().map(|probe| probe.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), probes.len());
    }
}
