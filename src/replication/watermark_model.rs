//! What a complete pass earns, whatever times a list shows and in whatever order.

use chrono::{DateTime, TimeDelta};
use proptest::prelude::*;

use super::pass::{Pass, Seen, Terms, Turn, promote};
use super::plan::Mode;
use crate::kit::Following;
use crate::model::{ApiVersion, Mapping, Time, objects, time};
use crate::store::Progress;

fn instants() -> impl Strategy<Value = Time> {
    // Any that can be stored, and some close together.
    let seconds = prop_oneof![-30_000_000_000..250_000_000_000i64, 1_714_700_000..1_714_800_000i64];
    seconds.prop_map(|seconds| DateTime::from_timestamp(seconds, 0).expect("an instant"))
}

/// The watermark of a full pass over these pages, and its ceiling. The first one is served at `begun`, the following
/// ones later.
fn earned(pages: &[Vec<Time>], begun: Time) -> (Option<Time>, Time) {
    let object = &objects::SUBSCRIBERS;
    let endpoint = object.endpoint(ApiVersion::V4).expect("it has requests");
    let terms = Terms {
        object,
        endpoint,
        version: ApiVersion::V4,
        partition: "",
        fingerprint: "x",
        overlap: TimeDelta::hours(24),
        now: begun,
        opened_at: begun,
        asked: Mode::Full,
        counted: None,
    };
    let mut pass = Pass::open(&terms, None);
    let mut id = 0;
    for (at, times) in pages.iter().enumerate() {
        let records: Vec<String> = times
            .iter()
            .map(|created| {
                id += 1;
                format!(r#"{{"id": {id}, "state": "active", "created_at": "{}"}}"#, time::text(*created))
            })
            .collect();
        let mapping = Mapping::new(object, endpoint, ApiVersion::V4, "");
        let batch = mapping.rows(records.iter().map(String::as_str));
        let following = Following::Cursor { next: (at + 1 < pages.len()).then(|| id.to_string()) };
        let served_at = begun + TimeDelta::minutes(at as i64);
        let seen = Seen { known: None, others: true };
        let turn = Turn {
            following: &following,
            total: None,
            served_at,
            records: records.len(),
            batch: &batch,
            seen,
        };
        match pass.absorb(&turn).expect("the list is in order") {
            Progress::More { .. } => assert!(at + 1 < pages.len(), "the last page ends it"),
            Progress::Done { watermark, began_at, .. } => {
                assert_eq!(at + 1, pages.len(), "a pass is complete with its last page and no earlier");
                return (watermark, began_at);
            }
        }
    }
    panic!("the pass does not end");
}

proptest! {
    /// M12, M22: never beyond the ceiling, never beyond what was seen, and as far as both allow.
    #[test]
    fn what_is_earned_is_what_was_seen_up_to_the_ceiling(seen in prop::option::of(instants()), ceiling in instants()) {
        let earned = promote(seen, ceiling);
        prop_assert_eq!(earned.is_some(), seen.is_some());
        if let (Some(earned), Some(seen)) = (earned, seen) {
            prop_assert!(earned <= ceiling && earned <= seen && (earned == ceiling || earned == seen));
        }
    }

    /// M09, M12, M22: the order of a list and where its pages end make no difference to what is earned.
    #[test]
    fn the_order_of_rows_makes_no_difference_to_the_watermark(
        times in prop::collection::vec(instants(), 1..40), begun in instants(), per_page in 1..12usize,
        shuffle in any::<u64>(),
    ) {
        let pages = |times: &[Time]| times.chunks(per_page).map(<[Time]>::to_vec).collect::<Vec<_>>();
        let (watermark, ceiling) = earned(&pages(&times), begun);
        prop_assert_eq!(ceiling, begun);
        prop_assert_eq!(watermark, times.iter().max().map(|latest| (*latest).min(begun)));
        let mut other = times;
        fastrand::Rng::with_seed(shuffle).shuffle(&mut other);
        prop_assert_eq!(earned(&pages(&other), begun), (watermark, ceiling));
    }
}
