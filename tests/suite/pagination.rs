//! Lists that move while they are read, and pages that are not what they should be: a pass is complete or
//! it failed with its watermark where it was; it is never silently short.

use crate::support::judge::Strictness;
use crate::support::scene::{narrow, of, outcome, people};
use crate::support::{Api, Scene, shared, versions};
use chrono::TimeDelta;
use kitmirror::replication::Report;
use kitmirror::simulator::{
    Account, AccountPlan, Action, Bumps, ChangeKind, Churn, Fault, Mutation, PageFault, Parent, State, Which,
};
use kitmirror::store::Outcome;
use std::collections::BTreeSet;
use std::time::Duration;

/// The lists of members of tags.
fn tagged(api: Api) -> &'static str {
    if api == Api::V3 { "/v3/tags/*/subscriptions" } else { "/v4/tags/*/subscribers" }
}

/// The people whom v3's `/subscribers` shows.
fn active(account: &Account) -> BTreeSet<i64> {
    account.subscribers().filter(|person| person.state == "active").map(|person| person.id).collect()
}

/// An account of several pages in v3 and, with pages of 50, in v4.
async fn several_pages(api: Api, plan: AccountPlan) -> Scene {
    let scene = Scene::new(plan, api).await;
    scene.kit.set_modes(|modes| modes.page_cap = Some(50));
    scene
}

// --- Lists that move --------------------------------------------------------------------------------

/// M01, G-02. Deletions shift later rows towards the front, past a reader who walks forward.
#[tokio::test(flavor = "multi_thread")]
async fn people_deleted_while_the_list_is_read_take_nobody_with_them() {
    for api in Api::VERSIONS {
        for (every, seed) in shared([(1, 1), (1, 2), (3, 3), (10, 4)]) {
            let scene = several_pages(api, narrow(623).seed(seed)).await;
            scene.kit.churn(Churn::every(every, ChangeKind::DeleteSubscriber).on("subscribers").seed(seed));
            scene.sync().await;
            scene.kit.clear_churn();
            scene.holds_everything().await;
        }
    }
}

/// M01, M02, G-02. People come back in the middle of the list and others leave it.
#[tokio::test(flavor = "multi_thread")]
async fn everybody_who_is_listed_all_the_time_is_found_while_others_come_and_go() {
    for api in Api::VERSIONS {
        for (every, seed) in shared([(1, 1), (1, 2), (1, 3), (3, 4), (10, 5)]) {
            let scene = several_pages(api, narrow(623).seed(seed)).await;
            let before = scene.kit.read(active);
            let churn = Churn::every(every, ChangeKind::DeleteSubscriber)
                .or(ChangeKind::Reactivate)
                .or(ChangeKind::BackdatedSignUp)
                .or(ChangeKind::SignUp);
            scene.kit.churn(churn.on(people(api)).seed(seed));
            scene.sync().await;
            scene.kit.clear_churn();
            let after = scene.kit.read(active);
            scene.holds_ids("subscribers", "id", before.intersection(&after).copied()).await;
            scene.sync_full().await;
            scene.holds_everything().await;
        }
    }
}

/// M01, G-02. The same in lists of members, whole and new.
#[tokio::test(flavor = "multi_thread")]
async fn members_who_leave_while_their_list_is_read_take_nobody_with_them() {
    for api in Api::VERSIONS {
        for (every, seed) in shared([(1, 1), (1, 2), (3, 3)]) {
            let plan = narrow(500).tag_sizes([210]).seed(seed);
            let scene = several_pages(api, plan).await;
            scene.kit.churn(Churn::every(every, ChangeKind::Untag).on(tagged(api)).seed(seed));
            scene.sync().await;
            scene.kit.clear_churn();
            scene.holds_everything().await;

            scene.later(TimeDelta::days(10));
            let tag = scene.kit.read(|account| account.tags()[0].id);
            let people = scene.change(|account| account.tag_many(tag, 0, 180));
            // The newest are read first, and it is them who leave.
            let mut leaving = people.clone().into_iter().rev();
            scene.kit.every_request(tagged(api), every, move |account| {
                leaving.by_ref().take(2).for_each(|id| assert!(account.untag(tag, id)));
            });
            scene.sync().await;
            scene.kit.clear_churn();
            scene.holds_everything().await;
        }
    }
}

