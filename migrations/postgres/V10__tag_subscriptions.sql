-- Who has which tag, and since when.
create table "tag_subscriptions" (
    "tag_id" bigint not null, -- The tag; see tags.
    "subscriber_id" bigint not null, -- The person; see subscribers.
    "created_at" timestamp with time zone not null, -- When the person was tagged.
    "subscription_id" bigint, -- Kit's id of the membership (API v3).
    "state" text, -- State of the membership, not of the person (API v3).
    "source" text, -- How the person got here (API v3).
    "referrer" text, -- Page the person came from (API v3).
    "_first_seen_at" timestamp with time zone not null, -- When the mirror first stored the row.
    "_synced_at" timestamp with time zone not null, -- When the row's content last changed here.
    "_deleted_at" timestamp with time zone, -- When a reconcile found the row gone at Kit; null while it is there.
    "_extra" jsonb, -- What Kit sent beyond the columns; null as a rule.
    primary key ("tag_id", "subscriber_id")
);
create index "tag_subscriptions_subscriber_id" on "tag_subscriptions" ("subscriber_id");
create index "tag_subscriptions_created_at" on "tag_subscriptions" ("created_at");
comment on table "tag_subscriptions" is 'Who has which tag, and since when.';
comment on column "tag_subscriptions"."tag_id" is 'The tag; see tags.';
comment on column "tag_subscriptions"."subscriber_id" is 'The person; see subscribers.';
comment on column "tag_subscriptions"."created_at" is 'When the person was tagged.';
comment on column "tag_subscriptions"."subscription_id" is 'Kit''s id of the membership (API v3).';
comment on column "tag_subscriptions"."state" is 'State of the membership, not of the person (API v3).';
comment on column "tag_subscriptions"."source" is 'How the person got here (API v3).';
comment on column "tag_subscriptions"."referrer" is 'Page the person came from (API v3).';
comment on column "tag_subscriptions"."_first_seen_at" is 'When the mirror first stored the row.';
comment on column "tag_subscriptions"."_synced_at" is 'When the row''s content last changed here.';
comment on column "tag_subscriptions"."_deleted_at" is 'When a reconcile found the row gone at Kit; null while it is there.';
comment on column "tag_subscriptions"."_extra" is 'What Kit sent beyond the columns; null as a rule.';
