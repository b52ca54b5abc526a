//! What Kit does not answer for, however long it is asked, by a clock that jumps.

use super::Api;
use super::day::{Reads, Step};
use super::life::Ended;
use super::pace::{lived, many_pages};
use kitmirror::simulator::Fault;
use kitmirror::store::Outcome;

/// M14, H-04. A list that Kit never answers for, while it answers for others, is left behind alone: by a load, by the
/// runs after it, and by a reconcile.
#[test]
fn a_list_that_kit_never_answers_for_keeps_no_other_from_being_read() {
    for api in [Api::V4, Api::V3] {
        let scene = many_pages(api, 120, 120, 6);
        let tag = scene.sim.read(|account| account.tags()[2].id);
        let fault = scene.sim.faults().add(Fault::status(500).on(&format!("tags/{tag}/")));
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
        }
        scene.sim.faults().remove(fault);
        let (ended, _) = lived(&scene, &Step::default(), now);
        assert!(matches!(ended, Ended::Ran(Ok(report)) if report.is_complete()), "{api:?}");
    }
}
