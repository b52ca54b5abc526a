//! People. One row per person with the current state; two objects find them.

use crate::model::{
    Column, Detail, Endpoint, Endpoints, Fresh, From, Gone, Object, Person, Source, Watermark,
};

const COLUMNS: &[Column] = &[
    Column::id("id", "Kit's id of the person.").required().of_person(Person::Id),
    Column::text("email_address", "E-mail address. Not unique: addresses move between people.")
        .of_person(Person::Address),
    Column::text("first_name", "First name."),
    Column::text("state", "active, inactive (not confirmed), cancelled, bounced or complained.").required(),
    Column::time("created_at", "When the person signed up, by Kit's clock.").required(),
    Column::time("cancelled_at", "When the person last unsubscribed, where the API tells.")
        .v3(From::Member("cancelled_at"))
        .v4(From::Member("canceled_at")),
    Column::object("fields", "Custom field values by key."),
    Column::object(
        "attribution",
        "Where the person came from: referrer, utm_source and so on; null where unknown (API v4).",
    )
    .only_v4()
    .blank_is_null(),
    Column::object(
        "location",
        "Where the person is, as Kit believes: city, country and so on; null where unknown (API v4).",
    )
    .only_v4()
    .blank_is_null(),
];

/// By id and ascending, new people come last: neither inserts nor resuming disturb the reading,
/// and a bulk import of thousands in one second has no tie to lose.
const BY_ID: &[(&str, &str)] = &[("sort_field", "id"), ("sort_order", "asc")];
/// Answers for anybody, in whatever state.
const PERSON: Gone = Gone::Record(Detail { path: "/subscribers/{id}", member: "subscriber" });
const OLDEST_FIRST: &[(&str, &str)] = &[("sort_order", "asc")];

/// Everybody the API shows, in every state it shows.
pub static SUBSCRIBERS: Object = Object {
    name: "subscribers",
    about: "People on the list, one row per person, with the current state.",
    source: Source::List(Endpoints {
        // v3 shows confirmed people only. Somebody who confirms on day 5 enters the list with
        // day 1's created_at, so what was updated is asked for beside what was created.
        v3: Endpoint::numbered("/subscribers", "subscribers")
            .whole(OLDEST_FIRST)
            .fresh(&[
                Fresh::SinceWatermark { param: "from", order: OLDEST_FIRST },
                Fresh::SincePass { param: "updated_from", order: OLDEST_FIRST },
            ])
            .shows_only("state", "active")
            .gone(PERSON),
        // The default shows active people only.
        v4: Endpoint::cursor("/subscribers", "subscribers")
            .query(&[("status", "all"), ("include", "attribution,location")])
            .whole(BY_ID)
            .fresh(&[
                Fresh::SinceWatermark { param: "created_after", order: BY_ID },
                Fresh::SincePass { param: "updated_after", order: BY_ID },
            ])
            .gone(PERSON),
    }),
    table: "subscribers",
    key: &["id"],
    watermark: Watermark::Column("created_at"),
    indexes: &[&["created_at"], &["email_address"], &["state"]],
    columns: COLUMNS,
};

/// People who unsubscribed. A list of its own at Kit with a watermark of its own (somebody of 2019
/// cancels today), written to the one row of the person; the relation of this name is a view.
pub static CANCELLED_SUBSCRIBERS: Object = Object {
    name: "cancelled_subscribers",
    about: "People who unsubscribed: the rows of subscribers whose state is cancelled.",
    source: Source::List(Endpoints {
        // `sort_field=cancelled_at` switches the list to unsubscribed people; the time is not shown.
        v3: Endpoint::numbered("/subscribers", "subscribers")
            .query(&[("sort_field", "cancelled_at")])
            .whole(OLDEST_FIRST)
            .fresh(&[Fresh::UntilKnown { order: &[("sort_order", "desc")], known: ("state", "cancelled") }])
            .shows_only("state", "cancelled")
            .gone(PERSON),
        v4: Endpoint::cursor("/subscribers", "subscribers")
            .query(&[("status", "cancelled"), ("include", "canceled_at,attribution,location")])
            .whole(BY_ID)
            .fresh(&[Fresh::NewestFirst {
                order: &[("sort_field", "cancelled_at"), ("sort_order", "desc")],
                ties: true,
            }])
            .shows_only("state", "cancelled")
            .gone(PERSON),
    }),
    table: "subscribers",
    key: &["id"],
    watermark: Watermark::ColumnOrPassStart("cancelled_at"),
    indexes: &[],
    columns: COLUMNS,
};
