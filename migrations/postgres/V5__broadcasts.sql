-- Broadcasts: e-mails sent, or to be sent, to many subscribers at once; drafts included.
create table "broadcasts" (
    "id" bigint not null primary key, -- Kit's id of the broadcast.
    "publication_id" bigint, -- Links a broadcast to its post (API v4).
    "subject" text, -- Subject line; null for a draft without one.
    "preview_text" text, -- Preview text (API v4).
    "description" text, -- Internal description.
    "content" text, -- HTML of the e-mail.
    "public" boolean, -- Whether it is published on the web.
    "status" text, -- draft, scheduled, sending, completed or aborted (API v4).
    "published_at" timestamp with time zone, -- When it was or will be published on the web.
    "send_at" timestamp with time zone, -- When it was or will be sent; null for a draft.
    "thumbnail_alt" text, -- Alternative text of the thumbnail.
    "thumbnail_url" text, -- Address of the thumbnail.
    "public_url" text, -- Address on the web (API v4).
    "email_address" text, -- Sending address.
    "email_layout_template" text, -- Name of the layout (API v3).
    "email_template_id" bigint, -- E-mail template (API v4).
    "email_template_name" text, -- Name of the e-mail template (API v4).
    "subscriber_filter" jsonb, -- Who it goes to (API v4).
    "created_at" timestamp with time zone not null, -- When it was created, by Kit's clock.
    "_first_seen_at" timestamp with time zone not null, -- When the mirror first stored the row.
    "_synced_at" timestamp with time zone not null, -- When the row's content last changed here.
    "_deleted_at" timestamp with time zone, -- When a reconcile found the row gone at Kit; null while it is there.
    "_extra" jsonb -- What Kit sent beyond the columns; null as a rule.
);
comment on table "broadcasts" is 'Broadcasts: e-mails sent, or to be sent, to many subscribers at once; drafts included.';
comment on column "broadcasts"."id" is 'Kit''s id of the broadcast.';
comment on column "broadcasts"."publication_id" is 'Links a broadcast to its post (API v4).';
comment on column "broadcasts"."subject" is 'Subject line; null for a draft without one.';
comment on column "broadcasts"."preview_text" is 'Preview text (API v4).';
comment on column "broadcasts"."description" is 'Internal description.';
comment on column "broadcasts"."content" is 'HTML of the e-mail.';
comment on column "broadcasts"."public" is 'Whether it is published on the web.';
comment on column "broadcasts"."status" is 'draft, scheduled, sending, completed or aborted (API v4).';
comment on column "broadcasts"."published_at" is 'When it was or will be published on the web.';
comment on column "broadcasts"."send_at" is 'When it was or will be sent; null for a draft.';
comment on column "broadcasts"."thumbnail_alt" is 'Alternative text of the thumbnail.';
comment on column "broadcasts"."thumbnail_url" is 'Address of the thumbnail.';
comment on column "broadcasts"."public_url" is 'Address on the web (API v4).';
comment on column "broadcasts"."email_address" is 'Sending address.';
comment on column "broadcasts"."email_layout_template" is 'Name of the layout (API v3).';
comment on column "broadcasts"."email_template_id" is 'E-mail template (API v4).';
comment on column "broadcasts"."email_template_name" is 'Name of the e-mail template (API v4).';
comment on column "broadcasts"."subscriber_filter" is 'Who it goes to (API v4).';
comment on column "broadcasts"."created_at" is 'When it was created, by Kit''s clock.';
comment on column "broadcasts"."_first_seen_at" is 'When the mirror first stored the row.';
comment on column "broadcasts"."_synced_at" is 'When the row''s content last changed here.';
comment on column "broadcasts"."_deleted_at" is 'When a reconcile found the row gone at Kit; null while it is there.';
comment on column "broadcasts"."_extra" is 'What Kit sent beyond the columns; null as a rule.';