/// M01, G-02. People who come back leave the list of the cancelled while it is read.
#[tokio::test(flavor = "multi_thread")]
async fn people_who_come_back_while_the_cancelled_are_read_take_nobody_with_them() {
    for api in versions() {
        for (newest_first, seed) in [(true, 1), (false, 2)] {
            let scene = several_pages(api, narrow(800).seed(seed)).await;
            scene.kit.set_modes(|modes| modes.bumps = Bumps::NONE);
            scene.sync().await;
            scene.later(TimeDelta::days(5));
            let mut leavers = Vec::new();
            for _ in 0..4 {
                scene.later(TimeDelta::minutes(1));
                leavers.extend(scene.change(|account| account.cancel_many(0, 50)));
            }
            let mut returning = leavers.clone();
            if newest_first {
                returning.reverse();
            }
            let mut returning = returning.into_iter();
            scene.kit.every_request(people(api), 1, move |account| {
                returning.by_ref().take(2).for_each(|id| assert!(account.reactivate(id)));
            });
            scene.try_objects(&["cancelled_subscribers"]).await;
            scene.kit.clear_churn();
            let still: Vec<i64> = scene.kit.read(|account| {
                leavers.iter().copied().filter(|id| account.state_of(*id) == Some(State::Cancelled)).collect()
            });
            assert!(still.len() > 150);
            scene.holds_ids("cancelled_subscribers", "id", still).await;
        }
    }
}

/// G-02. Sign-ups, cancellations and taggings between any two requests of an incremental run.
#[tokio::test(flavor = "multi_thread")]
async fn churn_during_incremental_runs_is_found_by_the_run_after_it() {
    for api in versions() {
        for seed in 1..3 {
            let scene = several_pages(api, narrow(200).seed(seed)).await;
            scene.sync().await;
            let kinds = [
                ChangeKind::Cancel,
                ChangeKind::Tag,
                ChangeKind::JoinForm,
                ChangeKind::JoinSequence,
                ChangeKind::Untag,
                ChangeKind::Confirm,
                ChangeKind::CreateTag,
                ChangeKind::Import,
            ];
            let churn = kinds.into_iter().fold(Churn::every(1, ChangeKind::SignUp), Churn::or);
            for run in 0..3 {
                scene.later(TimeDelta::hours(3));
                scene.kit.churn(churn.clone().seed(seed * 10 + run));
                scene.sync().await;
                scene.kit.clear_churn();
            }
            scene.sync().await;
            scene.holds_everything().await;
        }
    }
}

/// G-06. The list grows or shrinks by pages while it is read.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_may_grow_or_shrink_by_whole_pages() {
    for api in versions() {
        for shrinks in [false, true] {
            let scene = several_pages(api, narrow(623)).await;
            let mut chance = fastrand::Rng::with_seed(3);
            scene.kit.after_request(people(api), 2, move |account| {
                if shrinks {
                    for _ in 0..230 {
                        account.random_change_of(ChangeKind::DeleteSubscriber, &mut chance);
                    }
                } else {
                    account.import_subscribers(230);
                }
            });
            scene.sync().await;
            scene.sync().await;
            scene.holds_everything().await;
        }
    }
}

// --- Lists that are read from both ends --------------------------------------------------------------

/// The order of each request for a page of people, since so many requests.
fn orders(scene: &Scene, since: usize) -> Vec<&'static str> {
    let is_of_people = |path: &str| path == people(Api::V4);
    let requests = scene.kit.requests().into_iter().skip(since).filter(|one| is_of_people(&one.path));
    let of_everybody = requests.filter(|one| one.query.contains("status=all"));
    of_everybody.map(|one| if one.query.contains("sort_order=desc") { "desc" } else { "asc" }).collect()
}

/// Answers that take as long as another, so that both ends are asked in turn.
fn slowly(scene: &Scene) {
    scene.kit.faults().add(Fault::new(Action::Delay(Duration::from_millis(10))).on("/v4/subscribers"));
}

