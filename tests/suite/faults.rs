//! Faults of transport and of HTTP: after each the run is complete and true, or it failed for the reason
//! that is documented, with its watermark where it was and nothing lost after the next run.

use crate::ENGINE;
use crate::support::judge::{Judge, Strictness};
use crate::support::scene::{few, people};
use crate::support::tls::{Authority, Flaw};
use crate::support::{Api, Binary, Mirror, kit, versions};
use futures_util::future::join_all;
use kitmirror::error::Kind;
use kitmirror::replication::{ObjectReport, Report};
use kitmirror::simulator::{
    AccountPlan, Action, Blank, Fault, Junk, PageFault, Request, RetryHint, Serving, Simulator,
};
use kitmirror::store::Outcome;
use std::time::Duration;

/// An account in whose v4 lists a page has 50 rows, as it has in v3.
async fn paged_kit(plan: AccountPlan) -> (Simulator, Serving) {
    let (sim, serving) = kit(plan).await;
    sim.set_modes(|modes| modes.page_cap = Some(50));
    (sim, serving)
}

/// Every route that a run asks.
fn routes(api: Api) -> &'static [&'static str] {
    match api {
        Api::V3 => &[
            "/v3/account",
            "/v3/forms",
            "/v3/sequences",
            "/v3/tags",
            "/v3/broadcasts",
            "/v3/broadcasts/*",
            "/v3/subscribers",
            "/v3/forms/*/subscriptions",
            "/v3/sequences/*/subscriptions",
            "/v3/tags/*/subscriptions",
        ],
        _ => &[
            "/v4/account",
            "/v4/forms",
            "/v4/sequences",
            "/v4/tags",
            "/v4/broadcasts",
            "/v4/subscribers",
            "/v4/forms/*/subscribers",
            "/v4/sequences/*/subscribers",
            "/v4/tags/*/subscribers",
        ],
    }
}

/// One run of a fresh mirror while these faults strike: it comes through, and everything is there once.
async fn comes_through(api: Api, faults: Vec<Fault>) -> (Simulator, Report) {
    let (sim, serving) = paged_kit(few()).await;
    let mirror = Mirror::furnished().await;
    let named: Vec<_> =
        faults.into_iter().map(|fault| (format!("{fault:?}"), sim.faults().add(fault))).collect();
    let report = mirror.sync(&serving, api).await;
    for (name, id) in named {
        assert!(sim.faults().fired(id) > Some(0), "{api:?}: never struck: {name}");
    }
    Judge::compare(&mirror, &sim, api, Strictness::Equal).await.agrees();
    (sim, report)
}

/// The same for each fault by itself, in both versions, side by side. `faults` gets the route of people.
async fn each_comes_through(faults: impl Fn(Api, &str) -> Vec<Fault>) {
    let cases = versions().flat_map(|api| {
        let faults = faults(api, people(api));
        faults.into_iter().map(move |fault| comes_through(api, vec![fault]))
    });
    join_all(cases).await;
}

/// A mirror that is complete, then new people and a run under a fault that ends it: the object failed as
/// documented, no watermark moved, and the run after it makes up for everything.
async fn fails_and_makes_up(api: Api, object: &str, kind: Kind, fault: Fault) {
    let (sim, serving) = paged_kit(few()).await;
    let mirror = Mirror::furnished().await;
    mirror.sync(&serving, api).await;
    sim.change(|account| account.import_subscribers(70));
    let before = watermark(&mirror, object).await;

    let id = sim.faults().add(fault);
    let names = kitmirror::model::objects::names();
    let report = mirror.run(&serving, api, None, &names).await.expect("the session opens");
    assert!(sim.faults().fired(id) > Some(0));
    let one = of(&report, object);
    let wanted = if kind == Kind::SourceRefused { Outcome::Unavailable } else { Outcome::Failed };
    assert_eq!((one.outcome, one.advice), (wanted, Some(kind.policy().advice)), "{one:?}");
    assert!(!report.is_complete());
    assert_eq!(watermark(&mirror, object).await, before);
    let state = if kind == Kind::SourceRefused { "unavailable" } else { "failed" };
    let shown = format!("select state from sync_status where object = '{object}'");
    assert_eq!(mirror.texts(&shown).await, [state]);

    sim.faults().clear();
    mirror.sync(&serving, api).await;
    Judge::compare(&mirror, &sim, api, Strictness::Equal).await.agrees();
    assert_eq!(mirror.texts(&shown).await, ["ok"]);
}

