-- People on the list, one row per person, with the current state.
create table "subscribers" (
    "id" bigint not null primary key, -- Kit's id of the person.
    "email_address" text, -- E-mail address. Not unique: addresses move between people.
    "first_name" text, -- First name.
    "state" text not null, -- active, inactive (not confirmed), cancelled, bounced or complained.
    "created_at" timestamp with time zone not null, -- When the person signed up, by Kit's clock.
    "cancelled_at" timestamp with time zone, -- When the person last unsubscribed, where the API tells.
    "fields" jsonb, -- Custom field values by key.
    "attribution" jsonb, -- Where the person came from: referrer, utm_source and so on; null where unknown (API v4).
    "location" jsonb, -- Where the person is, as Kit believes: city, country and so on; null where unknown (API v4).
    "_first_seen_at" timestamp with time zone not null, -- When the mirror first stored the row.
    "_synced_at" timestamp with time zone not null, -- When the row's content last changed here.
    "_deleted_at" timestamp with time zone, -- When a reconcile found the row gone at Kit; null while it is there.
    "_extra" jsonb -- What Kit sent beyond the columns; null as a rule.
);
create index "subscribers_created_at" on "subscribers" ("created_at");
create index "subscribers_email_address" on "subscribers" using hash ("email_address");
create index "subscribers_state" on "subscribers" ("state");
comment on table "subscribers" is 'People on the list, one row per person, with the current state.';
comment on column "subscribers"."id" is 'Kit''s id of the person.';
comment on column "subscribers"."email_address" is 'E-mail address. Not unique: addresses move between people.';
comment on column "subscribers"."first_name" is 'First name.';
comment on column "subscribers"."state" is 'active, inactive (not confirmed), cancelled, bounced or complained.';
comment on column "subscribers"."created_at" is 'When the person signed up, by Kit''s clock.';
comment on column "subscribers"."cancelled_at" is 'When the person last unsubscribed, where the API tells.';
comment on column "subscribers"."fields" is 'Custom field values by key.';
comment on column "subscribers"."attribution" is 'Where the person came from: referrer, utm_source and so on; null where unknown (API v4).';
comment on column "subscribers"."location" is 'Where the person is, as Kit believes: city, country and so on; null where unknown (API v4).';
comment on column "subscribers"."_first_seen_at" is 'When the mirror first stored the row.';
comment on column "subscribers"."_synced_at" is 'When the row''s content last changed here.';
comment on column "subscribers"."_deleted_at" is 'When a reconcile found the row gone at Kit; null while it is there.';
comment on column "subscribers"."_extra" is 'What Kit sent beyond the columns; null as a rule.';
