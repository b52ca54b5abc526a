//! Answers member by member against the shapes of the API reference.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{get, rows_of, still, walk_v3, walk_v4};
use crate::simulator::{ACCESS_TOKEN, AccountPlan, Credentials, Simulator, V3_KEY, V4_KEY};

const SUBSCRIBER: &str = "created_at email_address fields first_name id state";

fn keys(value: &Value) -> String {
    let names: BTreeSet<&str> = value.as_object().expect("an object").keys().map(String::as_str).collect();
    names.into_iter().collect::<Vec<_>>().join(" ")
}

fn first(simulator: &Simulator, path: &str) -> Value {
    rows_of(&get(simulator, path)).into_iter().next().unwrap_or_else(|| panic!("{path} has rows"))
}

fn and(more: &str) -> String {
    let names: BTreeSet<&str> = SUBSCRIBER.split(' ').chain(more.split(' ')).collect();
    names.into_iter().collect::<Vec<_>>().join(" ")
}

#[test]
fn v4_rows_have_the_members_of_the_reference() {
    let simulator = still(AccountPlan::new(2_000));
    for (path, wanted) in [
        ("/v4/subscribers", SUBSCRIBER.to_string()),
        ("/v4/subscribers?slim=true", "created_at email_address first_name id state".into()),
        ("/v4/subscribers?include=attribution,tags,location", and("attribution tags location")),
        ("/v4/subscribers?status=cancelled&include=canceled_at", and("canceled_at")),
        ("/v4/tags", "created_at id name".into()),
        ("/v4/tags?include=subscriber_count", "created_at id name subscriber_count".into()),
        (
            "/v4/forms?status=all",
            "archived created_at embed_js embed_url format id name type uid".into(),
        ),
        ("/v4/tags/23217323/subscribers", and("tagged_at")),
        ("/v4/tags/23217323/subscribers?slim=true", "created_at email_address first_name id state tagged_at".into()),
        ("/v4/forms/3893419/subscribers", and("added_at referrer referrer_utm_parameters")),
        ("/v4/sequences/880011/subscribers?slim=true", and("added_at")),
        (
            "/v4/sequences",
            "active created_at email_address email_count email_template_id exclude_subscriber_sources hold id \
             name repeat send_days send_hour subscriber_count time_zone updated_at"
                .into(),
        ),
        (
            "/v4/broadcasts",
            "content created_at description email_address email_template id preview_text public public_url \
             publication_id published_at send_at status subject subscriber_filter thumbnail_alt thumbnail_url"
                .into(),
        ),
        (
            "/v4/broadcasts?slim=true",
            "created_at description id preview_text public publication_id published_at send_at status subject \
             thumbnail_alt thumbnail_url"
                .into(),
        ),
        ("/v4/custom_fields", "id key label name".into()),
    ] {
        assert_eq!(keys(&first(&simulator, path)), wanted, "{path}");
    }
    let id = simulator.read(|a| a.base_id(4));
    let subscriber = get(&simulator, &format!("/v4/subscribers/{id}"))["subscriber"].clone();
    assert_eq!(keys(&subscriber), and("canceled_at location"));
    let tags = get(&simulator, &format!("/v4/subscribers/{}/tags", simulator.read(|a| a.base_id(0))));
    assert_eq!(keys(&tags["tags"][0]), "id name tagged_at");
    let account = get(&simulator, "/v4/account");
    assert_eq!(keys(&account), "account user");
    assert_eq!(account["account"]["id"], 77);
    simulator.set_modes(|modes| modes.set("sequence_rows=minimal").expect("a mode"));
    assert_eq!(keys(&first(&simulator, "/v4/sequences")), "created_at hold id name repeat");
}

