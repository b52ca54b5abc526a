//! The v4 face: cursors, `errors`, active people unless somebody asks for more. Routing and lists;
//! parsing of parameters is in [`parameters`].

mod parameters;

use super::account::{Account, Catalogue};
use super::answer::{Answer, Cursors, Envelope, Failure, Page, Rows};
use super::cursor::{Style, reach};
use super::json;
use super::listing::Listing;
use super::lists::PeopleOrder;
use super::members::Parent;
use super::modes::{SequenceRows, TagCursor};
use super::people::Who;
use super::request::{Asked, Credential, Version};
use super::rows::{self, Include, Writer};
use super::run::{Filter, Item, Key, Order};
use super::state::{State, States};
use parameters::Paging;

type Outcome = Result<Answer, Failure>;

/// What v4 answers.
pub(super) fn answer(account: &Account, asked: &Asked) -> Answer {
    let parts: Vec<&str> = asked.path.split('/').collect();
    let outcome = match parts[..] {
        ["account"] => Ok(Answer::Object(own_account(account))),
        ["subscribers"] => subscribers(account, asked),
        ["subscribers", id] => subscriber(account, id),
        ["subscribers", id, "tags"] => tags_of_subscriber(account, asked, id),
        ["tags"] => tags(account, asked),
        ["forms"] => forms(account, asked),
        ["sequences"] => sequences(account, asked),
        ["sequences", id] => sequence(account, id),
        ["broadcasts"] => broadcasts(account, asked),
        ["broadcasts", id] => broadcast(account, id),
        ["tags", id, "subscribers"] => members(account, asked, parse_id(id).map(Parent::tag)),
        ["forms", id, "subscribers"] => members(account, asked, parse_id(id).map(Parent::form)),
        ["sequences", id, "subscribers"] => members(account, asked, parse_id(id).map(Parent::sequence)),
        ["custom_fields"] => custom_fields(account, asked),
        ["purchases"] if asked.credential != Credential::Token => {
            Err(Failure::v4(401, "The access token is invalid"))
        }
        [list @ ("purchases" | "segments" | "email_templates" | "posts" | "snippets" | "webhooks")] => {
            nothing(account, asked, list)
        }
        _ => Err(not_found()),
    };
    outcome.unwrap_or_else(Answer::Failure)
}

fn not_found() -> Failure {
    Failure::v4(404, "Not Found")
}

fn unprocessable(text: &str) -> Failure {
    Failure::v4(422, text)
}

fn parse_id(id: &str) -> Result<i64, Failure> {
    id.parse().map_err(|_| not_found())
}

fn own_account(account: &Account) -> String {
    let mut name = String::new();
    json::string(&mut name, &account.name);
    format!(
        concat!(
            r#"{{"user":{{"email":"{address}","id":{user}}},"account":{{"id":{id},"name":{name},"#,
            r#""plan_type":"creator","primary_email_address":"{address}","#,
            r#""created_at":"2014-01-02T03:04:05Z","timezone":{{"name":"America/New_York","#,
            r#""friendly_name":"Eastern Time (US & Canada)","utc_offset":"-05:00"}},"#,
            r#""sending_addresses":[{{"email_address":"letters@example.org","from_name":"Alder","#,
            r#""status":"confirmed","is_default":true,"is_verified":true,"is_dmarc_configured":false}}],"#,
            r#""plan":{{"plan_type":"creator","interval":"month","subscriber_limit":1000,"on_trial":false,"#,
            r#""trial_lapse_date":null,"renews_at":"2026-12-17T11:43:55Z","cancels_at":null}}}}}}"#
        ),
        user = account.id + 424,
        id = account.id,
        name = name,
        address = account.primary_address(),
    )
}

