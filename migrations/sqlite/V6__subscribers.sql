-- People on the list, one row per person, with the current state.
create table "subscribers" (
    "id" integer not null primary key, -- Kit's id of the person.
    "email_address" text, -- E-mail address. Not unique: addresses move between people.
    "first_name" text, -- First name.
    "state" text not null, -- active, inactive (not confirmed), cancelled, bounced or complained.
    "created_at" text not null, -- When the person signed up, by Kit's clock.
    "cancelled_at" text, -- When the person last unsubscribed, where the API tells.
    "fields" text, -- Custom field values by key.
    "attribution" text, -- Where the person came from: referrer, utm_source and so on; null where unknown (API v4).
    "location" text, -- Where the person is, as Kit believes: city, country and so on; null where unknown (API v4).
    "_first_seen_at" text not null, -- When the mirror first stored the row.
    "_synced_at" text not null, -- When the row's content last changed here.
    "_deleted_at" text, -- When a reconcile found the row gone at Kit; null while it is there.
    "_extra" text -- What Kit sent beyond the columns; null as a rule.
) strict;
create index "subscribers_created_at" on "subscribers" ("created_at");
create index "subscribers_email_address" on "subscribers" ("email_address");
create index "subscribers_state" on "subscribers" ("state");
