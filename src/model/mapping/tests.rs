use super::*;
use crate::model::objects::{BROADCASTS, FORM_SUBSCRIPTIONS, FORMS, SUBSCRIBERS, TAG_SUBSCRIPTIONS};
use proptest::prelude::*;

fn map(object: &'static Object, version: ApiVersion, partition: &str, record: &str) -> Batch {
    let endpoint = object.endpoint(version).expect("it has requests");
    Mapping::new(object, endpoint, version, partition).rows(std::iter::once(record))
}

fn person(members: &str) -> Batch {
    map(&SUBSCRIBERS, ApiVersion::V4, "", &format!("{{{members}}}"))
}

fn value(object: &Object, batch: &Batch, column: &str) -> Value {
    batch.rows[0].values[object.column_index(column).expect("a column")].clone()
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

const WHOLE: &str = r#""id": 7, "state": "active", "created_at": "2024-05-03T09:00:00Z""#;

/// M32: an absent member leaves what is stored alone, null empties it.
#[test]
fn absent_is_not_null() {
    let batch = person(&format!(r#"{WHOLE}, "first_name": null"#));
    assert_eq!(value(&SUBSCRIBERS, &batch, "first_name"), Value::Null);
    assert_eq!(value(&SUBSCRIBERS, &batch, "fields"), Value::Absent);
}

/// Kit sends ten nulls for everybody of whom it knows nothing.
#[test]
fn an_object_of_nulls_is_null_where_that_is_all_it_can_mean() {
    let unknown = r#""attribution": {"referrer": null, "utm_source": null}, "location": {"city": "Bern"}, "fields": {"a": null}"#;
    let batch = person(&format!("{WHOLE}, {unknown}"));
    assert_eq!(value(&SUBSCRIBERS, &batch, "attribution"), Value::Null);
    assert_eq!(value(&SUBSCRIBERS, &batch, "location"), Value::Json(r#"{"city":"Bern"}"#.into()));
    assert_eq!(value(&SUBSCRIBERS, &batch, "fields"), Value::Json(r#"{"a":null}"#.into()));
}

/// M32: what a stub does not show, members without a column among them, is not known to be empty.
#[test]
fn a_stub_empties_nothing() {
    let stub = r#"{"id": 7, "created_at": "2024-05-03T09:00:00Z", "subject": "Hello"}"#;
    assert_eq!(map(&BROADCASTS, ApiVersion::V3, "", stub).rows[0].extra, Value::Absent);
    let more = r#"{"id": 7, "created_at": "2024-05-03T09:00:00Z", "subject": "Hello", "new": 1}"#;
    assert_eq!(map(&BROADCASTS, ApiVersion::V3, "", more).rows[0].extra, Value::Json(r#"{"new":1}"#.into()));
    // Where there are no stubs, a member that is missing is no sign of one.
    let person = person(WHOLE);
    assert_eq!(
        (&value(&SUBSCRIBERS, &person, "fields"), &person.rows[0].extra),
        (&Value::Absent, &Value::Null)
    );
}

/// M36, P-03, P-07.
#[test]
fn ids_are_64_bit_integers_and_never_pass_through_a_float() {
    for (id, expected) in [
        ("9223372036854775807", Ok(i64::MAX)),
        ("9007199254740993", Ok(9_007_199_254_740_993)),
        ("4294967296", Ok(4_294_967_296)),
        (r#""4287675149""#, Ok(4_287_675_149)),
        ("9223372036854775808", Err("id: an integer beyond 64 bits")),
        ("1.5", Err("id: a number instead of an integer")),
        ("1e3", Err("id: a number instead of an integer")),
        (r#""x""#, Err("id: text instead of an integer")),
        ("null", Err("id: null")),
        ("[1]", Err("id: an array instead of an integer")),
    ] {
        let batch =
            person(&format!(r#""id": {id}, "state": "active", "created_at": "2024-05-03T09:00:00Z""#));
        match expected {
            Ok(id) => assert_eq!(value(&SUBSCRIBERS, &batch, "id"), Value::Int(id)),
            Err(reason) => assert_eq!(batch.quarantined[0].reason, reason),
        }
    }
}

/// P-02, P-03.
#[test]
fn a_record_that_lacks_what_a_row_needs_is_set_aside_with_its_key_and_reason() {
    let batch = person(r#""id": 7, "state": "active""#);
    assert_eq!(batch.rows.len(), 0);
    assert_eq!(batch.lost(), 1);
    assert_eq!(batch.quarantined[0].key.as_deref(), Some("7"));
    assert_eq!(batch.quarantined[0].reason, "created_at: missing");
    let batch = person(&format!(r#"{WHOLE}, "first_name": 12"#));
    assert_eq!(batch.quarantined[0].reason, "first_name: a number instead of text");
    let batch = person(&format!(r#"{WHOLE}, "fields": []"#));
    assert_eq!(batch.quarantined[0].reason, "fields: an array instead of an object");
    let member = map(&TAG_SUBSCRIPTIONS, ApiVersion::V4, "42", r#"{"id": 7, "tagged_at": "soon"}"#);
    assert_eq!(member.quarantined[0].key.as_deref(), Some("42/7"));
}

/// P-04: the row is kept, the time is not, and the record as it came stands in quarantine.
#[test]
fn a_time_that_is_none_costs_the_row_only_where_the_row_needs_it() {
    let record = r#"{"id": 1, "created_at": "2024-05-03T09:00:00Z", "send_at": "2017-04-12T11:11:566Z"}"#;
    let batch = map(&BROADCASTS, ApiVersion::V4, "", record);
    assert_eq!(value(&BROADCASTS, &batch, "send_at"), Value::Absent);
    assert!(batch.quarantined[0].row_kept);
    assert_eq!(batch.lost(), 0);
}

#[test]
fn what_kit_adds_is_kept_beyond_the_columns() {
    let batch = person(&format!(r#"{WHOLE}, "zeta": [1], "alpha": {{"b": 1, "a": 2}}, "zeta": [2]"#));
    assert_eq!(batch.rows[0].extra, Value::Json(r#"{"alpha":{"a":2,"b":1},"zeta":[2]}"#.into()));
    let record = r#"{"id": 1, "created_at": "2024-05-03T09:00:00Z", "email_template": {"id": 6, "name": "Plain", "new": true}}"#;
    let batch = map(&BROADCASTS, ApiVersion::V4, "", record);
    assert_eq!(value(&BROADCASTS, &batch, "email_template_name"), text("Plain"));
    assert_eq!(batch.rows[0].extra, Value::Json(r#"{"email_template":{"new":true}}"#.into()));
    let repeated = record.replacen('}', "}, \"email_template\": null", 1);
    assert_eq!(map(&BROADCASTS, ApiVersion::V4, "", &repeated).rows[0].extra, Value::Null);
}

/// P-06, P-08: a record that could hold up everything else takes no longer than its length explains.
#[test]
fn a_hundred_thousand_unknown_members_are_kept_without_comparing_each_with_each() {
    let members: Vec<String> = (0..100_000).map(|at| format!("\"member_{at:05}\": {at}")).collect();
    let begun = std::time::Instant::now();
    let batch = person(&format!("{WHOLE}, {}", members.join(", ")));
    assert!(begun.elapsed() < std::time::Duration::from_secs(5), "{:?}", begun.elapsed());
    let Value::Json(extra) = &batch.rows[0].extra else { panic!("{:?}", batch.quarantined) };
    assert_eq!(extra.matches("member_").count(), 100_000);
}

#[test]
fn a_membership_takes_its_parent_from_the_list_and_its_time_from_the_membership() {
    let v4 = r#"{"id": 7, "created_at": "2020-01-01T00:00:00Z", "added_at": "2024-05-03T09:00:00Z", "email_address": "a@b.c",
        "referrer_utm_parameters": {"source": "news", "medium": null}}"#;
    let batch = map(&FORM_SUBSCRIPTIONS, ApiVersion::V4, "42", v4);
    assert_eq!(batch.rows[0].key(&FORM_SUBSCRIPTIONS), [42, 7]);
    assert_eq!(
        value(&FORM_SUBSCRIPTIONS, &batch, "created_at"),
        Value::Time(time::parse("2024-05-03T09:00:00Z").unwrap())
    );
    assert_eq!(value(&FORM_SUBSCRIPTIONS, &batch, "utm_source"), text("news"));
    assert_eq!(value(&FORM_SUBSCRIPTIONS, &batch, "utm_medium"), Value::Null);
    assert_eq!(value(&FORM_SUBSCRIPTIONS, &batch, "utm_term"), Value::Absent);
    let v3 = r#"{"id": 9, "created_at": "2024-05-03T09:00:00Z", "state": "active", "subscriber": {"id": 7, "state": "cancelled"}}"#;
    let batch = map(&FORM_SUBSCRIPTIONS, ApiVersion::V3, "42", v3);
    assert_eq!(batch.rows[0].key(&FORM_SUBSCRIPTIONS), [42, 7]);
    assert_eq!(value(&FORM_SUBSCRIPTIONS, &batch, "subscription_id"), Value::Int(9));
    assert_eq!(value(&FORM_SUBSCRIPTIONS, &batch, "state"), text("active"));
}

#[test]
fn the_key_of_the_account_is_taken_out_of_embed_addresses() {
    for (address, clean) in [
        ("https://h/f.js?api_key=SECRET", "https://h/f.js"),
        ("https://h/f.js?a=1&api_key=SECRET&b=2#top", "https://h/f.js?a=1&b=2#top"),
        ("https://h/f.js", "https://h/f.js"),
    ] {
        let record = format!(r#"{{"id": 1, "created_at": "2024-05-03T09:00:00Z", "embed_js": "{address}"}}"#);
        assert_eq!(value(&FORMS, &map(&FORMS, ApiVersion::V3, "", &record), "embed_js"), text(clean));
    }
}

proptest! {
    #[test]
    fn any_record_becomes_a_row_or_goes_to_quarantine_without_a_panic(record in "\\PC{0,120}", json in any::<i64>()) {
        for raw in [record.clone(), format!(r#"{{"id": {json}, "state": "{record}"}}"#)] {
            let batch = map(&SUBSCRIBERS, ApiVersion::V3, "", &raw);
            prop_assert_eq!(batch.read, 1);
            prop_assert_eq!(batch.rows.len() + batch.lost(), 1);
        }
    }
}
