//! The ten objects, in the order in which they are run: parents before children.

mod lists;
mod subscribers;
mod subscriptions;

pub use lists::{BROADCASTS, FORMS, SEQUENCES, TAGS};
pub use subscribers::{CANCELLED_SUBSCRIBERS, SUBSCRIBERS};
pub use subscriptions::{FORM_SUBSCRIPTIONS, SEQUENCE_SUBSCRIPTIONS, SUBSCRIBER_TAGS, TAG_SUBSCRIPTIONS};

use super::Object;

/// Every object, in the order of running.
pub static ALL: [&Object; 10] = [
    &FORMS,
    &SEQUENCES,
    &TAGS,
    &BROADCASTS,
    &SUBSCRIBERS,
    &CANCELLED_SUBSCRIBERS,
    &FORM_SUBSCRIPTIONS,
    &SEQUENCE_SUBSCRIPTIONS,
    &TAG_SUBSCRIPTIONS,
    &SUBSCRIBER_TAGS,
];

/// The names of all objects, in the order of running.
pub fn names() -> Vec<&'static str> {
    ALL.iter().map(|object| object.name).collect()
}

/// The object of this name.
pub fn named(name: &str) -> Option<&'static Object> {
    ALL.iter().find(|object| object.name == name).copied()
}

/// The objects that must run so that `names` are fresh: themselves, the parents whose rows are
/// their partitions, and the object behind a view. In the order of running.
pub fn needed_for(names: &[String]) -> Vec<&'static Object> {
    let mut needed: Vec<&'static str> = Vec::new();
    for object in names.iter().filter_map(|name| named(name)) {
        let own = object.filled_by();
        needed.push(object.name);
        needed.push(own.name);
        needed.extend(own.parent().map(|parent| parent.name));
    }
    ALL.iter().filter(|object| needed.contains(&object.name)).copied().collect()
}

/// The objects that have a table of their own, in the order of running.
pub fn tables() -> impl Iterator<Item = &'static Object> {
    ALL.iter().filter(|object| !object.is_view()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ApiVersion, Fresh, From, Person, Source};

    #[test]
    fn parents_come_before_their_children() {
        for (at, object) in ALL.iter().enumerate() {
            if let Some(parent) = object.parent() {
                let parent_at =
                    ALL.iter().position(|other| other.name == parent.name).expect("parent is listed");
                assert!(parent_at < at, "{} before {}", parent.name, object.name);
            }
        }
    }

    #[test]
    fn every_key_is_a_required_id_that_both_versions_give() {
        for object in ALL {
            assert!(!object.key.is_empty(), "{} has a key", object.name);
            for index in object.key_indexes() {
                let column = &object.columns[index];
                assert!(column.required, "{}.{} is required", object.name, column.name);
                for version in ApiVersion::ALL {
                    assert_ne!(
                        column.from(version),
                        From::Nowhere,
                        "{}.{} in {version}",
                        object.name,
                        column.name
                    );
                }
            }
            assert_eq!(
                object.key_indexes().count(),
                object.key.len(),
                "{}: every key is a column",
                object.name
            );
        }
    }

    /// S-17. Whoever is to be forgotten is looked for by these columns.
    #[test]
    fn every_object_that_is_about_people_says_whose_its_rows_are() {
        let of = |person| {
            let all = ALL.iter().filter(move |object| object.person_column(person).is_some());
            all.map(|object| object.name).collect::<Vec<_>>()
        };
        let people = ["subscribers", "cancelled_subscribers"];
        let memberships =
            ["form_subscriptions", "sequence_subscriptions", "tag_subscriptions", "subscriber_tags"];
        assert_eq!(of(Person::Id), [&people[..], &memberships].concat());
        assert_eq!(of(Person::Address), people);
        for object in ALL {
            let lists_people = ApiVersion::ALL.iter().filter_map(|version| object.endpoint(*version));
            let lists_people = lists_people.into_iter().any(|endpoint| endpoint.list.starts_with("subscri"));
            assert!(!lists_people || object.person_column(Person::Id).is_some(), "{}", object.name);
            assert_eq!(object.is_of_people(), people.contains(&object.name), "{}", object.name);
        }
    }

    #[test]
    fn the_watermark_is_a_column_of_the_object() {
        for object in ALL {
            assert!(object.column_index(object.watermark.column()).is_some(), "{}", object.name);
        }
    }

    #[test]
    fn objects_that_share_a_table_share_its_columns() {
        for object in ALL.iter().filter(|object| object.is_view()) {
            if let Some(owner) = named(object.table) {
                let names = |o: &Object| o.columns.iter().map(|column| column.name).collect::<Vec<_>>();
                if matches!(object.source, Source::List(_)) {
                    assert_eq!(names(object), names(owner), "{} and {}", object.name, owner.name);
                    assert_eq!(object.key, owner.key);
                }
            }
        }
    }

    #[test]
    fn lists_of_v4_that_hide_people_by_default_ask_for_a_state() {
        for object in ALL {
            if let Some(endpoint) = object.endpoint(ApiVersion::V4)
                && (endpoint.list == "subscribers" || endpoint.list == "forms")
            {
                assert!(
                    endpoint.query.iter().any(|(name, _)| *name == "status"),
                    "{} sends status",
                    object.name
                );
            }
        }
    }

    #[test]
    fn only_lists_in_the_order_of_the_watermark_stop_early() {
        for object in ALL {
            for version in ApiVersion::ALL {
                let Some(endpoint) = object.endpoint(version) else { continue };
                let stops = endpoint.fresh.iter().any(|fresh| matches!(fresh, Fresh::NewestFirst { .. }));
                let by_subscriber_id = matches!(
                    endpoint.path,
                    "/forms/{parent}/subscribers" | "/sequences/{parent}/subscribers"
                );
                assert!(
                    !(stops && by_subscriber_id),
                    "{} {version} is ordered by subscriber id",
                    object.name
                );
            }
        }
    }

    #[test]
    fn a_child_brings_its_parent_and_a_view_the_object_it_shows() {
        let names = |wanted: &[&str]| {
            let wanted: Vec<String> = wanted.iter().map(ToString::to_string).collect();
            needed_for(&wanted).iter().map(|object| object.name).collect::<Vec<_>>()
        };
        assert_eq!(names(&["subscriber_tags"]), ["tags", "tag_subscriptions", "subscriber_tags"]);
        assert_eq!(names(&["cancelled_subscribers"]), ["cancelled_subscribers"]);
        assert_eq!(names(&["form_subscriptions", "tags"]), ["forms", "tags", "form_subscriptions"]);
    }
}
