-- E-mail sequences of the account.
create table "sequences" (
    "id" bigint not null primary key, -- Kit's id of the sequence.
    "name" text, -- Name given by the creator.
    "hold" boolean, -- Whether subscribers are held at the end and get e-mails added later.
    "repeat" boolean, -- Whether a subscriber can go through it more than once.
    "active" boolean, -- Whether it sends (API v4).
    "email_address" text, -- Sending address (API v4).
    "email_template_id" bigint, -- E-mail template (API v4).
    "send_days" jsonb, -- Weekdays on which it sends (API v4).
    "send_hour" bigint, -- Hour of the day at which it sends, 0 to 23, in time_zone (API v4).
    "time_zone" text, -- IANA time zone of send_hour (API v4).
    "email_count" bigint, -- Number of e-mails in it (API v4).
    "subscriber_count" bigint, -- Kit's own count, as a rule of active people only, so less than the rows here (API v4).
    "created_at" timestamp with time zone not null, -- When it was created, by Kit's clock.
    "updated_at" timestamp with time zone, -- When it was last changed (API v4).
    "_first_seen_at" timestamp with time zone not null, -- When the mirror first stored the row.
    "_synced_at" timestamp with time zone not null, -- When the row's content last changed here.
    "_deleted_at" timestamp with time zone, -- When a reconcile found the row gone at Kit; null while it is there.
    "_extra" jsonb -- What Kit sent beyond the columns; null as a rule.
);
comment on table "sequences" is 'E-mail sequences of the account.';
comment on column "sequences"."id" is 'Kit''s id of the sequence.';
comment on column "sequences"."name" is 'Name given by the creator.';
comment on column "sequences"."hold" is 'Whether subscribers are held at the end and get e-mails added later.';
comment on column "sequences"."repeat" is 'Whether a subscriber can go through it more than once.';
comment on column "sequences"."active" is 'Whether it sends (API v4).';
comment on column "sequences"."email_address" is 'Sending address (API v4).';
comment on column "sequences"."email_template_id" is 'E-mail template (API v4).';
comment on column "sequences"."send_days" is 'Weekdays on which it sends (API v4).';
comment on column "sequences"."send_hour" is 'Hour of the day at which it sends, 0 to 23, in time_zone (API v4).';
comment on column "sequences"."time_zone" is 'IANA time zone of send_hour (API v4).';
comment on column "sequences"."email_count" is 'Number of e-mails in it (API v4).';
comment on column "sequences"."subscriber_count" is 'Kit''s own count, as a rule of active people only, so less than the rows here (API v4).';
comment on column "sequences"."created_at" is 'When it was created, by Kit''s clock.';
comment on column "sequences"."updated_at" is 'When it was last changed (API v4).';
comment on column "sequences"."_first_seen_at" is 'When the mirror first stored the row.';
comment on column "sequences"."_synced_at" is 'When the row''s content last changed here.';
comment on column "sequences"."_deleted_at" is 'When a reconcile found the row gone at Kit; null while it is there.';
comment on column "sequences"."_extra" is 'What Kit sent beyond the columns; null as a rule.';
