//! What Kit does not answer for, however long it is asked, by a clock that jumps.

use super::Api;
use super::day::{Reads, Step};
use super::life::Ended;
use super::pace::{lived, many_pages};
use kitmirror::simulator::Fault;
use kitmirror::store::Outcome;

/// M14, H-04. Lists that Kit never answers for, while it answers for others, are left behind alone, even if there are as
/// many of them as are read at once: by a load, by the runs after it, and by a reconcile.
#[test]
fn lists_that_kit_never_answers_for_keep_no_other_from_being_read() {
    for api in [Api::V4, Api::V3] {
        let scene = many_pages(api, 120, 120, 9);
        let tags: Vec<i64> = scene.sim.read(|account| account.tags().iter().map(|tag| tag.id).collect());
        for tag in &tags[..4] {
            scene.sim.faults().add(Fault::status(500).on(&format!("tags/{tag}/")));
        }
        let mut now = scene.sim.clock().now();
        for whole in [Some(Reads::Everything), None, Some(Reads::Reconcile), None] {
            let (ended, later) = lived(&scene, &Step { whole, ..Step::default() }, now);
            now = later + chrono::TimeDelta::hours(1);
            let Ended::Ran(Ok(report)) = ended else { panic!("{api:?}: it did not end") };
            assert!(report.ended_by.is_none(), "{api:?}, {whole:?}: {report:#?}");
            for one in &report.objects {
                let expected =
                    if one.object == "tag_subscriptions" { Outcome::Failed } else { Outcome::Complete };
                assert_eq!(one.outcome, expected, "{api:?}, {whole:?}: {one:#?}");
            }
            // One run may give the object up before it comes to the others; the next one begins with those.
            if whole.is_none() {
                for tag in &tags[4..] {
                    let of_tag = format!("from tag_subscriptions where tag_id = {tag}");
                    let stored =
                        scene.eyes.block_on(scene.mirror.number(&format!("select count(*) {of_tag}")));
                    let listed = scene.sim.read(|account| account.tag_members(*tag).count());
                    assert!(
                        listed > 0 && stored == listed as i64,
                        "{api:?}, {whole:?}: {stored} of {listed}"
                    );
                }
            }
        }
        scene.sim.faults().clear();
        let (ended, _) = lived(&scene, &Step::default(), now);
        assert!(matches!(ended, Ended::Ran(Ok(report)) if report.is_complete()), "{api:?}");
    }
}
