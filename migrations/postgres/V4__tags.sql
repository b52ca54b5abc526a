-- Tags of the account.
create table "tags" (
    "id" bigint not null primary key, -- Kit's id of the tag.
    "name" text, -- Name given by the creator.
    "subscriber_count" bigint, -- Kit's own count, as a rule of active people only, so less than the rows here (API v4).
    "created_at" timestamp with time zone not null, -- When it was created, by Kit's clock.
    "_first_seen_at" timestamp with time zone not null, -- When the mirror first stored the row.
    "_synced_at" timestamp with time zone not null, -- When the row's content last changed here.
    "_deleted_at" timestamp with time zone, -- When a reconcile found the row gone at Kit; null while it is there.
    "_extra" jsonb -- What Kit sent beyond the columns; null as a rule.
);
comment on table "tags" is 'Tags of the account.';
comment on column "tags"."id" is 'Kit''s id of the tag.';
comment on column "tags"."name" is 'Name given by the creator.';
comment on column "tags"."subscriber_count" is 'Kit''s own count, as a rule of active people only, so less than the rows here (API v4).';
comment on column "tags"."created_at" is 'When it was created, by Kit''s clock.';
comment on column "tags"."_first_seen_at" is 'When the mirror first stored the row.';
comment on column "tags"."_synced_at" is 'When the row''s content last changed here.';
comment on column "tags"."_deleted_at" is 'When a reconcile found the row gone at Kit; null while it is there.';
comment on column "tags"."_extra" is 'What Kit sent beyond the columns; null as a rule.';