#[test]
fn v3_rows_have_the_members_of_the_reference() {
    let simulator = still(AccountPlan::small());
    assert_eq!(keys(&get(&simulator, "/v3/account")), "name plan_type primary_email_address");
    let page = get(&simulator, "/v3/subscribers");
    assert_eq!(keys(&page), "page subscribers total_pages total_subscribers");
    assert_eq!(page["subscribers"].as_array().map(Vec::len), Some(50));
    assert_eq!(keys(&page["subscribers"][0]), SUBSCRIBER);
    let page = get(&simulator, "/v3/forms/3893419/subscriptions");
    assert_eq!(keys(&page), "page subscriptions total_pages total_subscriptions");
    let row = &page["subscriptions"][0];
    let wanted = "created_at id referrer source state subscribable_id subscribable_type subscriber";
    assert_eq!((keys(row).as_str(), keys(&row["subscriber"]).as_str()), (wanted, SUBSCRIBER));
    assert_eq!(row["subscribable_type"], "form");
    let sequence = first(&simulator, "/v3/courses/880011/subscriptions");
    assert_eq!(sequence["subscribable_type"], "course");
    assert_eq!(keys(&get(&simulator, "/v3/sequences")), "courses");
    assert_eq!(keys(&first(&simulator, "/v3/sequences")), "created_at hold id name repeat");
    let forms = rows_of(&get(&simulator, "/v3/forms"));
    assert_eq!(
        forms.iter().map(keys).collect::<Vec<_>>(),
        [
            "archived created_at embed_js embed_url format id name type uid",
            "archived created_at embed_js embed_url format id name type uid",
            "created_at description embed_js embed_url id name sign_up_button_text success_message title type url",
        ],
        "the trashed one is missing"
    );
    assert!(
        forms[2]["embed_js"].as_str().is_some_and(|text| text.contains(V3_KEY)),
        "old forms carry the key"
    );
    let broadcasts = get(&simulator, "/v3/broadcasts");
    assert_eq!(
        (keys(&broadcasts).as_str(), keys(&broadcasts["broadcasts"][0]).as_str()),
        ("broadcasts", "created_at id subject")
    );
    assert!(broadcasts["broadcasts"][0]["created_at"].as_str().is_some_and(|time| time.ends_with(".000Z")));
    assert_eq!(
        keys(&get(&simulator, "/v3/broadcasts/301")["broadcast"]),
        "content created_at description email_address email_layout_template id public published_at send_at \
         subject thumbnail_alt thumbnail_url"
    );
    let id = simulator.read(|a| a.base_id(0));
    assert_eq!(keys(&get(&simulator, &format!("/v3/subscribers/{id}"))["subscriber"]), SUBSCRIBER);
    assert_eq!(
        keys(&get(&simulator, &format!("/v3/subscribers/{id}/tags"))["tags"][0]),
        "created_at id name"
    );
    assert_eq!(
        get(&simulator, "/v3/tags/23217326/subscriptions")["total_pages"],
        1,
        "an empty list has a page"
    );
}