fn subscribers(account: &Account, asked: &Asked) -> Outcome {
    let query = &asked.query;
    let paging = Paging::of(account, query)?;
    let states = parameters::states(query)?;
    let falling = parameters::falling(query)?;
    let cancelled_only = states == States::only(State::Cancelled);
    let order = match query.get("sort_field") {
        None | Some("id") => PeopleOrder::Id,
        Some("created_at") => PeopleOrder::Created,
        Some("updated_at") => PeopleOrder::Updated,
        Some("cancelled_at" | "canceled_at") if cancelled_only => PeopleOrder::Cancelled,
        Some("cancelled_at" | "canceled_at") => {
            return Err(unprocessable(
                "The status param must be `cancelled` if sort_field is `cancelled_at`",
            ));
        }
        Some(_) => return Err(unprocessable("The sort_field param is invalid")),
    };
    let include = parameters::subscriber_include(query, cancelled_only)?;
    let filter = Filter {
        created: parameters::window(account, query, "created")?,
        updated: parameters::window(account, query, "updated")?,
        bumps: account.modes.bumps,
        ..Filter::of(states)
    };
    let list = match query.get("email_address") {
        Some(addresses) => with_addresses(account, addresses, order, &filter),
        None => account.subscriber_list(order, filter),
    };
    let style = match order {
        PeopleOrder::Id => Style::Id,
        _ => Style::of_time_order(account.modes.time_cursor),
    };
    let writer = Writer::new(account, Version::V4);
    people_page(&list, style, falling, &paging, |out, item| writer.subscriber(out, item.who, include))
}

/// The people with one of the comma-separated addresses.
fn with_addresses<'a>(
    account: &'a Account,
    addresses: &str,
    order: PeopleOrder,
    filter: &Filter,
) -> Listing<'a> {
    let found =
        addresses.split(',').flat_map(|address| account.ids_with_address(address.trim(), account.now));
    let entries = found.filter_map(|id| {
        let item = Item { who: account.listed_person(id, account.now)?, joined: None };
        let key = match order {
            PeopleOrder::Id => item.key(&account.base, Order::Id),
            PeopleOrder::Created | PeopleOrder::Updated => item.key(&account.base, Order::Created),
            PeopleOrder::Cancelled => item.key(&account.base, Order::Cancelled),
        };
        item.passes(&account.base, filter).then_some((key, item))
    });
    Listing::new(Vec::new(), entries.collect())
}

fn people_page<'a>(
    list: &Listing<'a>,
    style: Style,
    falling: bool,
    paging: &Paging,
    write: impl Fn(&mut String, &Item<'a>),
) -> Outcome {
    let reach = reach(list, style, falling, paging.per_page, paging.after(), paging.before())
        .map_err(|_| unprocessable("The cursor is invalid"))?;
    let mut entries = list.slice(reach.ranks.clone());
    if falling {
        entries.reverse();
    }
    let mut rows = Rows::with_capacity(entries.len());
    for (_, item) in &entries {
        rows.push(|out| write(out, item));
    }
    let ends = entries.first().zip(entries.last()).map(|(first, last)| (first.0, last.0));
    let cursors =
        paging.cursors(style, ends, reach.has_previous, reach.has_next, paging.total.then(|| list.len()));
    Ok(Answer::Page(Page::new("subscribers", rows, Envelope::Cursors(cursors))))
}

