//! The small lists of an account: forms, sequences, tags, broadcasts.

use crate::model::{Column, Detail, Endpoint, Endpoints, Fresh, From, Gone, Object, Source, Watermark};

const SUBSCRIBER_COUNT: Column = Column::int(
    "subscriber_count",
    "Kit's own count, as a rule of active people only, so less than the rows here (API v4).",
)
.only_v4();
const CREATED_AT: Column = Column::time("created_at", "When it was created, by Kit's clock.").required();

const BROADCAST: Detail = Detail { path: "/broadcasts/{id}", member: "broadcast" };

/// Sign-up forms and landing pages, archived and trashed ones included.
pub static FORMS: Object = Object {
    name: "forms",
    about: "Sign-up forms and landing pages of the account, archived ones included.",
    source: Source::List(Endpoints {
        v3: Endpoint::single("/forms", "forms").gone(Gone::OwnList("/forms/{id}/subscriptions")),
        // The default shows active forms only; their members would be lost with them.
        v4: Endpoint::cursor("/forms", "forms")
            .query(&[("status", "all"), ("include", "subscriber_count")])
            .gone(Gone::OwnList("/forms/{id}/subscribers")),
    }),
    table: "forms",
    key: &["id"],
    watermark: Watermark::Column("created_at"),
    indexes: &[],
    columns: &[
        Column::id("id", "Kit's id of the form.").required(),
        Column::text("name", "Name given by the creator."),
        Column::text("type", "embed = form, hosted = landing page."),
        Column::text(
            "format",
            "inline, modal, slide in, sticky bar; null for landing pages and legacy forms.",
        ),
        Column::text("url", "Address of a legacy form or landing page (API v3).").only_v3(),
        Column::text("embed_js", "Address of the embed script.").without_api_key(),
        Column::text("embed_url", "Address of the embeddable page.").without_api_key(),
        Column::text("title", "Title of a legacy form (API v3).").only_v3(),
        Column::text("description", "Description of a legacy form (API v3).").only_v3(),
        Column::text("sign_up_button_text", "Text on the button of a legacy form (API v3).").only_v3(),
        Column::text("success_message", "Message after signing up, legacy forms (API v3).").only_v3(),
        Column::bool("archived", "Whether the creator archived it."),
        Column::text("uid", "Public identifier in the form's address."),
        SUBSCRIBER_COUNT,
        CREATED_AT,
    ],
};

/// E-mail sequences ("courses" in v3).
pub static SEQUENCES: Object = Object {
    name: "sequences",
    about: "E-mail sequences of the account.",
    source: Source::List(Endpoints {
        // v3 lists sequences under "courses".
        v3: Endpoint::single("/sequences", "courses").gone(Gone::OwnList("/sequences/{id}/subscriptions")),
        v4: Endpoint::cursor("/sequences", "sequences").gone(Gone::OwnList("/sequences/{id}/subscribers")),
    }),
    table: "sequences",
    key: &["id"],
    watermark: Watermark::Column("created_at"),
    indexes: &[],
    columns: &[
        Column::id("id", "Kit's id of the sequence.").required(),
        Column::text("name", "Name given by the creator."),
        Column::bool("hold", "Whether subscribers are held at the end and get e-mails added later."),
        Column::bool("repeat", "Whether a subscriber can go through it more than once."),
        Column::bool("active", "Whether it sends (API v4).").only_v4(),
        Column::text("email_address", "Sending address (API v4).").only_v4(),
        Column::id("email_template_id", "E-mail template (API v4).").only_v4(),
        Column::array("send_days", "Weekdays on which it sends (API v4).").only_v4(),
        Column::int("send_hour", "Hour of the day at which it sends, 0 to 23, in time_zone (API v4).")
            .only_v4(),
        Column::text("time_zone", "IANA time zone of send_hour (API v4).").only_v4(),
        Column::int("email_count", "Number of e-mails in it (API v4).").only_v4(),
        SUBSCRIBER_COUNT,
        CREATED_AT,
        Column::time("updated_at", "When it was last changed (API v4).").only_v4(),
    ],
};

/// Tags.
pub static TAGS: Object = Object {
    name: "tags",
    about: "Tags of the account.",
    source: Source::List(Endpoints {
        v3: Endpoint::single("/tags", "tags").gone(Gone::OwnList("/tags/{id}/subscriptions")),
        v4: Endpoint::cursor("/tags", "tags")
            .query(&[("include", "subscriber_count")])
            .gone(Gone::OwnList("/tags/{id}/subscribers")),
    }),
    table: "tags",
    key: &["id"],
    watermark: Watermark::Column("created_at"),
    indexes: &[],
    columns: &[
        Column::id("id", "Kit's id of the tag.").required(),
        Column::text("name", "Name given by the creator."),
        SUBSCRIBER_COUNT,
        CREATED_AT,
    ],
};

/// Broadcasts: e-mails sent, or to be sent, to many at once.
pub static BROADCASTS: Object = Object {
    name: "broadcasts",
    about: "Broadcasts: e-mails sent, or to be sent, to many subscribers at once; drafts included.",
    source: Source::List(Endpoints {
        // The list of v3 holds stubs (id, created_at, subject) and does not say how many.
        v3: Endpoint::numbered_without_totals("/broadcasts", "broadcasts")
            .whole(&[("sort_order", "asc")])
            .fresh(&[Fresh::NewestFirst { order: &[("sort_order", "desc")], ties: false }])
            .detail("/broadcasts/{id}", "broadcast")
            .gone(Gone::Record(BROADCAST)),
        // Full contents come in the list: a page of 1,000 would be tens of megabytes.
        v4: Endpoint::cursor("/broadcasts", "broadcasts")
            .per_page(100)
            .fresh(&[Fresh::NewestFirst { order: &[], ties: false }])
            .gone(Gone::Record(BROADCAST)),
    }),
    table: "broadcasts",
    key: &["id"],
    watermark: Watermark::Column("created_at"),
    indexes: &[],
    columns: &[
        Column::id("id", "Kit's id of the broadcast.").required(),
        Column::id("publication_id", "Links a broadcast to its post (API v4).").only_v4(),
        Column::text("subject", "Subject line; null for a draft without one."),
        Column::text("preview_text", "Preview text (API v4).").only_v4(),
        Column::text("description", "Internal description."),
        Column::text("content", "HTML of the e-mail."),
        Column::bool("public", "Whether it is published on the web."),
        Column::text("status", "draft, scheduled, sending, completed or aborted (API v4).").only_v4(),
        Column::time("published_at", "When it was or will be published on the web."),
        Column::time("send_at", "When it was or will be sent; null for a draft."),
        Column::text("thumbnail_alt", "Alternative text of the thumbnail."),
        Column::text("thumbnail_url", "Address of the thumbnail."),
        Column::text("public_url", "Address on the web (API v4).").only_v4(),
        Column::text("email_address", "Sending address."),
        Column::text("email_layout_template", "Name of the layout (API v3).").only_v3(),
        Column::id("email_template_id", "E-mail template (API v4).")
            .only_v4()
            .v4(From::Inner("email_template", "id")),
        Column::text("email_template_name", "Name of the e-mail template (API v4).")
            .only_v4()
            .v4(From::Inner("email_template", "name")),
        Column::array("subscriber_filter", "Who it goes to (API v4).").only_v4(),
        CREATED_AT,
    ],
};
