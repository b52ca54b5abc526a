//! The questions about API v3. All of them together take at most [`MOST_REQUESTS`](super::MOST_REQUESTS).

use std::sync::Arc;

use super::dates::Sample;
use super::reply::{List, instant};
use super::{A_DAY_BEFORE, Answer, Asker, Probe, Unanswered, clock, date_filter};

pub(super) const PROBES: &[Probe] = &[
    Probe {
        id: "member_states",
        question: "Does a tag's list without subscriber_state show people who are not active?",
        means: "handled either way: as long as no such person was seen, cancelled people are asked for as well",
        ask: |asker| Box::pin(member_states(asker)),
    },
    Probe {
        id: "from",
        question: "What does from of subscribers make of a time, and of a day?",
        means: A_DAY_BEFORE,
        ask: |asker| Box::pin(from(asker)),
    },
    Probe {
        id: "updated_from",
        question: "Is updated_from of subscribers obeyed?",
        means: "changed people are found by it between two full passes",
        ask: |asker| Box::pin(updated_from(asker)),
    },
    Probe {
        id: "default_order",
        question: "In which order do subscribers come when none is asked for?",
        means: "handled either way: an order is always asked for",
        ask: |asker| Box::pin(default_order(asker)),
    },
    Probe {
        id: "beyond_the_end",
        question: "What is the page of subscribers beyond the last one?",
        means: "handled either way: no page beyond the announced number is asked for",
        ask: |asker| Box::pin(beyond_the_end(asker)),
    },
    Probe {
        id: "broadcasts_beyond_the_end",
        question: "What is a page of broadcasts far beyond the last one?",
        means: "handled either way: the list ends with a page that is not full or is the same one again",
        ask: |asker| Box::pin(broadcasts_beyond_the_end(asker)),
    },
    Probe {
        id: "cancelled_time",
        question: "Do cancelled people show when they cancelled?",
        means: "handled either way: the time is stored where it is shown, and those who are new are found by who \
                is known",
        ask: |asker| Box::pin(cancelled_time(asker)),
    },
    Probe {
        id: "tag_time",
        question: "Is created_at of a person's tag when the person was tagged, or when the tag was made?",
        means: "handled either way: subscriber_tags takes its times from the members of the tags",
        ask: |asker| Box::pin(tag_time(asker)),
    },
    Probe {
        id: "clock",
        question: "Do answers tell the time?",
        means: "passes go by Kit's clock and not by this machine's",
        ask: |asker| Box::pin(clock(asker)),
    },
];

/// How many tags are looked into.
const TAGS_READ: usize = 4;
/// Newest first.
const NEWEST: &str = "/subscribers?sort_order=desc";

/// The first tags' ids and members, where there are any.
async fn members(asker: &Asker<'_>) -> Result<Vec<(i64, Arc<List>)>, Unanswered> {
    let tags = asker.list("/tags", "tags").await?;
    let mut found = Vec::new();
    for id in tags.ids().into_iter().take(TAGS_READ) {
        let list = asker.list(&format!("/tags/{id}/subscriptions?page=1"), "subscriptions").await?;
        if !list.rows.is_empty() {
            found.push((id, list));
        }
    }
    Ok(found)
}

async fn member_states(asker: &Asker<'_>) -> Result<Answer, Unanswered> {
    let members = members(asker).await?;
    let others = members.iter().flat_map(|(_, list)| &list.rows);
    let others =
        others.filter(|row| row["subscriber"]["state"].as_str().is_some_and(|state| state != "active"));
    match others.count() {
        0 => {}
        others => return Ok(Answer::settled(format!("yes: {others} of them on the pages looked at"))),
    }
    for (id, list) in &members {
        let of = |state: &str| format!("/tags/{id}/subscriptions?subscriber_state={state}");
        let cancelled = asker.count(&of("cancelled"), "subscriptions").await?;
        if cancelled > 0 {
            let active = asker.count(&of("active"), "subscriptions").await?;
            let plain = list.total.ok_or(Unanswered::Shape)?;
            let numbers = format!("{plain} without it, {active} active, {cancelled} cancelled");
            return Ok(match plain {
                plain if plain == active => Answer::settled(format!("no: {numbers}")),
                plain if plain >= active + cancelled => Answer::settled(format!("yes: {numbers}")),
                _ => Answer::open(format!("the numbers fit neither: {numbers}")),
            });
        }
    }
    Ok(Answer::open("not enough data: no cancelled person has a tag that was looked at"))
}

