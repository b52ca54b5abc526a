//! Memberships: who is on which form, in which sequence, has which tag. One list per parent;
//! the key is the pair of ids, the one both API versions can give (v4 has no subscription id).

use super::lists::{FORMS, SEQUENCES, TAGS};
use crate::model::{Column, Endpoint, Endpoints, Fresh, From, Object, Person, Source, Watermark};

const SUBSCRIBER_ID: Column = Column::id("subscriber_id", "The person; see subscribers.")
    .required()
    .of_person(Person::Id)
    .v3(From::Inner("subscriber", "id"))
    .v4(From::Member("id"));
const SUBSCRIPTION_ID: Column =
    Column::id("subscription_id", "Kit's id of the membership (API v3).").only_v3().v3(From::Member("id"));
const STATE: Column = Column::text("state", "State of the membership, not of the person (API v3).").only_v3();
const SOURCE: Column = Column::text("source", "How the person got here (API v3).").only_v3();
const REFERRER: Column = Column::text("referrer", "Page the person came from (API v3).").only_v3();

/// What is known of a v3 record and not stored: the person is in `subscribers`, the parent is ours.
const V3_IGNORED: &[&str] = &["subscriber", "subscribable_id", "subscribable_type"];
/// What is known of a v4 record and not stored: it is the person, who is in `subscribers`.
const V4_IGNORED: &[&str] = &["first_name", "email_address", "state", "created_at", "fields"];

/// The list of one parent in v3. Newest last or newest first by the time of the membership. Without
/// `subscriber_state` it may or may not show everybody: Kit does not say.
const fn v3_list(path: &'static str) -> Endpoint {
    Endpoint::numbered(path, "subscriptions")
        .whole(&[("sort_order", "asc")])
        .fresh(&[Fresh::NewestFirst { order: &[("sort_order", "desc")], ties: false }])
        .hidden(&[("subscriber_state", "cancelled")], From::Inner("subscriber", "state"))
        .ignored(V3_IGNORED)
}

/// The list of one parent in v4. Forms' and sequences' are in the order of the subscriber's id, so an
/// old subscriber who joins today sits deep in the list: no early stop, but a date filter.
const fn v4_list(
    path: &'static str,
    query: &'static [(&'static str, &'static str)],
    fresh: &'static [Fresh],
) -> Endpoint {
    Endpoint::cursor(path, "subscribers").query(query).fresh(fresh).ignored(V4_IGNORED)
}

// The default shows active people only; `slim` leaves out custom fields, which we have already.
const EVERYBODY_SLIM: &[(&str, &str)] = &[("status", "all"), ("slim", "true")];

/// Who signed up through which form.
pub static FORM_SUBSCRIPTIONS: Object = Object {
    name: "form_subscriptions",
    about: "Who signed up through which form, and when.",
    source: Source::PerParent {
        parent: &FORMS,
        endpoints: Endpoints {
            v3: v3_list("/forms/{parent}/subscriptions"),
            v4: v4_list(
                "/forms/{parent}/subscribers",
                EVERYBODY_SLIM,
                &[Fresh::SinceWatermark { param: "added_after", order: &[] }],
            ),
        },
    },
    table: "form_subscriptions",
    key: &["form_id", "subscriber_id"],
    watermark: Watermark::Column("created_at"),
    indexes: &[&["subscriber_id"], &["created_at"]],
    columns: &[
        Column::id("form_id", "The form; see forms.").required().parent(),
        SUBSCRIBER_ID,
        Column::time("created_at", "When the person was added to the form.")
            .required()
            .v4(From::Member("added_at")),
        SUBSCRIPTION_ID,
        STATE,
        SOURCE,
        Column::text("referrer", "Page the person came from."),
        Column::text("utm_source", "UTM source of the visit (API v4).")
            .only_v4()
            .v4(From::Inner("referrer_utm_parameters", "source")),
        Column::text("utm_medium", "UTM medium of the visit (API v4).")
            .only_v4()
            .v4(From::Inner("referrer_utm_parameters", "medium")),
        Column::text("utm_campaign", "UTM campaign of the visit (API v4).")
            .only_v4()
            .v4(From::Inner("referrer_utm_parameters", "campaign")),
        Column::text("utm_term", "UTM term of the visit (API v4).")
            .only_v4()
            .v4(From::Inner("referrer_utm_parameters", "term")),
        Column::text("utm_content", "UTM content of the visit (API v4).")
            .only_v4()
            .v4(From::Inner("referrer_utm_parameters", "content")),
    ],
};

/// Who is or was in which sequence.
pub static SEQUENCE_SUBSCRIPTIONS: Object = Object {
    name: "sequence_subscriptions",
    about: "Who was added to which sequence, and when.",
    source: Source::PerParent {
        parent: &SEQUENCES,
        endpoints: Endpoints {
            v3: v3_list("/sequences/{parent}/subscriptions"),
            // The one member list without `slim`.
            v4: v4_list(
                "/sequences/{parent}/subscribers",
                &[("status", "all")],
                &[Fresh::SinceWatermark { param: "added_after", order: &[] }],
            ),
        },
    },
    table: "sequence_subscriptions",
    key: &["sequence_id", "subscriber_id"],
    watermark: Watermark::Column("created_at"),
    indexes: &[&["subscriber_id"], &["created_at"]],
    columns: &[
        Column::id("sequence_id", "The sequence; see sequences.").required().parent(),
        SUBSCRIBER_ID,
        Column::time("created_at", "When the person was added to the sequence.")
            .required()
            .v4(From::Member("added_at")),
        SUBSCRIPTION_ID,
        STATE,
        SOURCE,
        REFERRER,
    ],
};

/// Who has which tag.
pub static TAG_SUBSCRIPTIONS: Object = Object {
    name: "tag_subscriptions",
    about: "Who has which tag, and since when.",
    source: Source::PerParent {
        parent: &TAGS,
        endpoints: Endpoints {
            v3: v3_list("/tags/{parent}/subscriptions"),
            v4: v4_list(
                "/tags/{parent}/subscribers",
                EVERYBODY_SLIM,
                &[Fresh::SinceWatermark { param: "tagged_after", order: &[] }],
            ),
        },
    },
    table: "tag_subscriptions",
    key: &["tag_id", "subscriber_id"],
    watermark: Watermark::Column("created_at"),
    indexes: &[&["subscriber_id"], &["created_at"]],
    columns: &[
        Column::id("tag_id", "The tag; see tags.").required().parent(),
        SUBSCRIBER_ID,
        Column::time("created_at", "When the person was tagged.").required().v4(From::Member("tagged_at")),
        SUBSCRIPTION_ID,
        STATE,
        SOURCE,
        REFERRER,
    ],
};

/// The same fact from the person's side: a view, so that it costs no request per subscriber and is
/// never out of step.
pub static SUBSCRIBER_TAGS: Object = Object {
    name: "subscriber_tags",
    about: "The tags of each person: tag_subscriptions with the names of the tags.",
    source: Source::ViewOf(&TAG_SUBSCRIPTIONS),
    table: "tag_subscriptions",
    key: &["subscriber_id", "tag_id"],
    watermark: Watermark::Column("created_at"),
    indexes: &[],
    columns: &[
        SUBSCRIBER_ID,
        Column::id("tag_id", "The tag; see tags.").required().parent(),
        Column::text("tag_name", "Name of the tag.").v3(From::Nowhere).v4(From::Nowhere),
        Column::time("created_at", "When the person was tagged.").required().v4(From::Member("tagged_at")),
        Column::time("tag_created_at", "When the tag was created.").v3(From::Nowhere).v4(From::Nowhere),
    ],
};
