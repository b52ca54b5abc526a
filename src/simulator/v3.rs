//! The v3 face: page numbers of 50 rows, `error` and `message`, active people only unless the list is
//! that of the cancelled.

use super::account::Account;
use super::answer::{Answer, Envelope, Failure, Page, Rows};
use super::json;
use super::listing::Listing;
use super::lists::PeopleOrder;
use super::members::{Parent, ParentKind};
use super::modes::{BeyondEnd, Direction, Scope, V3TagTime};
use super::request::{Asked, Query, Version};
use super::rows::{self, Include, Writer};
use super::run::{Filter, Item, Order};
use super::state::{State, States};
use super::v4::taggings_of;

const PAGE: u64 = 50;

type Outcome = Result<Answer, Failure>;

/// What v3 answers.
pub(super) fn answer(account: &Account, asked: &Asked) -> Answer {
    let parts: Vec<&str> = asked.path.split('/').collect();
    let outcome = match parts[..] {
        ["account"] => Ok(Answer::Object(own_account(account))),
        ["subscribers"] => subscribers(account, asked),
        ["subscribers", id] => subscriber(account, id),
        ["subscribers", id, "tags"] => tags_of_subscriber(account, id),
        ["forms"] => Ok(forms(account)),
        ["tags"] => Ok(tags(account)),
        ["sequences" | "courses"] => Ok(sequences(account)),
        ["custom_fields"] => Ok(custom_fields(account)),
        ["broadcasts"] => broadcasts(account, asked),
        ["broadcasts", id] => broadcast(account, id),
        ["forms", id, "subscriptions"] => subscriptions(account, asked, ParentKind::Form, id),
        ["tags", id, "subscriptions"] => subscriptions(account, asked, ParentKind::Tag, id),
        ["sequences" | "courses", id, "subscriptions"] => {
            subscriptions(account, asked, ParentKind::Sequence, id)
        }
        ["purchases"] => purchases(account, asked),
        ["automations", "hooks"] => Ok(Answer::Object("[]".into())),
        _ => Err(not_found()),
    };
    outcome.unwrap_or_else(Answer::Failure)
}

fn not_found() -> Failure {
    Failure::v3(404, "Not Found", "The entity you were trying to find doesn't exist")
}

fn parse_id(id: &str) -> Result<i64, Failure> {
    id.parse().map_err(|_| not_found())
}

fn own_account(account: &Account) -> String {
    let mut body = String::from("{");
    json::text_member(&mut body, "name", Some(&account.name));
    json::text_member(&mut body, "plan_type", Some("creator"));
    json::text_member(&mut body, "primary_email_address", Some(&account.primary_address()));
    body.push('}');
    body
}

/// What page is asked for; anything that is no number from 1 on means the first.
fn page_number(query: &Query) -> u64 {
    query.get("page").and_then(|text| text.parse().ok()).filter(|page| *page > 0).unwrap_or(1)
}

fn direction(query: &Query, usual: Direction) -> Direction {
    match query.get("sort_order") {
        Some("asc") => Direction::Ascending,
        Some("desc") => Direction::Descending,
        _ => usual,
    }
}

/// The ranks of a page, in rising order, of a list of `all` entries.
fn ranks(all: u64, page: u64, direction: Direction) -> std::ops::Range<u64> {
    let start = (page - 1).saturating_mul(PAGE).min(all);
    let end = (start + PAGE).min(all);
    match direction {
        Direction::Ascending => start..end,
        Direction::Descending => all - end..all - start,
    }
}

/// A page of people with totals.
fn numbered_page<'a>(
    account: &Account,
    asked: &Asked,
    list: &Listing<'a>,
    usual: Direction,
    (key, total_key): (&'static str, &'static str),
    write: impl Fn(&mut String, &Item<'a>),
) -> Outcome {
    let (page, direction, all) = (page_number(&asked.query), direction(&asked.query, usual), list.len());
    let total_pages = all.div_ceil(PAGE).max(1);
    if page > total_pages && account.modes.beyond_end == BeyondEnd::NotFound {
        return Err(not_found());
    }
    let mut entries = list.slice(ranks(all, page, direction));
    if direction == Direction::Descending {
        entries.reverse();
    }
    let mut rows = Rows::with_capacity(entries.len());
    for (_, item) in &entries {
        rows.push(|out| write(out, item));
    }
    let (total, page, total_pages) = (all.to_string(), page.to_string(), total_pages.to_string());
    let envelope = Envelope::Numbers { total_key, total, page, total_pages };
    Ok(Answer::Page(Page::new(key, rows, envelope)))
}

fn subscribers(account: &Account, asked: &Asked) -> Outcome {
    let query = &asked.query;
    let window = |from, to| {
        let texts = (query.get(from), query.get(to));
        account.modes.window(texts.0, texts.1).map_err(|_| Failure::v3(422, "Invalid date", ""))
    };
    let (order, state) = match query.get("sort_field") {
        Some("cancelled_at") => (PeopleOrder::Cancelled, State::Cancelled),
        _ => (PeopleOrder::Created, State::Active),
    };
    let filter = Filter {
        created: window("from", "to")?,
        updated: window("updated_from", "updated_to")?,
        bumps: account.modes.bumps,
        ..Filter::of(States::only(state))
    };
    let list = match query.get("email_address") {
        Some(address) => {
            let found = account.ids_with_address(address, account.now).into_iter().filter_map(|id| {
                let item = Item { who: account.listed_person(id, account.now)?, joined: None };
                item.passes(&account.base, &filter).then(|| (item.key(&account.base, Order::Id), item))
            });
            Listing::new(Vec::new(), found.collect())
        }
        None => account.subscriber_list(order, filter),
    };
    let writer = Writer::new(account, Version::V3);
    let usual = account.modes.v3_order;
    numbered_page(account, asked, &list, usual, ("subscribers", "total_subscribers"), |out, item| {
        writer.subscriber(out, item.who, Include::default());
    })
}