/// Both halves of a list are read side by side, by a load and by a reconcile, in as many requests as it has pages.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_list_is_read_from_both_ends_in_no_more_requests() {
    let scene = several_pages(Api::V4, narrow(620)).await;
    slowly(&scene);
    for run in ["load", "reconcile"] {
        let since = scene.kit.requests().len();
        if run == "load" {
            scene.sync().await
        } else {
            scene.reconcile().await
        };
        let orders = orders(&scene, since);
        assert_eq!(orders.len(), 13, "{run}: {orders:?}");
        let of_far = orders.iter().filter(|order| **order == "desc").count();
        assert!((3..10).contains(&of_far), "{run}: {orders:?}");
        scene.equals_kit().await;
    }
}

/// Pages of many custom fields are not kept two at a time.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_large_pages_is_read_from_one_end() {
    for (fields, is_read) in [(3, true), (140, false)] {
        let scene = Scene::new(narrow(2_300).custom_fields(fields), Api::V4).await;
        slowly(&scene);
        scene.sync().await;
        assert_eq!(orders(&scene, 0).contains(&"desc"), is_read, "{fields} fields");
        scene.equals_kit().await;
    }
}

/// H-13, M01. Where the far end fails, is refused, comes to nothing or shows what it should not, once or always, the
/// near end reads everything.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_far_end_does_not_show_the_near_end_does() {
    let faults = [
        Fault::page(PageFault::EmptyPage),
        Fault::page(PageFault::Contradiction),
        Fault::page(PageFault::RepeatPage),
        Fault::page(PageFault::DoubleRows),
        Fault::page(PageFault::SameCursor),
        Fault::status(422),
        Fault::new(Action::HugeBody(33 << 20)),
        Fault::rows(Which::All, Mutation::Drop("id".into())),
    ];
    for fault in shared(faults) {
        for first in [1, 3] {
            let scene = several_pages(Api::V4, narrow(620)).await;
            slowly(&scene);
            let what = format!("{fault:?} from {first}");
            let of_the_far_end = fault.clone().on("/v4/subscribers").asking("sort_order=desc");
            let fault = scene.kit.faults().add(of_the_far_end.from_nth(first));
            scene.sync().await;
            assert!(scene.kit.faults().fired(fault) > Some(0), "{what}");
            scene.equals_kit().await;
        }
    }
}

// --- Pages that are not what they should be ---------------------------------------------------------

/// What a load of a fresh mirror under a fault comes to: complete and equal to the truth, or a failed
/// pass without a watermark that the next one makes good. Gives the outcome of subscribers.
async fn never_silently_short(api: Api, fault: Fault) -> Outcome {
    let name = format!("{api:?} {fault:?}");
    let scene = several_pages(api, narrow(230).tag_sizes([110])).await;
    let fault = scene.kit.faults().add(fault);
    let report = scene.try_sync().await;
    assert!(scene.kit.faults().fired(fault) > Some(0), "{name} did not strike");
    for one in &report.objects {
        let marks = scene.watermarks(one.object).await;
        let marked = marks.iter().any(|mark| !mark.ends_with("|-"));
        assert!(
            one.outcome == Outcome::Complete || !marked || one.object == "tag_subscriptions",
            "{name}: {one:?}"
        );
    }
    if report.is_complete() {
        let judge = scene.judge(Strictness::Equal).await;
        assert!(
            judge.differences().is_empty(),
            "{name} is silently short: {:#?}",
            judge.differences().first()
        );
    }
    scene.kit.faults().clear();
    scene.sync().await;
    let judge = scene.judge(Strictness::Equal).await;
    assert!(judge.differences().is_empty(), "{name} leaves traces: {:#?}", judge.differences().first());
    outcome(&report, "subscribers")
}

/// The same for an incremental run that has 130 people to find.
async fn never_silently_short_later(api: Api, fault: Fault) -> (Outcome, Report) {
    let name = format!("{api:?} {fault:?}");
    let scene = several_pages(api, narrow(280)).await;
    scene.sync().await;
    scene.later(TimeDelta::days(4));
    let tag = scene.kit.read(|account| account.tags()[0].id);
    scene.change(|account| {
        let people = account.import_subscribers(130);
        people.iter().for_each(|id| assert!(account.tag(tag, *id)));
        account.cancel_many(0, 130);
    });
    let before = scene.watermark("subscribers", "").await;
    let rows = scene.mirror.number("select count(*) from subscribers").await;
    let fault = scene.kit.faults().add(fault);
    let report = scene.try_sync().await;
    assert!(scene.kit.faults().fired(fault) > Some(0), "{name} did not strike");
    assert!(scene.mirror.number("select count(*) from subscribers").await >= rows, "{name} deletes rows");
    if outcome(&report, "subscribers") != Outcome::Complete {
        assert_eq!(scene.watermark("subscribers", "").await, before, "{name}");
    }
    if report.is_complete() {
        let judge = scene.judge(Strictness::Inserts).await;
        assert!(
            judge.differences().is_empty(),
            "{name} is silently short: {:#?}",
            judge.differences().first()
        );
    }
    scene.kit.faults().clear();
    scene.sync().await;
    let judge = scene.judge(Strictness::Inserts).await;
    assert!(judge.differences().is_empty(), "{name} loses rows: {:#?}", judge.differences().first());
    (outcome(&report, "subscribers"), report)
}