async fn watermark(mirror: &Mirror, object: &str) -> Vec<String> {
    let sql = format!(
        "select \"partition\", watermark, completed_at from sync_state where object = '{object}' order by 1"
    );
    mirror.lines(&sql).await
}

fn of<'r>(report: &'r Report, object: &str) -> &'r ObjectReport {
    report.objects.iter().find(|one| one.object == object).expect("the object ran")
}

/// Requests that arrive so soon after an answer may have been sent before it was read, on a machine that has much to do.
const ON_THEIR_WAY: Duration = Duration::from_millis(180);

/// How long after the first answer with that status nothing was asked. Requests that were on their way
/// already do not count.
fn silence_after(requests: &[Request], status: u16) -> Duration {
    let struck = requests.iter().find(|one| one.status == status).expect("the status was answered").arrived;
    let later = requests.iter().map(|one| one.arrived).filter(|at| *at > struck + ON_THEIR_WAY);
    later.min().expect("something was asked later") - struck
}

/// H-01. What Kit asks for is waited for; what makes no sense is waited for as if it had said nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_429_is_waited_out_as_long_as_it_asks_for() {
    let half = Duration::from_millis(500);
    let cases = [
        (RetryHint::Seconds(2), Duration::from_secs(2)),
        (RetryHint::Seconds(0), half),
        (RetryHint::Seconds(-1), half),
        (RetryHint::DateIn(3), Duration::from_secs(2)),
        (RetryHint::DateIn(-30), half),
        (RetryHint::Text("soon".to_owned()), half),
        (RetryHint::Text(String::new()), half),
        (RetryHint::Text("1e9".to_owned()), half),
    ];
    let all = versions().flat_map(|api| {
        cases.clone().map(|(hint, least)| async move {
            let fault = Fault::new(Action::TooMany(hint.clone(), Blank::Json)).on(people(api)).nth(2);
            let (sim, report) = comes_through(api, vec![fault]).await;
            let silence = silence_after(&sim.requests(), 429);
            assert!(silence >= least && silence < least + Duration::from_secs(3), "{hint:?}: {silence:?}");
            assert_eq!(of(&report, "subscribers").counts.retries, 1);
        })
    });
    join_all(all).await;
}

/// H-02. Other partitions that are read side by side wait as well.
#[tokio::test(flavor = "multi_thread")]
async fn a_429_without_a_word_makes_everybody_wait() {
    let cases = versions().flat_map(|api| {
        [Blank::Empty, Blank::Plain, Blank::Html].map(|blank| async move {
            let (sim, serving) = kit(few().tags(8)).await;
            let members = if api == Api::V3 { "/v3/tags/*/subscriptions" } else { "/v4/tags/*/subscribers" };
            sim.faults().add(Fault::new(Action::TooMany(RetryHint::Absent, blank)).on(members).nth(1));
            // The others come back while the first one waits, and would go on with the tags that are left.
            sim.faults()
                .add(Fault::new(Action::Delay(Duration::from_millis(200))).on(members).requests(2..=4));
            let mirror = Mirror::furnished().await;
            mirror.sync(&serving, api).await;
            let silence = silence_after(&sim.requests(), 429);
            assert!(silence >= Duration::from_millis(450), "{api:?} {blank:?}: {silence:?}");
            Judge::compare(&mirror, &sim, api, Strictness::Equal).await.agrees();
        })
    });
    join_all(cases).await;
}

/// H-04, M20. Whatever route they hit, and whatever they look like.
#[tokio::test(flavor = "multi_thread")]
async fn an_error_of_the_server_costs_a_retry_and_no_row() {
    let looks = [Blank::Json, Blank::Empty, Blank::Plain, Blank::Html];
    let cases = versions().flat_map(|api| {
        [500, 502, 503, 504].into_iter().zip(looks).enumerate().map(move |(at, (status, look))| async move {
            // Each status takes its share of the routes, so that the waits of one run stay short.
            let struck = routes(api).iter().skip(at).step_by(4);
            let faults: Vec<Fault> =
                struck.map(|route| Fault::new(Action::Status(status, look)).on(route).nth(1)).collect();
            comes_through(api, faults).await;
        })
    });
    join_all(cases).await;
}