fn subscriber(account: &Account, id: &str) -> Outcome {
    let who = account.person(parse_id(id)?).ok_or_else(not_found)?;
    let mut row = String::new();
    Writer::new(account, Version::V3).subscriber(&mut row, who, Include::default());
    Ok(Answer::Object(format!(r#"{{"subscriber":{row}}}"#)))
}

fn tags_of_subscriber(account: &Account, id: &str) -> Outcome {
    let who = account.person(parse_id(id)?).ok_or_else(not_found)?;
    let mut rows = Rows::default();
    for (_, (tag, tagged_at)) in taggings_of(account, who) {
        let time = match account.modes.v3_tag_time {
            V3TagTime::Tagging => tagged_at,
            V3TagTime::Tag => tag.created_at.timestamp(),
        };
        rows.push(|out| {
            out.push('{');
            json::integer_member(out, "id", tag.id);
            json::text_member(out, "name", Some(&tag.name));
            json::time_member(out, "created_at", Some(time));
            out.push('}');
        });
    }
    Ok(unpaged("tags", rows))
}

fn unpaged(key: &'static str, rows: Rows) -> Answer {
    Answer::Page(Page::new(key, rows, Envelope::Bare))
}

fn forms(account: &Account) -> Answer {
    let mut rows = Rows::default();
    for (_, form) in account.catalogue_list(&account.forms) {
        if !form.trashed {
            rows.push(|out| rows::form(out, Version::V3, form, None));
        }
    }
    unpaged("forms", rows)
}

fn tags(account: &Account) -> Answer {
    let mut rows = Rows::default();
    for (_, tag) in account.catalogue_list(&account.tags) {
        rows.push(|out| rows::tag(out, Version::V3, tag, None));
    }
    unpaged("tags", rows)
}

fn sequences(account: &Account) -> Answer {
    let mut rows = Rows::default();
    for (_, sequence) in account.catalogue_list(&account.sequences) {
        rows.push(|out| rows::sequence(out, sequence, None));
    }
    unpaged("courses", rows)
}

fn custom_fields(account: &Account) -> Answer {
    let mut rows = Rows::default();
    for (_, field) in account.catalogue_list(&account.custom_fields) {
        rows.push(|out| rows::custom_field(out, field));
    }
    unpaged("custom_fields", rows)
}

fn broadcasts(account: &Account, asked: &Asked) -> Outcome {
    let broadcasts = account.catalogue_list(&account.broadcasts);
    let direction = direction(&asked.query, Direction::Ascending);
    let ranks = ranks(broadcasts.len() as u64, page_number(&asked.query), direction);
    let mut shown = broadcasts[ranks.start as usize..ranks.end as usize].to_vec();
    if direction == Direction::Descending {
        shown.reverse();
    }
    let mut rows = Rows::with_capacity(shown.len());
    for (_, broadcast) in shown {
        rows.push(|out| rows::v3_broadcast_stub(out, broadcast));
    }
    Ok(unpaged("broadcasts", rows))
}

fn broadcast(account: &Account, id: &str) -> Outcome {
    let history = account.broadcasts.get(&parse_id(id)?).ok_or_else(not_found)?;
    let mut row = String::new();
    rows::v3_broadcast(&mut row, history.current().ok_or_else(not_found)?);
    Ok(Answer::Object(format!(r#"{{"broadcast":{row}}}"#)))
}

fn subscriptions(account: &Account, asked: &Asked, kind: ParentKind, id: &str) -> Outcome {
    let parent = Parent { kind, id: parse_id(id)? };
    if !account.has_parent(parent) {
        return Err(match kind {
            ParentKind::Tag => Failure::v3(404, "Tag not found", ""),
            ParentKind::Sequence => Failure::v3(404, "Course not found", ""),
            ParentKind::Form => not_found(),
        });
    }
    let states = match (asked.query.get("subscriber_state"), account.modes.v3_subscriptions) {
        (Some("active"), _) | (None, Scope::Active) => States::only(State::Active),
        (Some("cancelled"), _) => States::only(State::Cancelled),
        _ => States::ALL,
    };
    let list = account.member_list(parent, Order::Added, Filter::of(states));
    let writer = Writer::new(account, Version::V3);
    let keys = ("subscriptions", "total_subscriptions");
    numbered_page(account, asked, &list, Direction::Ascending, keys, |out, item| {
        if let Some(joined) = item.joined {
            writer.subscription(out, parent, item.who, joined);
        }
    })
}

fn purchases(account: &Account, asked: &Asked) -> Outcome {
    let none = Listing::new(Vec::new(), Vec::new());
    let keys = ("purchases", "total_purchases");
    numbered_page(account, asked, &none, Direction::Ascending, keys, |_, _| {})
}
