//! The questions about API v4. All of them together take at most [`MOST_REQUESTS`](super::MOST_REQUESTS).

use std::sync::Arc;

use super::dates::Sample;
use super::reply::List;
use super::{A_DAY_BEFORE, Answer, Asker, Probe, Unanswered, clock, cursor_shape, date_filter};

pub(super) const PROBES: &[Probe] = &[
    Probe {
        id: "created_after",
        question: "What does created_after of subscribers make of a time, and of a day?",
        means: A_DAY_BEFORE,
        ask: |asker| Box::pin(created_after(asker)),
    },
    Probe {
        id: "updated_after",
        question: "Is updated_after of subscribers obeyed?",
        means: "changed people are found by it between two full passes",
        ask: |asker| Box::pin(updated_after(asker)),
    },
    Probe {
        id: "tagged_after",
        question: "What does tagged_after of a tag's members make of a time, and of a day?",
        means: A_DAY_BEFORE,
        ask: |asker| Box::pin(tagged_after(asker)),
    },
    Probe {
        id: "added_after",
        question: "What does added_after of a form's members make of a time, and of a day?",
        means: A_DAY_BEFORE,
        ask: |asker| Box::pin(added_after(asker)),
    },
    Probe {
        id: "per_page",
        question: "What happens to per_page=1001?",
        means: "handled either way: no more than 1,000 are asked for, and no page size is relied on",
        ask: |asker| Box::pin(per_page(asker)),
    },
    Probe {
        id: "cursor_by_id",
        question: "What is in the cursor of subscribers in the order of their ids?",
        means: "handled either way: a cursor is handed back as it came and not kept between passes",
        ask: |asker| Box::pin(cursor_by_id(asker)),
    },
    Probe {
        id: "cursor_by_time",
        question: "What is in the cursor of subscribers in the order of their creation?",
        means: "handled either way: full loads go by id, and a page that ends within a second of the one list \
                read by time sends the pass through all of it by id",
        ask: |asker| Box::pin(cursor_by_time(asker)),
    },
    Probe {
        id: "stale_cursor",
        question: "What is the answer to a cursor that is none?",
        means: "handled either way: the pass begins again, its watermark was not moved",
        ask: |asker| Box::pin(stale_cursor(asker)),
    },
    Probe {
        id: "states",
        question: "Does status=all show just the people of the five states?",
        means: "handled either way: status=all is what is read",
        ask: |asker| Box::pin(states(asker)),
    },
    Probe {
        id: "subscriber_count",
        question: "Does a tag's subscriber_count count everybody, or active people only?",
        means: "handled either way: only `plan` uses it, and asks the list itself where it matters",
        ask: |asker| Box::pin(subscriber_count(asker)),
    },
    Probe {
        id: "total_count",
        question: "Does total_count count what the list shows?",
        means: "handled either way: the end of a list is where Kit says so; a total that differs is logged",
        ask: |asker| Box::pin(total_count(asker)),
    },
    Probe {
        id: "cancelled_time",
        question: "Does every cancelled person show when, newest first?",
        means: "handled either way: a list out of order is read to its end",
        ask: |asker| Box::pin(cancelled_time(asker)),
    },
    Probe {
        id: "clock",
        question: "Do answers tell the time?",
        means: "passes go by Kit's clock and not by this machine's",
        ask: |asker| Box::pin(clock(asker)),
    },
];

const STATES: [&str; 5] = ["active", "inactive", "cancelled", "bounced", "complained"];

/// The newest subscribers. `slim` leaves out the custom fields.
async fn newest(asker: &Asker<'_>) -> Result<Arc<List>, Unanswered> {
    let target = "/subscribers?status=all&slim=true&sort_field=created_at&sort_order=desc&per_page=1000\
                  &include_total_count=true";
    asker.list(target, "subscribers").await
}

/// The members of the largest tag, or of the largest form that fits on a page, with the count Kit gives it.
async fn members(
    asker: &Asker<'_>,
    of: &str,
    most: u64,
) -> Result<Option<(i64, u64, Arc<List>)>, Unanswered> {
    let filter = if of == "forms" { "status=all&" } else { "" };
    let parents = asker.list(&format!("/{of}?{filter}include=subscriber_count&per_page=1000"), of).await?;
    let Some((id, count)) = parents.largest(most) else { return Ok(None) };
    let target =
        format!("/{of}/{id}/subscribers?status=all&slim=true&per_page=1000&include_total_count=true");
    Ok(Some((id, count, asker.list(&target, "subscribers").await?)))
}

async fn created_after(asker: &Asker<'_>) -> Result<Answer, Unanswered> {
    let list = newest(asker).await?;
    let sample = Sample::new(list.times("created_at"), list.is_whole());
    date_filter(asker, sample, "/subscribers?status=all&created_after", "subscribers").await
}

async fn updated_after(asker: &Asker<'_>) -> Result<Answer, Unanswered> {
    if newest(asker).await?.rows.is_empty() {
        return Ok(Answer::open("not enough data: there are no subscribers"));
    }
    Ok(match asker.count("/subscribers?status=all&updated_after=2999-01-01", "subscribers").await? {
        0 => Answer::settled("yes: nobody was updated after the year 2999"),
        _ => Answer::settled("no: it lets people through who cannot have been updated then")
            .means("incremental passes read all subscribers, and stay right"),
    })
}

async fn tagged_after(asker: &Asker<'_>) -> Result<Answer, Unanswered> {
    let Some((id, _, list)) = members(asker, "tags", u64::MAX).await? else {
        return Ok(Answer::open("not enough data: no tag has members"));
    };
    let sample = Sample::new(list.times("tagged_at"), list.is_whole());
    let filtered = format!("/tags/{id}/subscribers?status=all&tagged_after");
    date_filter(asker, sample, &filtered, "subscribers").await
}