/// H-04, M20. The page that failed is the page that is asked for again, twice in a row if need be.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_fails_is_never_skipped() {
    join_all(versions().map(|api| async move {
        let (sim, report) =
            comes_through(api, vec![Fault::status(503).on(people(api)).requests(2..=3)]).await;
        assert_eq!(of(&report, "subscribers").counts.retries, 2);
        let asked: Vec<String> =
            sim.requests().into_iter().filter(|one| one.path == people(api)).map(|one| one.query).collect();
        // Of v4's list, a page from each end.
        let (failed, later) = (&asked[1..3], &asked[3..]);
        assert!(failed.iter().all(|query| later.contains(query)), "{failed:?}, {later:?}");
    }))
    .await;
}

/// H-05. A host that refuses connections for a moment, in the middle of a run.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_gone_for_a_moment_is_waited_for() {
    join_all(versions().map(|api| async move {
        let (sim, serving) = paged_kit(AccountPlan::new(400)).await;
        sim.faults().add(Fault::new(Action::Delay(Duration::from_millis(10))));
        let mirror = Mirror::furnished().await;
        let running = Binary::of(&mirror, &serving, api).start(&["sync"]);
        while sim.request_count() < 8 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let address = serving.addr();
        serving.stop().await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let again = sim.serve(address).await.expect("the port is free again");
        running.end().await.ended_with(0).says(&["asking again"]);
        drop(again);
        Judge::compare(&mirror, &sim, api, Strictness::Equal).await.agrees();
    }))
    .await;
}

/// H-05, S-05. A certificate that is not in order ends it at once, with a word about certificates; the
/// same host with a good one is spoken to.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_not_in_order_is_refused() {
    let authority = Authority::new();
    join_all(Flaw::ALL.map(|flaw| {
        let address = authority.host(flaw);
        let roots = authority.pem.clone();
        async move {
            let mirror = Mirror::new().await;
            let file = mirror.folder().join("roots.pem");
            std::fs::write(&file, roots).expect("the roots are written");
            let binary = Binary::at(&mirror)
                .set("SSL_CERT_FILE", file.display().to_string())
                .set("KIT_API_KEY", "a-key")
                .set("KITMIRROR_KIT_API_URL", format!("https://localhost:{}/v4", address.port()));
            let ran = binary.run(&["sync"]).await;
            if flaw == Flaw::None {
                ran.ended_with(2).says(&["does not accept the credential"]);
            } else {
                ran.ended_with(5).says(&["the TLS connection was refused", "root certificates"]);
            }
            assert!(ran.took < Duration::from_secs(5), "{flaw:?}: {:?}", ran.took);
            assert!(mirror.relations().await.is_empty(), "nothing was made");
        }
    }))
    .await;
}

/// H-06. At the first and last bytes and in between, by reset and in good order.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_breaks_off_is_thrown_away_whole() {
    each_comes_through(|api, route| {
        let first = match api {
            Api::V3 => "/v3/subscribers?sort_order=asc&page=1",
            _ => {
                "/v4/subscribers?status=all&sort_field=id&sort_order=asc&per_page=50&include_total_count=true"
            }
        };
        let length = Simulator::new(few()).ask(first).1.len();
        let offsets = [0, 1, length / 2, length - 1];
        let resets = offsets.map(|bytes| Action::ResetInBody { bytes: bytes as u64 });
        let cuts = offsets.map(|bytes| Action::CutBody { bytes });
        let all = [Action::ResetBeforeHeaders].into_iter().chain(resets).chain(cuts);
        all.map(|action| Fault::new(action).on(route).nth(1)).collect()
    })
    .await;
}

/// H-07. Slow is not broken: nothing is asked for again.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_answer_is_waited_for() {
    let cases = versions().flat_map(|api| {
        [
            Action::Drip { bytes: 200, pause: Duration::from_millis(20) },
            Action::Delay(Duration::from_millis(800)),
        ]
        .map(|action| async move {
            let (_, report) = comes_through(api, vec![Fault::new(action).on(people(api)).nth(1)]).await;
            assert_eq!(report.total().retries, 0);
        })
    });
    join_all(cases).await;
}

