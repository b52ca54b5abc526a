-- Who signed up through which form, and when.
create table "form_subscriptions" (
    "form_id" bigint not null, -- The form; see forms.
    "subscriber_id" bigint not null, -- The person; see subscribers.
    "created_at" timestamp with time zone not null, -- When the person was added to the form.
    "subscription_id" bigint, -- Kit's id of the membership (API v3).
    "state" text, -- State of the membership, not of the person (API v3).
    "source" text, -- How the person got here (API v3).
    "referrer" text, -- Page the person came from.
    "utm_source" text, -- UTM source of the visit (API v4).
    "utm_medium" text, -- UTM medium of the visit (API v4).
    "utm_campaign" text, -- UTM campaign of the visit (API v4).
    "utm_term" text, -- UTM term of the visit (API v4).
    "utm_content" text, -- UTM content of the visit (API v4).
    "_first_seen_at" timestamp with time zone not null, -- When the mirror first stored the row.
    "_synced_at" timestamp with time zone not null, -- When the row's content last changed here.
    "_deleted_at" timestamp with time zone, -- When a reconcile found the row gone at Kit; null while it is there.
    "_extra" jsonb, -- What Kit sent beyond the columns; null as a rule.
    primary key ("form_id", "subscriber_id")
);
create index "form_subscriptions_subscriber_id" on "form_subscriptions" ("subscriber_id");
create index "form_subscriptions_created_at" on "form_subscriptions" ("created_at");
comment on table "form_subscriptions" is 'Who signed up through which form, and when.';
comment on column "form_subscriptions"."form_id" is 'The form; see forms.';
comment on column "form_subscriptions"."subscriber_id" is 'The person; see subscribers.';
comment on column "form_subscriptions"."created_at" is 'When the person was added to the form.';
comment on column "form_subscriptions"."subscription_id" is 'Kit''s id of the membership (API v3).';
comment on column "form_subscriptions"."state" is 'State of the membership, not of the person (API v3).';
comment on column "form_subscriptions"."source" is 'How the person got here (API v3).';
comment on column "form_subscriptions"."referrer" is 'Page the person came from.';
comment on column "form_subscriptions"."utm_source" is 'UTM source of the visit (API v4).';
comment on column "form_subscriptions"."utm_medium" is 'UTM medium of the visit (API v4).';
comment on column "form_subscriptions"."utm_campaign" is 'UTM campaign of the visit (API v4).';
comment on column "form_subscriptions"."utm_term" is 'UTM term of the visit (API v4).';
comment on column "form_subscriptions"."utm_content" is 'UTM content of the visit (API v4).';
comment on column "form_subscriptions"."_first_seen_at" is 'When the mirror first stored the row.';
comment on column "form_subscriptions"."_synced_at" is 'When the row''s content last changed here.';
comment on column "form_subscriptions"."_deleted_at" is 'When a reconcile found the row gone at Kit; null while it is there.';
comment on column "form_subscriptions"."_extra" is 'What Kit sent beyond the columns; null as a rule.';
