-- Who signed up through which form, and when.
create table "form_subscriptions" (
    "form_id" integer not null, -- The form; see forms.
    "subscriber_id" integer not null, -- The person; see subscribers.
    "created_at" text not null, -- When the person was added to the form.
    "subscription_id" integer, -- Kit's id of the membership (API v3).
    "state" text, -- State of the membership, not of the person (API v3).
    "source" text, -- How the person got here (API v3).
    "referrer" text, -- Page the person came from.
    "utm_source" text, -- UTM source of the visit (API v4).
    "utm_medium" text, -- UTM medium of the visit (API v4).
    "utm_campaign" text, -- UTM campaign of the visit (API v4).
    "utm_term" text, -- UTM term of the visit (API v4).
    "utm_content" text, -- UTM content of the visit (API v4).
    "_first_seen_at" text not null, -- When the mirror first stored the row.
    "_synced_at" text not null, -- When the row's content last changed here.
    "_deleted_at" text, -- When a reconcile found the row gone at Kit; null while it is there.
    "_extra" text, -- What Kit sent beyond the columns; null as a rule.
    primary key ("form_id", "subscriber_id")
) strict, without rowid;
create index "form_subscriptions_subscriber_id" on "form_subscriptions" ("subscriber_id");
create index "form_subscriptions_created_at" on "form_subscriptions" ("created_at");