/// H-08. JSON that ends early, under a length that agrees with it.
#[tokio::test(flavor = "multi_thread")]
async fn truncated_json_is_asked_for_again() {
    each_comes_through(|_, route| {
        [0, 1, 40, 2_000].map(|bytes| Fault::new(Action::TruncateBody { bytes }).on(route).nth(2)).into()
    })
    .await;
}

/// H-09, M18. An answer that is none is never an empty page, whatever its status says.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_an_answer_is_not_an_empty_list() {
    each_comes_through(|_, route| {
        let junk = ["{}", "[]", "null", "\"\"", r#"{"subscribers":null}"#, r#"{"subscribers":[]}"#]
            .map(|text| Action::Junk(Junk::Json(text.to_owned())));
        let other = [
            Action::Junk(Junk::Html),
            Action::Junk(Junk::Plain),
            Action::Junk(Junk::Empty),
            Action::Junk(Junk::InvalidUtf8),
            Action::Junk(Junk::Deep(10_000)),
            Action::ContentType("text/plain".to_owned()),
            Action::AnswerWith(204),
            Action::AnswerWith(206),
            Action::AnswerWith(304),
            Action::Page(PageFault::NullList),
            Action::Page(PageFault::NoList),
            Action::Page(PageFault::NoPagination),
        ];
        junk.into_iter().chain(other).map(|action| Fault::new(action).on(route).nth(1)).collect()
    })
    .await;
}

/// H-10, S-07. Not one byte, least of all a credential, reaches the place a redirect points to.
#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_to_another_host_is_not_followed() {
    let cases = versions().flat_map(|api| {
        [301, 302, 307].map(|status| async move {
            let (other, elsewhere) = kit(few()).await;
            let target = format!("http://{}{}", elsewhere.addr(), people(api));
            let fault = Fault::new(Action::Redirect(status, target)).on(people(api));
            fails_and_makes_up(api, "subscribers", Kind::SourceShape, fault).await;
            assert_eq!(other.request_count(), 0);
        })
    });
    join_all(cases).await;
}

/// H-10. Nor a redirect to the same place, which would never end.
#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_loop_ends_at_its_first_turn() {
    join_all(versions().map(|api| async move {
        let (sim, serving) = kit(few()).await;
        sim.faults().add(Fault::new(Action::Redirect(308, people(api).to_owned())).on(people(api)));
        let report = Mirror::furnished()
            .await
            .run(&serving, api, None, &["subscribers"])
            .await
            .expect("the session opens");
        assert_eq!(of(&report, "subscribers").counts.requests, 1);
    }))
    .await;
}

/// H-11, S-12, S-18. In v4 smaller pages are asked for; v3 knows one size of page only. Memory holds either way.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_without_bounds_is_given_up_at_32_mib() {
    let bodies = [Action::GzipBomb(10 << 30), Action::HugeBody(200 << 20), Action::EndlessBody];
    for body in bodies {
        join_all(versions().map(|api| {
            let body = body.clone();
            async move {
                let (sim, serving) = kit(few()).await;
                let mirror = Mirror::furnished().await;
                let fault = sim.faults().add(Fault::new(body.clone()).on(people(api)).nth(1));
                let binary = Binary::of(&mirror, &serving, api);
                let (ran, peak) = binary.start(&["sync"]).end_with_peak().await;
                assert_eq!(sim.faults().fired(fault), Some(1));
                assert!((1..=128 << 10).contains(&peak), "{body:?}: {peak} KiB");
                if api == Api::V3 {
                    ran.ended_with(5).says(&["subscribers", "more than 32 MiB"]);
                    binary.run(&["sync"]).await.ended_with(0);
                } else {
                    ran.ended_with(0);
                }
                Judge::compare(&mirror, &sim, api, Strictness::Equal).await.agrees();
            }
        }))
        .await;
    }
}