#[test]
fn errors_have_the_texts_of_the_reference() {
    let simulator = still(AccountPlan::small());
    for (path, status, body) in [
        (
            "/v4/subscribers?sort_field=cancelled_at",
            422,
            r#"{"errors":["The status param must be `cancelled` if sort_field is `cancelled_at`"]}"#,
        ),
        ("/v4/subscribers/1", 404, r#"{"errors":["Not Found"]}"#),
        ("/v4/nowhere", 404, r#"{"errors":["Not Found"]}"#),
        ("/v4/purchases", 401, r#"{"errors":["The access token is invalid"]}"#),
        ("/v3/tags/1/subscriptions", 404, r#"{"error":"Tag not found","message":""}"#),
        ("/v3/sequences/1/subscriptions", 404, r#"{"error":"Course not found","message":""}"#),
        (
            "/v3/subscribers/1",
            404,
            r#"{"error":"Not Found","message":"The entity you were trying to find doesn't exist"}"#,
        ),
    ] {
        assert_eq!(simulator.ask(path), (status, body.to_string()), "{path}");
    }
    for path in [
        "/v4/subscribers?status=sleeping",
        "/v4/subscribers?sort_field=name",
        "/v4/subscribers?after=nonsense",
        "/v4/subscribers?include=canceled_at",
        "/v4/subscribers?created_after=yesterday",
        "/v4/forms?status=sleeping",
        "/v4/broadcasts?status=sleeping",
        "/v4/tags/23217323/subscribers?after=WzFd",
    ] {
        assert_eq!(simulator.ask(path).0, 422, "{path}");
    }
}

#[test]
fn credentials_are_judged_as_each_version_does() {
    let credentials = Credentials { v3_secret: "other".into(), ..Credentials::default() };
    let simulator = still(AccountPlan::small().guarded_by(credentials));
    assert_eq!(simulator.ask("/v3/subscribers").0, 200, "the simulator knows its own secret");
    let refused = |query: &str, text: &str| {
        let (status, body) = simulator.ask_as("/v3/subscribers", query, &[]);
        assert_eq!(status, 401, "{query}");
        assert_eq!(body, format!(r#"{{"error":"Authorization Failed","message":"{text}"}}"#));
    };
    refused("", "API Key not present");
    refused("api_secret=wrong", "API Key not valid");
    refused(&format!("api_key={V3_KEY}"), "You do not have sufficient permissions to access this resource");
    assert_eq!(simulator.ask_as("/v3/tags", &format!("api_key={V3_KEY}"), &[]).0, 200);
    let token = format!("Bearer {ACCESS_TOKEN}");
    for (headers, status) in [
        (vec![], 401),
        (vec![("X-Kit-Api-Key", "wrong")], 401),
        (vec![("Authorization", "Bearer wrong")], 401),
        (vec![("x-kit-api-key", V4_KEY)], 200),
        (vec![("authorization", token.as_str())], 200),
    ] {
        assert_eq!(simulator.ask_as("/v4/subscribers", "", &headers).0, status, "{headers:?}");
    }
    let token = [("authorization", token.as_str())];
    assert_eq!(simulator.ask_as("/v4/purchases", "", &token).0, 200);
}

#[test]
fn a_default_list_hides_people_who_are_not_active_and_forms_that_are_archived() {
    let simulator = still(AccountPlan::small());
    assert!(walk_v4(&simulator, "/v4/subscribers").iter().all(|row| row["state"] == "active"));
    assert!(walk_v3(&simulator, "/v3/subscribers").iter().all(|row| row["state"] == "active"));
    let forms = |status: &str| rows_of(&get(&simulator, &format!("/v4/forms{status}"))).len();
    assert_eq!(
        [forms(""), forms("?status=archived"), forms("?status=trashed"), forms("?status=all")],
        [2, 1, 1, 4]
    );
}

#[test]
fn cursors_decode_to_what_the_reference_found_in_them() {
    use base64::Engine as _;
    let simulator = still(AccountPlan::new(2_000));
    let cursor = |path: &str| {
        let page = get(&simulator, path);
        let cursor = page["pagination"]["end_cursor"].as_str().expect("a cursor").to_string();
        let bytes = base64::engine::general_purpose::STANDARD.decode(cursor).expect("base64");
        String::from_utf8(bytes).expect("text")
    };
    let tags = cursor("/v4/tags");
    assert_eq!(tags, "23217323");
    simulator.set_modes(|modes| modes.set("tag_cursor=array").expect("a mode"));
    assert_eq!(cursor("/v4/tags"), "[23217323]");
    assert_eq!(cursor("/v4/forms?status=all"), "[3893419]");
    let tagging: (String, i64) =
        serde_json::from_str(&cursor("/v4/tags/23217323/subscribers?per_page=3")).expect("time and id");
    assert!(tagging.0.ends_with(".000Z") && tagging.1 > 9_000_000_000);
    let second = cursor("/v4/subscribers?sort_field=created_at&per_page=3");
    assert!(second.ends_with(" UTC") && second.len() == 23, "{second}");
    let page = get(&simulator, "/v4/tags/23217326/subscribers");
    let pagination = &page["pagination"];
    assert!(pagination["start_cursor"].is_null() && pagination["end_cursor"].is_null());
    assert_eq!(pagination["has_next_page"], false);
}

#[test]
fn the_usual_parents_hold_none_one_fifty_and_a_thousand() {
    let simulator = still(AccountPlan::new(5_000));
    let sizes = |list: &str, member: &str| {
        let parents = walk_v4(&simulator, &format!("/v4/{list}?status=all"));
        let count = |row: &Value| {
            let path = format!(
                "/v4/{list}/{}/subscribers?status=all&per_page=1&include_total_count=true",
                row["id"]
            );
            get(&simulator, &path)["pagination"]["total_count"].as_u64().expect(member)
        };
        let mut sizes: Vec<u64> = parents.iter().map(count).collect();
        sizes.sort_unstable();
        sizes
    };
    assert_eq!(sizes("tags", "a total"), [0, 1, 50, 500, 1_000, 1_666]);
    assert_eq!(sizes("forms", "a total"), [1, 50, 250, 3_500]);
    assert_eq!(sizes("sequences", "a total"), [0, 1_000, 1_250]);
}

#[test]
fn nasty_rows_are_valid_json_and_equal_to_the_truth() {
    let simulator = still(AccountPlan::new(2_000).nasty());
    let mut texts = Seen::default();
    let rows = nasty_rows(&simulator, &mut texts);
    assert!(texts.lone_surrogates > 0 && texts.nuls > 0 && texts.doubles > 0 && texts.longest > 1_000_000);
    assert_eq!(rows.len(), 2_000);
    for row in rows {
        let id = row["id"].as_i64().expect("an id");
        let truth = simulator.read(|account| account.subscriber(id)).expect("a truth");
        assert_eq!(row["first_name"].as_str(), truth.first_name.as_deref(), "{id}");
        assert_eq!(row["email_address"], truth.email_address);
        assert_eq!(row["state"], truth.state);
        assert_eq!(row["fields"].as_object(), Some(&truth.fields), "{id}");
        let shown: chrono::DateTime<chrono::Utc> =
            row["created_at"].as_str().and_then(|text| text.parse().ok()).expect("a time");
        assert_eq!(shown, truth.created_at);
    }
    let ids: BTreeSet<i64> = simulator.read(|a| a.subscribers().map(|person| person.id).collect());
    assert!(ids.contains(&i64::MAX) && ids.contains(&((1 << 53) + 1)));
    let wide = simulator.read(|a| a.subscribers().map(|person| person.fields.len()).max());
    assert_eq!(wide, Some(140));
    let v3 = walk_v3_lossy(&simulator, "/v3/subscribers");
    assert!(v3.iter().any(|row| row["id"].is_string()), "v3 writes some ids as text");
}

/// How often each odd text was seen.
#[derive(Default)]
struct Seen {
    lone_surrogates: usize,
    nuls: usize,
    doubles: usize,
    longest: usize,
}

/// All rows, with lone surrogates, which serde_json refuses, replaced as a lenient reader does.
fn nasty_rows(simulator: &Simulator, texts: &mut Seen) -> Vec<Value> {
    let mut rows = Vec::new();
    let mut cursor = String::new();
    loop {
        let (status, body) = simulator.ask(&format!("/v4/subscribers?status=all&per_page=500{cursor}"));
        assert_eq!(status, 200);
        texts.lone_surrogates += body.matches("\\ud800").count();
        texts.nuls += body.matches("\\u0000").count();
        texts.doubles += body.matches("not this one").count();
        let page: Value = serde_json::from_str(&body.replace("\\ud800", "\u{FFFD}")).expect("valid JSON");
        let more = rows_of(&page);
        let longest = more.iter().filter_map(|row| row["first_name"].as_str()).map(str::len).max();
        texts.longest = texts.longest.max(longest.unwrap_or(0));
        rows.extend(more);
        if page["pagination"]["has_next_page"] == false {
            return rows;
        }
        cursor = format!(
            "&after={}",
            super::encoded(page["pagination"]["end_cursor"].as_str().expect("a cursor"))
        );
    }
}

fn walk_v3_lossy(simulator: &Simulator, path: &str) -> Vec<Value> {
    let page = |n: u64| -> Value {
        let (_, body) = simulator.ask(&format!("{path}?page={n}"));
        serde_json::from_str(&body.replace("\\ud800", "\u{FFFD}")).expect("valid JSON")
    };
    let pages = page(1)["total_pages"].as_u64().expect("pages");
    (1..=pages).flat_map(|n| rows_of(&page(n))).collect()
}