async fn added_after(asker: &Asker<'_>) -> Result<Answer, Unanswered> {
    // In the order of the subscribers' ids, so only a list that is seen as a whole tells anything. The
    // count may leave out those who are not active.
    let Some((id, _, list)) = members(asker, "forms", 700).await? else {
        return Ok(Answer::open("not enough data: no form has from 1 to 700 members"));
    };
    let sample = Some(list.times("added_at")).filter(|_| list.is_whole());
    let sample = sample.and_then(|times| Sample::new(times, true));
    let filtered = format!("/forms/{id}/subscribers?status=all&added_after");
    date_filter(asker, sample, &filtered, "subscribers").await
}

async fn per_page(asker: &Asker<'_>) -> Result<Answer, Unanswered> {
    let (status, body) = asker.raw("/tags?per_page=1001").await?;
    Ok(match (status, List::read(&body, "tags").and_then(|list| list.per_page)) {
        (200, Some(1001)) => Answer::settled("it is taken as it is"),
        (200, Some(used)) => Answer::settled(format!("it counts as {used}")),
        (200, None) => Answer::open("it is accepted; what is made of it is not told"),
        (400..=499, _) => Answer::settled(format!("it is refused with {status}")),
        _ => return Err(Unanswered::Status(status)),
    })
}

async fn cursor_by_id(asker: &Asker<'_>) -> Result<Answer, Unanswered> {
    let target = "/subscribers?status=all&sort_field=id&sort_order=asc&per_page=1";
    Ok(shape(&*asker.list(target, "subscribers").await?))
}

async fn cursor_by_time(asker: &Asker<'_>) -> Result<Answer, Unanswered> {
    Ok(shape(&*newest(asker).await?))
}

fn shape(list: &List) -> Answer {
    match &list.end_cursor {
        Some(cursor) => Answer::settled(cursor_shape(cursor)),
        None => Answer::open("not enough data: there is no cursor on the page"),
    }
}

async fn stale_cursor(asker: &Asker<'_>) -> Result<Answer, Unanswered> {
    let (status, body) = asker.raw("/tags?per_page=1&after=bm90LWEtY3Vyc29y").await?;
    Ok(match (status, List::read(&body, "tags")) {
        (200, Some(list)) if list.rows.is_empty() => Answer::settled("an empty page"),
        (200, Some(_)) => Answer::settled("a page of the list all the same"),
        (400..=499, _) => Answer::settled(format!("it is refused with {status}")),
        _ => return Err(Unanswered::Status(status)),
    })
}

async fn states(asker: &Asker<'_>) -> Result<Answer, Unanswered> {
    let all = asker.count("/subscribers?status=all", "subscribers").await?;
    let mut sum = 0;
    for state in STATES {
        sum += asker.count(&format!("/subscribers?status={state}"), "subscribers").await?;
    }
    Ok(match sum.abs_diff(all) {
        0 => Answer::settled(format!("yes: {all} either way")),
        _ => Answer::settled(format!("no: {all} in all, {sum} in the five states")),
    })
}

async fn subscriber_count(asker: &Asker<'_>) -> Result<Answer, Unanswered> {
    let Some((id, count, list)) = members(asker, "tags", u64::MAX).await? else {
        return Ok(Answer::open("not enough data: no tag has members"));
    };
    let all = list.total.ok_or(Unanswered::Shape)?;
    let active = asker.count(&format!("/tags/{id}/subscribers?status=active"), "subscribers").await?;
    let numbers = format!("{count} counted, {active} active, {all} in all");
    Ok(match count {
        _ if all == active => Answer::open(format!("not enough data: all members are active ({numbers})")),
        count if count == active => Answer::settled(format!("active people only ({numbers})")),
        count if count == all => Answer::settled(format!("everybody ({numbers})")),
        _ => Answer::open(format!("neither: it may lag behind ({numbers})")),
    })
}

async fn total_count(asker: &Asker<'_>) -> Result<Answer, Unanswered> {
    let mut lists = vec![newest(asker).await?];
    lists.extend(members(asker, "tags", u64::MAX).await?.map(|(_, _, list)| list));
    lists.extend(members(asker, "forms", 700).await?.map(|(_, _, list)| list));
    let whole: Vec<_> = lists.iter().filter(|list| !list.has_next && list.total.is_some()).collect();
    let differing = whole.iter().filter(|list| !list.is_whole()).count();
    Ok(match (whole.len(), differing) {
        (0, _) => Answer::open("not enough data: no list looked at fits on a page"),
        (lists, 0) => Answer::settled(format!("yes, in {lists} of {lists} lists")),
        (lists, differing) => Answer::settled(format!("no, it differs in {differing} of {lists} lists")),
    })
}

async fn cancelled_time(asker: &Asker<'_>) -> Result<Answer, Unanswered> {
    let target = "/subscribers?status=cancelled&slim=true&include=canceled_at&sort_field=cancelled_at\
                  &sort_order=desc&per_page=1000";
    let list = asker.list(target, "subscribers").await?;
    let times = list.times("canceled_at");
    let (rows, dated) = (list.rows.len(), times.len());
    Ok(match rows {
        0 => Answer::open("not enough data: nobody has cancelled"),
        _ if dated < rows => Answer::settled(format!("{dated} of {rows} show when")),
        _ if times.is_sorted_by(|a, b| a >= b) => {
            Answer::settled(format!("yes, all of {rows}, newest first"))
        }
        _ => Answer::settled(format!("all of {rows}, but not newest first")),
    })
}