/// G-01, D01, D02.
#[tokio::test(flavor = "multi_thread")]
async fn rows_and_pages_that_come_twice_are_stored_once() {
    let again = Fault::page(PageFault::RepeatPage).on("subscribers").nth(3);
    let faults = [again, Fault::page(PageFault::DoubleRows)];
    for api in versions() {
        for fault in faults.clone() {
            assert_eq!(never_silently_short(api, fault.clone()).await, Outcome::Complete);
            assert_eq!(never_silently_short_later(api, fault).await.0, Outcome::Complete);
        }
    }
}

/// G-01, G-10. A page shown in place of another, in both walks: not even the union shows everybody, and only
/// the number that v3 writes on each page tells.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_stands_in_for_another_in_both_walks_is_not_believed() {
    let fault = Fault::page(PageFault::RepeatPage).on("/v3/subscribers").requests(4..=6);
    never_silently_short(Api::V3, fault).await;
}

/// Lists without an end.
const CIRCLES: [PageFault; 6] = [
    PageFault::SameCursor,
    PageFault::CursorLoop(1),
    PageFault::CursorLoop(2),
    PageFault::CursorLoop(1_000),
    PageFault::EndlessCursors,
    PageFault::EndlessEmptyPages,
];

/// G-03. From its first page on, or begun well.
#[tokio::test(flavor = "multi_thread")]
async fn a_first_load_of_a_list_that_runs_in_circles_fails() {
    for fault in shared(CIRCLES) {
        let always = Fault::page(fault.clone()).on("/v4/subscribers");
        assert_eq!(never_silently_short(Api::V4, always).await, Outcome::Failed, "{fault:?}");
        let later = Fault::page(fault.clone()).on("/v4/subscribers").from_nth(3);
        assert_eq!(never_silently_short(Api::V4, later).await, Outcome::Failed, "{fault:?}");
    }
}

/// G-03.
#[tokio::test(flavor = "multi_thread")]
async fn an_incremental_run_over_a_list_that_runs_in_circles_fails() {
    for fault in shared(CIRCLES) {
        let always = Fault::page(fault.clone()).on("/v4/subscribers");
        assert_eq!(never_silently_short_later(Api::V4, always).await.0, Outcome::Failed, "{fault:?}");
    }
}

/// G-03, M14.
#[tokio::test(flavor = "multi_thread")]
async fn a_member_list_that_runs_in_circles_leaves_the_other_lists_alone() {
    for fault in shared(CIRCLES) {
        let members = Fault::page(fault.clone()).on("/v4/tags/*/subscribers");
        assert_eq!(never_silently_short(Api::V4, members).await, Outcome::Complete, "{fault:?}");
    }
}

/// G-04, M10. Empty pages with more announced are gone past, up to ten in a row.
#[tokio::test(flavor = "multi_thread")]
async fn empty_pages_in_the_middle_are_gone_past_up_to_ten() {
    let empty = |pages| Fault::page(PageFault::EmptyPage).on("/v4/subscribers").requests(pages);
    for pages in shared([2..=2, 1..=1, 3..=12]) {
        assert_eq!(never_silently_short(Api::V4, empty(pages.clone())).await, Outcome::Complete, "{pages:?}");
        assert_eq!(
            never_silently_short_later(Api::V4, empty(pages.clone())).await.0,
            Outcome::Complete,
            "{pages:?}"
        );
    }
    assert_eq!(never_silently_short(Api::V4, empty(2..=101)).await, Outcome::Failed);
    assert_eq!(never_silently_short_later(Api::V4, empty(2..=101)).await.0, Outcome::Failed);
    let members = Fault::page(PageFault::EmptyPage).on(tagged(Api::V4)).every(2);
    assert_eq!(never_silently_short(Api::V4, members).await, Outcome::Complete);
}

