-- E-mail sequences of the account.
create table "sequences" (
    "id" integer not null primary key, -- Kit's id of the sequence.
    "name" text, -- Name given by the creator.
    "hold" integer, -- Whether subscribers are held at the end and get e-mails added later.
    "repeat" integer, -- Whether a subscriber can go through it more than once.
    "active" integer, -- Whether it sends (API v4).
    "email_address" text, -- Sending address (API v4).
    "email_template_id" integer, -- E-mail template (API v4).
    "send_days" text, -- Weekdays on which it sends (API v4).
    "send_hour" integer, -- Hour of the day at which it sends, 0 to 23, in time_zone (API v4).
    "time_zone" text, -- IANA time zone of send_hour (API v4).
    "email_count" integer, -- Number of e-mails in it (API v4).
    "subscriber_count" integer, -- Kit's own count, as a rule of active people only, so less than the rows here (API v4).
    "created_at" text not null, -- When it was created, by Kit's clock.
    "updated_at" text, -- When it was last changed (API v4).
    "_first_seen_at" text not null, -- When the mirror first stored the row.
    "_synced_at" text not null, -- When the row's content last changed here.
    "_deleted_at" text, -- When a reconcile found the row gone at Kit; null while it is there.
    "_extra" text -- What Kit sent beyond the columns; null as a rule.
) strict;
