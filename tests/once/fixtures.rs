//! Every object has a recorded answer of each API version, and every record in it maps to a row: what the
//! compiler cannot check about a declaration, these do.

use crate::support::project;
use kitmirror::kit;
use kitmirror::model::{ApiVersion, From, Mapping, Object, Source, Time, Value, objects};

const PARENT: &str = "4711";

fn partition(object: &Object) -> &'static str {
    if object.parent().is_some() { PARENT } else { "" }
}

fn rows(object: &'static Object, version: ApiVersion) -> Option<kitmirror::model::Batch> {
    let endpoint = object.endpoint(version)?;
    let path = format!("tests/recorded/{version}/{}.json", object.name);
    let recorded = project::text(&path);
    let page = kit::parse(recorded.clone(), endpoint.list, endpoint.paging, Time::UNIX_EPOCH)
        .or_else(|_| {
            // The few records that stand for a page do not match the totals beside them.
            kit::parse(recorded, endpoint.list, kitmirror::model::Paging::Single, Time::UNIX_EPOCH)
        })
        .unwrap_or_else(|error| panic!("{path}: {error}"));
    let mapping = Mapping::new(object, endpoint, version, partition(object));
    let batch = mapping.rows(page.records());
    assert!(batch.read > 0, "{path} holds records");
    Some(batch)
}

#[test]
fn every_record_of_every_fixture_becomes_a_row() {
    for object in objects::ALL {
        for version in ApiVersion::ALL {
            let Some(batch) = rows(object, version) else {
                assert!(matches!(object.source, Source::ViewOf(_)), "{} has requests", object.name);
                continue;
            };
            assert_eq!(batch.quarantined, [], "{} {version}", object.name);
            assert_eq!(batch.rows.len(), batch.read, "{} {version}", object.name);
        }
    }
}

#[test]
fn every_declared_column_is_filled_by_some_fixture_of_its_version() {
    // Members that Kit sends on request only, or only in answers to other lists.
    let optional = ["attribution", "location", "cancelled_at"];
    for object in objects::ALL {
        for version in ApiVersion::ALL {
            let Some(batch) = rows(object, version) else { continue };
            for (at, column) in object.columns.iter().enumerate() {
                let present = batch.rows.iter().any(|row| row.values[at] != Value::Absent);
                let declared = column.from(version) != From::Nowhere;
                if declared && !optional.contains(&column.name) {
                    assert!(present, "{}.{} is in no record of {version}", object.name, column.name);
                }
                assert!(
                    declared || !present,
                    "{}.{} is not declared for {version}",
                    object.name,
                    column.name
                );
            }
        }
    }
}

#[test]
fn nothing_personal_is_kept_twice() {
    // A membership's record carries the person, who has a row of his own.
    for object in objects::ALL.iter().filter(|object| object.parent().is_some()) {
        for version in ApiVersion::ALL {
            let Some(batch) = rows(object, version) else { continue };
            for row in &batch.rows {
                assert_eq!(row.extra, Value::Null, "{} {version}", object.name);
            }
        }
    }
}

#[test]
fn the_rows_of_the_fixtures_are_as_they_were() {
    for version in ApiVersion::ALL {
        let mut shown = String::new();
        for object in objects::ALL {
            let Some(batch) = rows(object, version) else { continue };
            shown.push_str(&format!("{}\n", object.name));
            for row in &batch.rows {
                for (column, value) in object.columns.iter().zip(&row.values) {
                    if *value != Value::Absent {
                        shown.push_str(&format!("  {:<22} {value:?}\n", column.name));
                    }
                }
                shown.push_str(&format!("  {:<22} {:?}\n\n", "_extra", row.extra));
            }
        }
        insta::assert_snapshot!(format!("rows_{version}"), shown);
    }
}