/// M10. In v3 the page after an empty one is read all the same: the totals say how many there are.
#[tokio::test(flavor = "multi_thread")]
async fn an_empty_page_of_v3_is_not_the_end_and_not_trusted() {
    for nth in [1, 3] {
        let fault = Fault::page(PageFault::EmptyPage).on("/v3/subscribers").nth(nth);
        assert_eq!(never_silently_short(Api::V3, fault.clone()).await, Outcome::Complete, "page {nth}");
    }
}

/// G-05, G-03. A page that does not say what follows is asked for again.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_does_not_say_what_follows_is_asked_for_again() {
    for fault in [PageFault::HasNextPage(None), PageFault::HasNextPage(Some("\"true\"".to_owned()))] {
        let fault = Fault::page(fault).on("/v4/subscribers").nth(2);
        assert_eq!(never_silently_short(Api::V4, fault).await, Outcome::Complete);
    }
    for fault in [PageFault::NullCursor, PageFault::NoPagination, PageFault::NoList] {
        let fault = Fault::page(fault).on("/v4/subscribers").nth(3);
        assert_eq!(never_silently_short_later(Api::V4, fault).await.0, Outcome::Complete);
    }
}

/// G-05, G-10. A page in the middle calls itself the last one.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_ends_too_early_is_read_once_more() {
    for nth in [1, 2, 5] {
        let once = Fault::page(PageFault::Contradiction).on("/v4/subscribers").nth(nth);
        assert_eq!(never_silently_short(Api::V4, once).await, Outcome::Complete);
    }
    let members = Fault::page(PageFault::Contradiction).on("/v4/tags/*/subscribers").nth(1);
    assert_eq!(never_silently_short(Api::V4, members).await, Outcome::Complete);
}

/// G-05, G-10. The first page calls itself the last one whenever it is asked for.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_always_ends_too_early_is_not_believed() {
    let scene = Scene::new(AccountPlan::new(2_100), Api::V4).await;
    scene.kit.faults().add(Fault::page(PageFault::Contradiction).on("/v4/subscribers"));
    let report = scene.try_objects(&["subscribers"]).await;
    assert_eq!(outcome(&report, "subscribers"), Outcome::Failed);
    assert_eq!(scene.watermark("subscribers", "").await, "");
    scene.kit.faults().clear();
    scene.sync().await;
    scene.equals_kit().await;
}

/// G-06.
#[tokio::test(flavor = "multi_thread")]
async fn page_counts_that_cannot_be_are_asked_for_again() {
    for pages in ["0", "1000000000"] {
        let fault = Fault::page(PageFault::TotalPages(pages.to_owned())).on("/v3/subscribers").nth(1);
        assert_eq!(never_silently_short(Api::V3, fault).await, Outcome::Complete, "{pages}");
    }
}

/// G-07. Pages smaller and larger than was asked for.
#[tokio::test(flavor = "multi_thread")]
async fn pages_of_any_size_are_read_to_their_end() {
    for cap in [1, 7, 499] {
        let scene = Scene::new(narrow(120), Api::V4).await;
        scene.kit.set_modes(|modes| modes.page_cap = Some(cap));
        scene.sync().await;
        scene.equals_kit().await;
        scene.later(TimeDelta::hours(1));
        scene.change(|account| account.import_subscribers(30));
        scene.sync().await;
        scene.equals_kit().await;
    }
    let scene = Scene::new(AccountPlan::new(1_300), Api::V4).await;
    scene.kit.faults().add(Fault::page(PageFault::DoubleRows).on("/v4/subscribers"));
    scene.sync().await;
    scene.equals_kit().await;
}

/// G-08.
#[tokio::test(flavor = "multi_thread")]
async fn long_cursors_with_everything_that_hurts_in_a_url_come_back_byte_for_byte() {
    for length in [20, 4_000] {
        let fault = Fault::page(PageFault::LongCursors(length));
        assert_eq!(never_silently_short(Api::V4, fault.clone()).await, Outcome::Complete, "{length}");
        assert_eq!(never_silently_short_later(Api::V4, fault).await.0, Outcome::Complete, "{length}");
    }
}

