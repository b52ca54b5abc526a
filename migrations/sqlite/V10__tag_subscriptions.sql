-- Who has which tag, and since when.
create table "tag_subscriptions" (
    "tag_id" integer not null, -- The tag; see tags.
    "subscriber_id" integer not null, -- The person; see subscribers.
    "created_at" text not null, -- When the person was tagged.
    "subscription_id" integer, -- Kit's id of the membership (API v3).
    "state" text, -- State of the membership, not of the person (API v3).
    "source" text, -- How the person got here (API v3).
    "referrer" text, -- Page the person came from (API v3).
    "_first_seen_at" text not null, -- When the mirror first stored the row.
    "_synced_at" text not null, -- When the row's content last changed here.
    "_deleted_at" text, -- When a reconcile found the row gone at Kit; null while it is there.
    "_extra" text, -- What Kit sent beyond the columns; null as a rule.
    primary key ("tag_id", "subscriber_id")
) strict, without rowid;
create index "tag_subscriptions_subscriber_id" on "tag_subscriptions" ("subscriber_id");
create index "tag_subscriptions_created_at" on "tag_subscriptions" ("created_at");