async fn from(asker: &Asker<'_>) -> Result<Answer, Unanswered> {
    let list = asker.list(NEWEST, "subscribers").await?;
    let sample = Sample::new(list.times("created_at"), list.is_whole());
    date_filter(asker, sample, "/subscribers?from", "subscribers").await
}

async fn updated_from(asker: &Asker<'_>) -> Result<Answer, Unanswered> {
    if asker.list(NEWEST, "subscribers").await?.rows.is_empty() {
        return Ok(Answer::open("not enough data: there are no subscribers"));
    }
    Ok(match asker.count("/subscribers?updated_from=2999-01-01", "subscribers").await? {
        0 => Answer::settled("yes: nobody was updated after the year 2999"),
        _ => Answer::settled("no: it lets people through who cannot have been updated then")
            .means("incremental passes read all subscribers, and stay right"),
    })
}

async fn default_order(asker: &Asker<'_>) -> Result<Answer, Unanswered> {
    let plain = asker.list("/subscribers?page=1", "subscribers").await?.ids();
    let newest = asker.list(NEWEST, "subscribers").await?.ids();
    let oldest = asker.list("/subscribers?sort_order=asc", "subscribers").await?.ids();
    Ok(match plain {
        _ if newest == oldest => Answer::open("not enough data: there are too few subscribers"),
        plain if plain == newest => Answer::settled("newest first"),
        plain if plain == oldest => Answer::settled("oldest first"),
        _ => Answer::settled("in another one than by creation"),
    })
}

async fn beyond_the_end(asker: &Asker<'_>) -> Result<Answer, Unanswered> {
    let first = asker.list("/subscribers?page=1", "subscribers").await?;
    let pages = first.pages.ok_or(Unanswered::Shape)?;
    let answer = asker.raw(&format!("/subscribers?page={}", pages + 2)).await?;
    beyond(answer, "subscribers", &first)
}

async fn broadcasts_beyond_the_end(asker: &Asker<'_>) -> Result<Answer, Unanswered> {
    let first = asker.list("/broadcasts?page=1", "broadcasts").await?;
    beyond(asker.raw("/broadcasts?page=100000").await?, "broadcasts", &first)
}

fn beyond((status, body): (u16, String), member: &str, first: &List) -> Result<Answer, Unanswered> {
    Ok(match (status, List::read(&body, member)) {
        (200, Some(list)) if list.rows.is_empty() => Answer::settled("an empty one"),
        (200, Some(list)) if list.ids() == first.ids() => Answer::settled("the first one again"),
        (200, Some(_)) => Answer::settled("another one of the list"),
        (400..=499, _) => Answer::settled(format!("it is refused with {status}")),
        _ => return Err(Unanswered::Status(status)),
    })
}

async fn cancelled_time(asker: &Asker<'_>) -> Result<Answer, Unanswered> {
    let list = asker.list("/subscribers?sort_field=cancelled_at&sort_order=desc", "subscribers").await?;
    let (rows, dated) = (list.rows.len(), list.times("cancelled_at").len());
    let others = list.rows.iter().filter(|row| row["state"] != "cancelled").count();
    let also = if others > 0 { format!("; {others} in the list are not cancelled") } else { String::new() };
    Ok(match dated {
        _ if rows == 0 => Answer::open("not enough data: nobody has cancelled"),
        0 => Answer::settled(format!("no, none of {rows}{also}")),
        dated => Answer::settled(format!("yes, {dated} of {rows}{also}")),
    })
}

async fn tag_time(asker: &Asker<'_>) -> Result<Answer, Unanswered> {
    let tags = asker.list("/tags", "tags").await?;
    for (id, list) in members(asker).await? {
        let Some(tag) = tags.rows.iter().find(|tag| tag["id"] == id) else { continue };
        let Some(made) = instant(&tag["created_at"]) else { continue };
        let tagged = list
            .rows
            .iter()
            .filter_map(|row| Some((row["subscriber"]["id"].as_i64()?, instant(&row["created_at"])?)));
        let Some((person, tagged)) = tagged.into_iter().find(|(_, time)| *time != made) else { continue };
        let own = asker.list(&format!("/subscribers/{person}/tags"), "tags").await?;
        let shown = own.rows.iter().find(|tag| tag["id"] == id).and_then(|tag| instant(&tag["created_at"]));
        return Ok(match shown {
            Some(time) if time == tagged => Answer::settled("when the person was tagged"),
            Some(time) if time == made => Answer::settled("when the tag was made"),
            Some(_) => Answer::settled("neither of the two"),
            None => Answer::open("the person's tags do not show the tag"),
        });
    }
    Ok(Answer::open("not enough data: nobody was tagged at another time than the tag was made"))
}