/// H-11, G-09. Pages of people with more than 32 MiB of custom fields are halved until they fit.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_too_large_is_asked_for_in_halves() {
    let (sim, serving) = kit(AccountPlan::new(300).tags(0).forms(0).sequences(0).broadcasts(0)).await;
    let fields = format!(r#"{{"letter":"{}"}}"#, "x".repeat(200_000));
    let large = kitmirror::simulator::Mutation::Set("fields".to_owned(), fields);
    sim.faults().add(Fault::rows(kitmirror::simulator::Which::All, large).on("/v4/subscribers"));
    let mirror = Mirror::furnished().await;
    let report = mirror.run(&serving, Api::V4, None, &["subscribers"]).await.expect("the session opens");
    assert_eq!(of(&report, "subscribers").outcome, Outcome::Complete, "{report:#?}");
    let long = format!("select count(*) from subscribers where {} > 200000", ENGINE.json_length("fields"));
    assert_eq!(mirror.number(&long).await, 300);
    let asked: Vec<String> = sim
        .requests()
        .iter()
        .filter(|one| one.path == "/v4/subscribers")
        .filter_map(|one| {
            one.query.split('&').find_map(|pair| pair.strip_prefix("per_page=")).map(str::to_owned)
        })
        .collect();
    assert_eq!(asked, ["1000", "500", "250", "125", "125", "125"]);
}

/// H-12. Too many headers and one that is too large: that answer is refused, the next one is taken.
#[tokio::test(flavor = "multi_thread")]
async fn headers_without_bounds_cost_a_retry() {
    each_comes_through(|_, route| {
        [Action::ManyHeaders(10_000), Action::HugeHeader(1 << 20)]
            .map(|action| Fault::new(action).on(route).nth(1))
            .into()
    })
    .await;
}

/// H-12, S-18. In every answer of a list, in the memory that is promised: they are given up before they fill it.
#[tokio::test(flavor = "multi_thread")]
async fn headers_without_bounds_take_no_memory() {
    join_all(versions().map(|api| async move {
        let (sim, serving) = kit(few()).await;
        let many = sim.faults().add(Fault::new(Action::ManyHeaders(100_000)).on(people(api)).every(2));
        let huge = sim.faults().add(Fault::new(Action::HugeHeader(64 << 20)).on(people(api)).nth(1));
        let mirror = Mirror::furnished().await;
        let (ran, peak) = Binary::of(&mirror, &serving, api).start(&["sync"]).end_with_peak().await;
        assert!(sim.faults().fired(many) > Some(0) && sim.faults().fired(huge) == Some(1));
        assert!((1..=128 << 10).contains(&peak), "{peak} KiB");
        ran.ended_with(0);
        Judge::compare(&mirror, &sim, api, Strictness::Equal).await.agrees();
    }))
    .await;
}

/// H-14. A kept connection that is reset when it is used again.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_dies_between_two_requests_is_replaced() {
    each_comes_through(|_, route| {
        vec![
            Fault::new(Action::ResetNextRequest).on(route).nth(1),
            Fault::new(Action::ResetNextRequest).on(route).nth(2),
        ]
    })
    .await;
}

/// T-06, M21. No watermark and no patience hangs on a `Date` header.
#[tokio::test(flavor = "multi_thread")]
async fn answers_without_a_date_are_answers() {
    each_comes_through(|_, _| vec![Fault::new(Action::NoDate)]).await;
}

/// A-03, A-04, A-05, M19. Refused in the middle of its list: the object waits, the others go on.
#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_refused_is_unavailable_until_it_is_not() {
    let cases = versions().flat_map(|api| {
        [401, 402, 403].map(|status| {
            let fault = Fault::status(status).on(people(api)).from_nth(2);
            fails_and_makes_up(api, "subscribers", Kind::SourceRefused, fault)
        })
    });
    join_all(cases).await;
}

/// A-03. Revoked in the middle of a run: everything is refused from then on, and nothing is lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_revoked_in_the_middle_of_a_run_costs_nothing_but_time() {
    join_all(versions().map(|api| async move {
        let (sim, serving) = paged_kit(few()).await;
        let mirror = Mirror::furnished().await;
        let binary = Binary::of(&mirror, &serving, api);
        for requests in [1, 4, 9] {
            let revoked = sim.faults().add(Fault::status(401).from_nth(1 + requests));
            binary.run(&["sync"]).await.ended_with(2);
            sim.faults().remove(revoked);
        }
        binary.run(&["sync"]).await.ended_with(0);
        Judge::compare(&mirror, &sim, api, Strictness::Equal).await.agrees();
    }))
    .await;
}

/// H-04, M20. What Kit does not understand is not asked for again and again.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_kit_does_not_understand_fails_its_object_only() {
    let cases = versions().flat_map(|api| {
        [400, 422].map(|status| {
            let fault = Fault::status(status).on(people(api));
            fails_and_makes_up(api, "subscribers", Kind::SourceBadRequest, fault)
        })
    });
    join_all(cases).await;
}
