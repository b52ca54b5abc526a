//! Two mirrors side by side: whatever is done to the one, the other does not notice.

use crate::support::judge::{Judge, Strictness};
use crate::support::scene::few;
use crate::support::{Api, Binary, Mirror, kit};
use kitmirror::replication::Whole;
use std::collections::BTreeSet;

/// D05, C-06, S-24. Two accounts whose ids are the same numbers, written at the same time, one of them reconciled, and
/// somebody forgotten in it.
#[tokio::test(flavor = "multi_thread")]
async fn two_accounts_beside_each_other_do_not_touch_each_other() {
    let (one, one_serves) = kit(few().seed(1)).await;
    let (other, other_serves) = kit(few().seed(2).of_account(5, "Other")).await;
    let first = Mirror::new().await;
    let second = first.beside().await;
    let ids = async |mirror: &Mirror| -> BTreeSet<String> {
        mirror.texts("select id from subscribers order by id").await.into_iter().collect()
    };

    // Each holds its own lease: neither waits for the other.
    tokio::join!(first.sync(&one_serves, Api::V4), second.sync(&other_serves, Api::V4));
    Judge::compare(&first, &one, Api::V4, Strictness::Equal).await.agrees();
    Judge::compare(&second, &other, Api::V4, Strictness::Equal).await.agrees();
    let (here, there) = (ids(&first).await, ids(&second).await);
    assert!(here.intersection(&there).count() > 10, "the ids are the same numbers");
    let before = second.contents().await;

    let both: Vec<i64> = here.intersection(&there).map(|id| id.parse().expect("an id")).collect();
    one.change(|account| both[..3].iter().for_each(|id| assert!(account.delete_subscriber(*id))));
    let names = kitmirror::model::objects::names();
    let report = first.run(&one_serves, Api::V4, Some(Whole::Reconcile), &names).await;
    assert!(report.expect("the session opens").is_complete());
    let forgotten = both[5].to_string();
    Binary::at(&first).run(&["forget", &forgotten, "--yes"]).await.ended_with(0);
    assert_eq!(first.number("select count(*) from subscribers where _deleted_at is not null").await, 3);
    assert!(!ids(&first).await.contains(&forgotten));
    assert_eq!(second.contents().await, before);

    // Nor is the one taken for the other's.
    assert!(second.run(&one_serves, Api::V4, None, &["tags"]).await.is_err());
    assert_eq!(second.contents().await, before);
    second.sync(&other_serves, Api::V4).await;
    Judge::compare(&second, &other, Api::V4, Strictness::Equal).await.agrees();
}