fn subscriber(account: &Account, id: &str) -> Outcome {
    let who = account.person(parse_id(id)?).ok_or_else(not_found)?;
    let mut row = String::new();
    let include = Include { canceled_at: true, ..Include::default() };
    Writer::new(account, Version::V4).subscriber(&mut row, who, include);
    row.pop();
    // A lookup shows the members of a place even when nothing is known of it.
    let location = match rows::location(account, who) {
        none if none == "null" => rows::NOWHERE.to_string(),
        known => known,
    };
    Ok(Answer::Object(format!(r#"{{"subscriber":{row},"location":{location}}}}}"#)))
}

fn tags_of_subscriber(account: &Account, asked: &Asked, id: &str) -> Outcome {
    let who = account.person(parse_id(id)?).ok_or_else(not_found)?;
    let paging = Paging::of(account, &asked.query)?;
    let mut taggings = taggings_of(account, who);
    taggings.sort_unstable_by_key(|(tagging, ..)| *tagging);
    small_page(&taggings, "tags", Style::Id, &paging, |out, (tag, tagged_at)| {
        out.push('{');
        json::integer_member(out, "id", tag.id);
        json::text_member(out, "name", Some(&tag.name));
        json::time_member(out, "tagged_at", Some(*tagged_at));
        out.push('}');
    })
}

/// Tagging id, tag and time of every tag a person has.
pub(super) fn taggings_of<'a>(
    account: &'a Account,
    who: Who<'_>,
) -> Vec<(i64, (&'a super::catalogue::Tag, i64))> {
    let tags = account.catalogue_list(&account.tags).into_iter();
    tags.filter_map(|(id, tag)| {
        let joined = account.listed_membership(Parent::tag(id), who, account.now)?;
        Some((joined.id(), (tag, joined.added_at(&account.base))))
    })
    .collect()
}

fn members(account: &Account, asked: &Asked, parent: Result<Parent, Failure>) -> Outcome {
    let parent = parent?;
    if !account.has_parent(parent) {
        return Err(not_found());
    }
    let query = &asked.query;
    let paging = Paging::of(account, query)?;
    let (order, style, times) = match parent.kind {
        super::members::ParentKind::Tag => (Order::Added, Style::TimeAndId, "tagged"),
        _ => (Order::Id, Style::Id, "added"),
    };
    let filter = Filter {
        created: parameters::window(account, query, "created")?,
        added: parameters::window(account, query, times)?,
        ..Filter::of(parameters::states(query)?)
    };
    // Sequences know no `slim`.
    let slim = query.is_true("slim") && parent.kind != super::members::ParentKind::Sequence;
    let list = account.member_list(parent, order, filter);
    let writer = Writer::new(account, Version::V4);
    people_page(&list, style, true, &paging, |out, item| {
        if let Some(joined) = item.joined {
            writer.member(out, parent, item.who, joined, slim);
        }
    })
}

fn tags(account: &Account, asked: &Asked) -> Outcome {
    let paging = Paging::of(account, &asked.query)?;
    let counted = parameters::counts(&asked.query)?;
    let style = match account.modes.tag_cursor {
        TagCursor::Array => Style::Id,
        TagCursor::Bare => Style::BareId,
    };
    small_page(&account.catalogue_list(&account.tags), "tags", style, &paging, |out, tag| {
        let count = counted.then(|| account.member_count(Parent::tag(tag.id)));
        rows::tag(out, Version::V4, tag, count);
    })
}

fn forms(account: &Account, asked: &Asked) -> Outcome {
    let query = &asked.query;
    let paging = Paging::of(account, query)?;
    let counted = parameters::counts(query)?;
    let mut forms = account.catalogue_list(&account.forms);
    match query.get("status") {
        None | Some("active") => forms.retain(|(_, form)| !form.archived && !form.trashed),
        Some("archived") => forms.retain(|(_, form)| form.archived && !form.trashed),
        Some("trashed") => forms.retain(|(_, form)| form.trashed),
        Some("all") => {}
        Some(_) => return Err(unprocessable("The status param is invalid")),
    }
    match query.get("type") {
        None => {}
        Some(kind @ ("embed" | "hosted")) => forms.retain(|(_, form)| form.kind == kind),
        Some(_) => return Err(unprocessable("The type param is invalid")),
    }
    small_page(&forms, "forms", Style::Id, &paging, |out, form| {
        let count = counted.then(|| account.member_count(Parent::form(form.id)));
        rows::form(out, Version::V4, form, count);
    })
}

fn sequences(account: &Account, asked: &Asked) -> Outcome {
    let paging = Paging::of(account, &asked.query)?;
    small_page(
        &account.catalogue_list(&account.sequences),
        "sequences",
        Style::Id,
        &paging,
        |out, sequence| {
            rows::sequence(out, sequence, sequence_count(account, sequence.id));
        },
    )
}

fn sequence(account: &Account, id: &str) -> Outcome {
    let sequence = current(&account.sequences, id)?;
    let mut row = String::new();
    rows::sequence(&mut row, sequence, sequence_count(account, sequence.id));
    Ok(Answer::Object(format!(r#"{{"sequence":{row}}}"#)))
}

fn sequence_count(account: &Account, id: i64) -> Option<u64> {
    let full = account.modes.sequence_rows == SequenceRows::Full;
    full.then(|| account.member_count(Parent::sequence(id)))
}

fn broadcasts(account: &Account, asked: &Asked) -> Outcome {
    let query = &asked.query;
    let paging = Paging::of(account, query)?;
    let mut broadcasts = account.catalogue_list(&account.broadcasts);
    match query.get("status") {
        None => {}
        Some(status @ ("draft" | "scheduled" | "sending" | "completed" | "aborted")) => {
            broadcasts.retain(|(_, broadcast)| broadcast.status == status);
        }
        Some(_) => return Err(unprocessable("The status param is invalid")),
    }
    let sent = parameters::window(account, query, "sent")?;
    if !sent.is_all() {
        broadcasts.retain(|(_, broadcast)| {
            broadcast.status == "completed"
                && broadcast.send_at.is_some_and(|send_at| sent.contains(send_at.timestamp()))
        });
    }
    let slim = query.is_true("slim");
    small_page(&broadcasts, "broadcasts", Style::Id, &paging, |out, broadcast| {
        rows::broadcast(out, broadcast, slim);
    })
}

fn broadcast(account: &Account, id: &str) -> Outcome {
    let mut row = String::new();
    rows::broadcast(&mut row, current(&account.broadcasts, id)?, false);
    Ok(Answer::Object(format!(r#"{{"broadcast":{row}}}"#)))
}

fn custom_fields(account: &Account, asked: &Asked) -> Outcome {
    let paging = Paging::of(account, &asked.query)?;
    let fields = account.catalogue_list(&account.custom_fields);
    small_page(&fields, "custom_fields", Style::Id, &paging, |out, field| rows::custom_field(out, field))
}

/// A list that the simulated account has nothing in.
fn nothing(account: &Account, asked: &Asked, list: &str) -> Outcome {
    let key = match list {
        "purchases" => "purchases",
        "segments" => "segments",
        "email_templates" => "email_templates",
        "posts" => "posts",
        "snippets" => "snippets",
        _ => "webhooks",
    };
    let none: [(i64, ()); 0] = [];
    small_page(&none, key, Style::Id, &Paging::of(account, &asked.query)?, |_, ()| {})
}

fn current<'a, T>(list: &'a Catalogue<T>, id: &str) -> Result<&'a T, Failure> {
    list.get(&parse_id(id)?).and_then(super::history::History::current).ok_or_else(not_found)
}

/// A page of a list that is held in memory, newest first.
fn small_page<T>(
    entries: &[(i64, T)],
    key: &'static str,
    style: Style,
    paging: &Paging,
    write: impl Fn(&mut String, &T),
) -> Outcome {
    let reach = reach(entries, style, true, paging.per_page, paging.after(), paging.before())
        .map_err(|_| unprocessable("The cursor is invalid"))?;
    let shown = &entries[reach.ranks.start as usize..reach.ranks.end as usize];
    let mut rows = Rows::with_capacity(shown.len());
    for (_, record) in shown.iter().rev() {
        rows.push(|out| write(out, record));
    }
    let ends: Option<(Key, Key)> =
        shown.last().zip(shown.first()).map(|(first, last)| ((first.0, 0), (last.0, 0)));
    let total = paging.total.then_some(entries.len() as u64);
    let cursors: Cursors = paging.cursors(style, ends, reach.has_previous, reach.has_next, total);
    Ok(Answer::Page(Page::new(key, rows, Envelope::Cursors(cursors))))
}
