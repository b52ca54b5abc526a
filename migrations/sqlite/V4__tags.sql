-- Tags of the account.
create table "tags" (
    "id" integer not null primary key, -- Kit's id of the tag.
    "name" text, -- Name given by the creator.
    "subscriber_count" integer, -- Kit's own count, as a rule of active people only, so less than the rows here (API v4).
    "created_at" text not null, -- When it was created, by Kit's clock.
    "_first_seen_at" text not null, -- When the mirror first stored the row.
    "_synced_at" text not null, -- When the row's content last changed here.
    "_deleted_at" text, -- When a reconcile found the row gone at Kit; null while it is there.
    "_extra" text -- What Kit sent beyond the columns; null as a rule.
) strict;