/// G-09.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_too_large_is_asked_for_in_smaller_pages() {
    let scene = Scene::new(AccountPlan::new(1_300), Api::V4).await;
    scene.kit.faults().add(Fault::new(Action::HugeBody(33 << 20)).on("/v4/subscribers").nth(1));
    scene.sync().await;
    scene.equals_kit().await;
    let sizes: BTreeSet<String> = scene
        .kit
        .requests()
        .iter()
        .filter(|request| request.path == "/v4/subscribers")
        .filter_map(|request| {
            request.query.split('&').find(|part| part.starts_with("per_page=")).map(str::to_owned)
        })
        .collect();
    assert_eq!(sizes, BTreeSet::from(["per_page=1000".to_owned(), "per_page=500".to_owned()]));
}

/// G-10. A count that does not agree makes a second walk, not a failure, and costs no more than that.
#[tokio::test(flavor = "multi_thread")]
async fn a_count_that_does_not_agree_makes_a_second_walk() {
    for api in versions() {
        let total = if api == Api::V3 { "449" } else { "900" };
        let fault = Fault::page(PageFault::Total(total.to_owned())).on(people(api));
        let scene = several_pages(api, AccountPlan::new(520)).await;
        let fault = scene.kit.faults().add(fault);
        let report = scene.try_objects(&["subscribers"]).await;
        assert!(scene.kit.faults().fired(fault) > Some(0));
        assert_eq!(outcome(&report, "subscribers"), Outcome::Complete);
        let listed = if api == Api::V3 { scene.kit.read(active).len() as u64 } else { 520 };
        let pages = listed.div_ceil(50);
        assert_eq!(of(&report, "subscribers").counts.requests, 2 * pages, "{api:?}");
        scene.kit.faults().clear();
        scene.sync().await;
        scene.equals_kit().await;
    }
}

/// G-11, M09. Lists whose rows come in another order than they were asked for.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_in_no_order_at_all_is_read_whole() {
    for api in Api::VERSIONS {
        let shuffle = || Fault::page(PageFault::Shuffle);
        for fault in shared([shuffle(), shuffle().nth(2).on("subscri"), shuffle().on("broadcasts")]) {
            assert_eq!(never_silently_short(api, fault.clone()).await, Outcome::Complete);
            assert_eq!(never_silently_short_later(api, fault).await.0, Outcome::Complete);
        }
    }
}

/// M09, G-11. The newest member stands on the last page although the newest were asked for first.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_member_deep_in_a_disordered_list_is_found() {
    for api in versions() {
        let scene = several_pages(api, AccountPlan::new(400).tag_sizes([240])).await;
        scene.sync().await;
        scene.later(TimeDelta::days(30));
        let tag = scene.kit.read(|account| account.tags()[0].id);
        // An hour apart and a shuffled first page: an old row ahead of new ones.
        for _ in 0..55 {
            scene.later(TimeDelta::minutes(1));
            scene.change(|account| account.tag_many(tag, 0, 1));
        }
        scene.kit.faults().add(Fault::page(PageFault::Shuffle).on("tags/"));
        scene.sync().await;
        scene.holds_everything().await;
        let joined = scene.kit.read(|account| account.members(Parent::tag(tag)).count());
        assert!(joined >= 290);
    }
}

/// G-07, M17. A row that is no row does not cost its page.
#[tokio::test(flavor = "multi_thread")]
async fn one_row_that_cannot_be_read_does_not_cost_the_others() {
    for api in versions() {
        let scene = several_pages(api, AccountPlan::new(300)).await;
        let broken = Mutation::Replace("17".to_owned());
        scene.kit.faults().add(Fault::rows(Which::Nth(20), broken).on(people(api)).nth(2));
        let report = scene.try_objects(&["subscribers"]).await;
        assert_eq!(outcome(&report, "subscribers"), Outcome::Incomplete);
        let listed = scene.kit.read(|account| {
            if api == Api::V3 { active(account).len() as u64 } else { account.subscriber_count() }
        });
        assert_eq!(scene.mirror.number("select count(*) from subscribers").await as u64, listed - 1);
        scene.sync_full().await;
        scene.equals_kit().await;
    }
}
